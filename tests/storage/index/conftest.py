"""The index that the tests of the Protocol run on. Another database becomes another parameter of ``index``."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy_core.storage.index.migrate import migrate
from proxy_core.storage.index.model import Index
from proxy_core.storage.index.sql import open_index


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A storage folder with an empty index."""
    migrate(tmp_path)
    return tmp_path


@pytest.fixture(params=["sqlite"])
async def index(folder: Path) -> AsyncIterator[Index]:
    """An empty index."""
    opened = await open_index(folder)
    yield opened
    await opened.close()
