"""pull.py, against a server that runs with minimal.yaml"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from tests.examples.files import EXAMPLES, write
from tests.rig.images import Index, index
from tests.rig.processes import Completed, Process, free_port, run
from tests.rig.proxy import COMMAND, GROUP, PASSWORD, PASSWORD_HASH, USER
from tests.rig.upstream import Upstream

NAME = f"{GROUP}/dependency_proxy/containers/alpine"


@dataclass(frozen=True, slots=True)
class Server:
    url: str
    folder: Path  # of its configuration
    content: Index  # library/alpine:latest


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The file as it stands; the environment says where the test's upstream is, and a password that is known."""
    folder = tmp_path_factory.mktemp("minimal")
    config = write(folder / "minimal.yaml", (EXAMPLES / "minimal.yaml").read_text())
    address = f"127.0.0.1:{free_port()}"
    with Upstream() as upstream:
        upstream.add("library/alpine", content := index(), "latest")
        users = {USER: {"password_hash": PASSWORD_HASH, "groups": {GROUP: "guest"}}}
        env = {
            "RUNNER_BRIDGE_SERVER__LISTEN": address,
            "RUNNER_BRIDGE_UPSTREAMS": json.dumps({"docker.io": {"url": upstream.url}}),
            "RUNNER_BRIDGE_USERS": json.dumps(users),
        }
        url = f"http://{address}"

        def ready() -> bool:
            try:
                return httpx2.get(f"{url}/-/readiness", timeout=2, trust_env=False).status_code == 200
            except httpx2.TransportError:
                return False

        argv = (COMMAND, "serve", "--config", config)
        with Process.started(argv, ready, "readiness", log=folder / "log", env=env, timeout=30):
            yield Server(url, folder, content)


def pull(server: Server, reference: str, password: str = PASSWORD, name: str = NAME) -> Completed:
    return run([sys.executable, EXAMPLES / "pull.py", server.url, USER, name, reference], stdin=f"{password}\n")


def test_it_pulls_an_image_and_checks_every_digest(server: Server) -> None:
    image = server.content.of("amd64")
    lines = pull(server, "latest").check().stdout.splitlines()
    parts = [server.content.manifest, image.manifest, *image.blobs]
    assert lines == [f"{part.digest}  {part.size} bytes" for part in parts]


def test_the_storage_folder_is_seen_from_the_file(server: Server) -> None:
    assert (server.folder / "data" / "index.sqlite").exists()


def test_it_pulls_by_digest_too(server: Server) -> None:
    assert pull(server, server.content.digest).check().stdout.startswith(server.content.digest)


@pytest.mark.parametrize(
    ("reference", "password", "name", "told"),
    [
        ("latest", "not-the-one", NAME, "401: The user name or the password is wrong."),
        ("no-such-tag", PASSWORD, NAME, "404: docker.io has no tag no-such-tag in library/alpine."),
        ("latest", PASSWORD, NAME.replace("alpine", "ghcr.io/org/app"), "404: The registry ghcr.io is not configured"),
    ],
    ids=["password", "tag", "upstream"],
)
def test_when_it_can_not_it_says_why_and_what_to_do(
    server: Server, reference: str, password: str, name: str, told: str
) -> None:
    failed = pull(server, reference, password, name)
    cause, fix, request = failed.stderr.splitlines()
    assert (failed.returncode, failed.stdout) == (1, "")
    assert cause.startswith(told)
    assert fix
    assert request.startswith("request ")
    assert password not in failed.stderr
