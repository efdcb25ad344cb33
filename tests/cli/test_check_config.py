"""`runner-bridge check-config`"""

import json
from pathlib import Path

import pytest

from tests.cli.command import runner_bridge
from tests.settings.written import HASH, STORAGE, written

GOOD = f"{STORAGE}server: {{listen: '0.0.0.0:8080', workers: 3}}\nusers: {{dev: {{password_hash: '{HASH}'}}}}\n"


def test_it_shows_what_holds_and_where_it_comes_from(tmp_path: Path) -> None:
    written(tmp_path, GOOD)
    done = runner_bridge("check-config", "--config", "proxy.yaml", cwd=tmp_path, RUNNER_BRIDGE_TOKENS__LIFETIME="1h")
    rows = [line.split() for line in done.check().stdout.splitlines()]
    assert ["storage.directory", f"{tmp_path}/data", "proxy.yaml:1"] in rows
    assert ["server.workers", "3", "proxy.yaml:2"] in rows
    assert ["server.allow_plain_http", "false", "default"] in rows
    assert ["tokens.lifetime", "1h", "environment", "RUNNER_BRIDGE_TOKENS__LIFETIME"] in rows
    assert ["users.dev.password_hash", "(not", "shown)", "proxy.yaml:3"] in rows
    assert HASH not in done.output
    assert "warning: proxy.yaml:2: server.listen: is open to the network without TLS" in done.stderr


def test_a_program_reads_json(tmp_path: Path) -> None:
    file = written(tmp_path, GOOD)
    answer = json.loads(
        runner_bridge("check-config", "--format", "json", RUNNER_BRIDGE_CONFIG=str(file)).check().stdout
    )
    assert answer["ok"] is True
    settings = {entry["key"]: entry for entry in answer["settings"]}
    workers = {"key": "server.workers", "value": 3, "hidden": False, "file": str(file), "line": 2, "variable": None}
    assert settings["server.workers"] == workers
    assert settings["users.dev.password_hash"]["value"] is None
    assert {warning["key"] for warning in answer["warnings"]} == {"server.listen", "server.external_url"}


def test_what_is_wrong_is_told_with_exit_code_2(tmp_path: Path) -> None:
    written(tmp_path, f"{STORAGE}server:\n  lisen: x\n  workers: two\n")
    done = runner_bridge("check-config", "--config", "proxy.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "proxy.yaml:3: server.lisen: is not a known key.",
        "  fix: Did you mean listen?",
        "proxy.yaml:4: server.workers: must be a whole number, and is text.",
        "  fix: Write e.g. 2.",
    ]


def test_what_is_wrong_is_told_to_programs_too(tmp_path: Path) -> None:
    file = written(tmp_path, f"{STORAGE}server: {{lisen: x}}\n")
    done = runner_bridge("check-config", "--config", file, "--format", "json")
    assert done.returncode == 2
    (problem,) = json.loads(done.stdout)["problems"]
    assert problem == {
        "key": "server.lisen",
        "cause": "is not a known key.",
        "fix": "Did you mean listen?",
        "file": str(file),
        "line": 2,
        "variable": None,
    }


@pytest.mark.parametrize("command", ["serve", "check-config"])
def test_both_commands_stop_at_a_wrong_key(command: str, tmp_path: Path) -> None:
    file = written(tmp_path, "sever: {}\n")
    done = runner_bridge(command, "--config", file)
    assert done.returncode == 2
    assert f"{file}:1: sever: is not a known key.\n  fix: Did you mean server?" in done.stderr
    assert "Traceback" not in done.output


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    done = runner_bridge("serve", "--config", tmp_path / "absent.yaml")
    assert done.returncode == 2
    assert "absent.yaml is not there" in done.stderr
