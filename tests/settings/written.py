"""Configuration files for the tests, written into a folder of the test's own."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from proxy_core.settings.load import Loaded, examine
from proxy_core.settings.problems import InvalidSettings, Problem

HASH = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQxMjM0NTY3OA$RdescudvJCsgt3ub+b3dWRWJTmaaJObG5rs3ZOjHqpQ"
STORAGE = "storage: {directory: ./data}\n"


def written(folder: Path, text: str) -> Path:
    """A configuration file with this text."""
    file = folder / "proxy.yaml"
    file.write_text(text)
    return file


def loaded(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> Loaded:
    """What a file with this text, and an environment, hold."""
    return examine(written(folder, text), environ or {})


def refused(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> tuple[Problem, ...]:
    """The problems of a file with this text, and an environment."""
    file = written(folder, text)
    with pytest.raises(InvalidSettings) as caught:
        examine(file, environ or {})
    return caught.value.problems
