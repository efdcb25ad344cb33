"""`runner-bridge init`, the first half of `make serve`."""

import re
import shlex
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml
from argon2 import PasswordHasher

from proxy_core.settings.schema import root
from tests.cli.command import runner_bridge


def password_in(line: str) -> str:
    """The password that a line pipes into docker login."""
    echo, password, pipe, *login = shlex.split(line)
    assert (echo, pipe, login[:2], login[-1]) == ("echo", "|", ["docker", "login"], "--password-stdin")
    return password


def test_it_writes_a_file_to_begin_with_and_says_how_to_log_in_and_pull(tmp_path: Path) -> None:
    done = runner_bridge("init", cwd=tmp_path).check()
    login, pull = done.stdout.splitlines()
    assert login.endswith("| docker login 127.0.0.1:8080 -u dev --password-stdin")
    assert pull == "docker pull 127.0.0.1:8080/my-group/dependency_proxy/containers/alpine:latest"

    file = tmp_path / "runner-bridge.yaml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    text = file.read_text()
    password = password_in(login)
    assert password not in text
    assert PasswordHasher().verify(yaml.safe_load(text)["users"]["dev"]["password_hash"], password)
    assert [entry.name for entry in tmp_path.iterdir()] == ["runner-bridge.yaml"]


def test_the_file_is_good_and_names_every_section(tmp_path: Path) -> None:
    runner_bridge("init", cwd=tmp_path).check()
    done = runner_bridge("check-config", "--config", "runner-bridge.yaml", cwd=tmp_path).check()
    assert done.stderr == ""
    text = (tmp_path / "runner-bridge.yaml").read_text()
    assert {name for name in root()["properties"] if f"{name}:" not in text} == {"tokens"}


def test_every_line_that_is_commented_out_is_good_too(tmp_path: Path) -> None:
    runner_bridge("init", cwd=tmp_path).check()
    file = tmp_path / "runner-bridge.yaml"
    file.write_text(re.sub(r"^( *)# ([a-z_.]+: )", r"\1\2", file.read_text(), flags=re.MULTILINE))
    done = runner_bridge("check-config", "--config", file)
    told = {line.split(": ")[1] for line in done.stderr.splitlines() if line.startswith(str(file))}
    assert told == {"server.tls.certificate_file", "server.tls.key_file", "upstreams.docker.io.password_file"}


def test_a_file_that_is_there_is_kept(tmp_path: Path) -> None:
    first = runner_bridge("init", cwd=tmp_path).check()
    text = (tmp_path / "runner-bridge.yaml").read_text()
    again = runner_bridge("init", cwd=tmp_path).check()
    assert (tmp_path / "runner-bridge.yaml").read_text() == text
    login, pull = again.stdout.splitlines()
    assert login == "docker login 127.0.0.1:8080 -u dev"
    assert pull == first.stdout.splitlines()[1]
    assert "users hash-password" in again.stderr


def test_the_lines_are_about_what_holds(tmp_path: Path) -> None:
    done = runner_bridge(
        "init",
        "--config",
        "a.yaml",
        cwd=tmp_path,
        RUNNER_BRIDGE_SERVER__LISTEN="[::1]:9090",
        RUNNER_BRIDGE_GROUPS="{team/app: {}}",
    )
    login, pull = done.check().stdout.splitlines()
    assert "docker login [::1]:9090 -u dev" in login
    assert pull.startswith("docker pull [::1]:9090/team/app/dependency_proxy/")


def test_a_wrong_environment_leaves_no_file_whose_password_nobody_knows(tmp_path: Path) -> None:
    done = runner_bridge("init", cwd=tmp_path, RUNNER_BRIDGE_SERVER__WORKERS="0")
    assert done.returncode == 2
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_file_is_kept_and_its_mistakes_are_told(tmp_path: Path) -> None:
    (tmp_path / "runner-bridge.yaml").write_text("sever: {}\n")
    done = runner_bridge("init", cwd=tmp_path)
    assert done.returncode == 2
    assert "Did you mean server?" in done.stderr
    assert (tmp_path / "runner-bridge.yaml").read_text() == "sever: {}\n"


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    done = runner_bridge("init", "--config", tmp_path / "absent" / "a.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert "absent is no folder." in done.stderr


def test_of_two_at_once_one_writes(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda _: runner_bridge("init", cwd=tmp_path).check(), range(4)))
    logins = [done.stdout.splitlines()[0] for done in runs]
    (line,) = [login for login in logins if login.startswith("echo")]
    password_hash = yaml.safe_load((tmp_path / "runner-bridge.yaml").read_text())["users"]["dev"]["password_hash"]
    assert PasswordHasher().verify(password_hash, password_in(line))
    assert [entry.name for entry in tmp_path.iterdir()] == ["runner-bridge.yaml"]
