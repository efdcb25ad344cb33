"""What is installed beside runner-bridge, and why. A dependency that is not explained here fails the tests."""

import re
import tomllib
from importlib.metadata import metadata, requires
from pathlib import Path
from typing import Any

from tests.rig.presence import PACKAGES

BASE = {
    "click": "the command line",
    "joserfc": "job credentials and pull tokens are signed with Ed25519 (JWT, RFC 7519 and RFC 8037)",
    "pyyaml": "settings and CI files are YAML, and its nodes know their positions",
    "rich": "tables and colours where a person reads",
}

PROXY = {
    "aiosqlite": "the index in SQLite, without stopping the event loop",
    "alembic": "migrations of the index",
    "argon2-cffi": "password hashes (argon2id, RFC 9106)",
    "granian": "the HTTP server; the only one that sends files by the kernel (pathsend)",
    "httpx2": "asking upstream registries",
    "jsonschema": "settings are checked against their schema",
    "prometheus-client": "/-/metrics",
    "sqlalchemy": "the index, for SQLite and PostgreSQL alike",
    "starlette": "routing and middleware around the registry",
    "uvloop": "the event loop; the hot path is mostly loop",
}

ROOT = Path(__file__).parents[1]


def pyproject() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project


def name_of(requirement: str) -> str:
    """The distribution that a requirement (PEP 508) names."""
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert match is not None
    return re.sub(r"[-_.]+", "-", match[0]).lower()


def test_each_dependency_of_the_library_has_a_reason() -> None:
    assert {name_of(requirement) for requirement in pyproject()["dependencies"]} == set(BASE)


def test_each_dependency_of_the_server_has_a_reason() -> None:
    assert {name_of(requirement) for requirement in pyproject()["optional-dependencies"]["proxy"]} == set(PROXY)


def test_each_has_a_lower_bound() -> None:
    project = pyproject()
    for requirement in (*project["dependencies"], *project["optional-dependencies"]["proxy"]):
        assert ">=" in requirement, f"{requirement}: older versions were never tried"


def test_what_is_installed_asks_for_the_same() -> None:
    asked = [requirement.split(";") for requirement in requires("runner-bridge") or []]
    base = {name_of(name) for name, *marker in asked if not marker}
    proxy = {name_of(name) for name, *marker in asked if any("proxy" in text for text in marker)}
    assert (base, proxy) == (set(BASE), set(PROXY)), "pyproject.toml has changed: pip install -e '.[dev]'"


def test_the_metadata_tell_what_it_is() -> None:
    known = metadata("runner-bridge")
    project = pyproject()
    assert known["Requires-Python"] == project["requires-python"]
    assert known["License-Expression"] == "MIT"
    assert known["Summary"] == project["description"]
    assert set(known.get_all("Provides-Extra") or []) == set(project["optional-dependencies"])


def test_make_test_installs_every_program_that_a_test_may_need() -> None:
    rows = re.findall(r"^(\S+) +\| +(\S+) +\| ", (ROOT / "ci" / "install-clients.sh").read_text(), re.MULTILINE)
    assert PACKAGES.items() <= dict(rows).items()
