from collections.abc import Iterator

import pytest

from proxy_core.access.passwords import PasswordChecks
from tests.access.house import House, settings


@pytest.fixture
def checks() -> Iterator[PasswordChecks]:
    checks = PasswordChecks()
    yield checks
    checks.close()


@pytest.fixture
def house(checks: PasswordChecks) -> House:
    return House(settings(), checks)
