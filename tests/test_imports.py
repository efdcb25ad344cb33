"""What is light stays light: who imports the library in a job's hook does not wait for a server."""

import subprocess
import sys

import pytest

HEAVY = {"alembic", "argon2", "cryptography", "granian", "httpx2", "joserfc", "jsonschema", "rich", "sqlalchemy"}
HEAVY |= {"starlette", "yaml"}


def loaded_by(code: str) -> set[str]:
    """The heavy packages that a fresh Python has loaded after this code."""
    report = (
        f"{code}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}}, sep='\\n', file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return HEAVY & set(done.stderr.split())


@pytest.mark.parametrize(
    "module",
    [
        "runner_bridge",
        "proxy_core",
        "proxy_core.reference",
        "proxy_core.errors",
        "proxy_core.settings",
        "runner_bridge.cli",
    ],
)
def test_these_modules_load_nothing_heavy(module: str) -> None:
    assert loaded_by(f"import {module}") == set()


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["serve", "--help"], ["users", "--help"], ["serv"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    code = f"from runner_bridge.cli import main\ntry: main({arguments})\nexcept SystemExit: pass"
    assert loaded_by(code) == set()


def test_checking_a_configuration_loads_no_server_and_no_cryptography() -> None:
    code = "from runner_bridge.cli import main\ntry: main(['check-config'])\nexcept SystemExit: pass"
    assert loaded_by(code) <= {"jsonschema", "yaml"}
