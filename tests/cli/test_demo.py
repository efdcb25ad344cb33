"""`runner-bridge demo`, run as a user runs it: what it shows, that this is true, and that nothing is left of it."""

import contextlib
import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from runner_bridge.cli import main
from runner_bridge.demo import acts, proxy
from runner_bridge.demo.acts import Act, Play
from runner_bridge.demo.checks import check
from runner_bridge.demo.image import make_image
from runner_bridge.demo.page import WIDTH
from tests.rig.processes import Completed, Process, run, wait_for
from tests.rig.proxy import COMMAND

Facts = dict[str, Any]


def elsewhere(folder: Path) -> dict[str, str]:
    """An environment whose temporary files are in this folder, so that it can be seen what is left."""
    folder.mkdir(exist_ok=True)
    # A way to the outside and another proxy's settings, which must not matter.
    return {"TMPDIR": str(folder), "HTTP_PROXY": "http://127.0.0.1:9", "RUNNER_BRIDGE_SERVER__LISTEN": "127.0.0.1:9"}


def processes_of(folder: Path) -> list[int]:
    """Those that were started with `elsewhere(folder)`, or by them."""
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if str(folder).encode() in environment.read_bytes():
                found.append(int(environment.parent.name))
    return found


def run_demo(folder: Path, *arguments: str) -> Completed:
    done = run([COMMAND, "demo", *arguments], env=elsewhere(folder), timeout=90)
    assert not list(folder.iterdir())
    assert not processes_of(folder)
    return done


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    done = run_demo(tmp_path_factory.mktemp("json") / "tmp", "--format", "json").check()
    document: Facts = json.loads(done.stdout)
    return document


@pytest.fixture(scope="module")
def played() -> Play:
    return acts.play()


def act(facts: Facts, name: str) -> Facts:
    found: Facts = next(one for one in facts["acts"] if one["name"] == name)
    return found


def asked(exchanges: list[Facts]) -> list[tuple[str, str, int]]:
    return [(one["method"], one["path"].rpartition("/")[2], one["status"]) for one in exchanges]


class TestFacts:
    def test_a_client_asks_as_dockerd_does(self, facts: Facts) -> None:
        index, *others = facts["parts"]
        expected = [("GET", "", 401), ("GET", "auth", 200), ("HEAD", "latest", 200), ("GET", index, 200)]
        expected += [("GET", digest, 200) for digest in others]
        for one in facts["acts"]:
            assert asked(one["client"]) == expected

    def test_what_came_has_the_digest_that_was_asked_for(self, facts: Facts) -> None:
        for one in facts["acts"]:
            came = {each["path"].rpartition("/")[2]: each["digest"] for each in one["client"]}
            assert all(came[digest] == digest for digest in facts["parts"])

    def test_a_cold_pull_asks_the_upstream_once_for_each_part(self, facts: Facts) -> None:
        cold = act(facts, "cold")
        assert asked(cold["upstream"]) == [
            ("HEAD", "latest", 401),
            ("GET", "token", 200),
            ("HEAD", "latest", 200),
            *(("GET", digest, 200) for digest in facts["parts"]),
        ]
        assert cold["upstream_gets"] == len(facts["parts"])
        assert cold["upstream_bytes"] > 4_000_000

    def test_a_layer_streams_through(self, facts: Facts) -> None:
        cold = act(facts, "cold")
        for client, upstream in zip(cold["client"][-2:], cold["upstream"][-2:], strict=True):
            assert client["path"].rpartition("/")[2] == upstream["path"].rpartition("/")[2]
            assert client["first_byte_ms"] < upstream["ended_ms"]

    def test_a_warm_pull_asks_the_upstream_one_head(self, facts: Facts) -> None:
        warm = act(facts, "warm")
        assert asked(warm["upstream"]) == [("HEAD", "latest", 200)]
        assert (warm["upstream_bytes"], warm["upstream_gets"]) == (0, 0)
        assert warm["client_bytes"] > 4_000_000

    def test_with_the_upstream_stopped_the_pull_goes_through_with_a_warning(self, facts: Facts) -> None:
        stale = act(facts, "stale")
        assert stale["upstream"] == []
        assert stale["client"][2]["warning"].startswith("299 ")
        assert "hit; ttl=-" in stale["client"][2]["cache_status"]
        assert stale["client_bytes"] == act(facts, "warm")["client_bytes"]

    def test_the_quota_counts_the_two_manifests_that_were_fetched(self, facts: Facts) -> None:
        assert facts["upstream_quota"] == {"limit": 100, "remaining": 98}

    def test_every_claim_holds(self, facts: Facts) -> None:
        assert len(facts["checks"]) == 6
        assert all(one["ok"] and one["cause"] is None for one in facts["checks"])

    def test_the_image_is_the_same_each_time(self, facts: Facts) -> None:
        assert list(make_image().parts("amd64")) == facts["parts"]


def test_the_page_shows_both_wires_and_fits_a_page(tmp_path: Path) -> None:
    page = run_demo(tmp_path / "tmp").check().stdout
    assert max(map(len, page.splitlines())) <= WIDTH
    assert page.isascii()
    assert "\x1b" not in page
    assert "1. Cold pull" in page
    assert "2. Warm pull" in page
    assert "3. The upstream is stopped" in page
    assert page.count("client to proxy") == page.count("proxy to upstream") == 3
    assert "GET  /token" in page
    assert 'Warning: 299 - "' in page
    assert page.count("\nok  ") == 6
    warm = page.partition("2. Warm pull")[2].partition("3. The upstream")[0]
    assert "1 request " in warm
    assert warm.count("HEAD manifests/latest") == 2  # one on each wire


class TestEnds:
    """However a demo ends, nothing is left of it."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return tmp_path / "tmp"

    @pytest.fixture
    def running(self, folder: Path, tmp_path: Path) -> Iterator[Process]:
        """A demo that has started its proxy."""
        with Process([COMMAND, "demo"], log=tmp_path / "demo.log", env=elsewhere(folder)) as process:
            process.wait_until(lambda: bool(list(folder.glob("*/data/*"))), "proxy")
            yield process

    @pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
    def test_interrupted(self, running: Process, folder: Path, number: signal.Signals, code: int) -> None:
        os.kill(running.pid, number)
        assert running.wait(30) == code
        assert not list(folder.iterdir())
        assert not processes_of(folder)

    def test_killed(self, running: Process, folder: Path) -> None:
        os.kill(running.pid, signal.SIGKILL)
        assert running.wait() == -signal.SIGKILL
        wait_for(lambda: not processes_of(folder), "end of the proxy", timeout=30)


def test_a_proxy_that_does_not_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr(proxy, "_free_port", lambda: taken.getsockname()[1])
        done = CliRunner().invoke(main, ["demo"])
    assert done.exit_code == 1
    assert "The proxy ended with exit code 2: " in done.stderr
    assert "can not be listened on" in done.stderr


def replaced(play: Play, name: str, change: Callable[[Act], Act]) -> Play:
    return replace(play, acts=tuple(change(one) if one.name == name else one for one in play.acts))


def asked_again(act: Act) -> Act:
    return replace(act, upstream=(*act.upstream, replace(act.client[-1], path="/v2/library/hello/blobs/x")))


def damaged(act: Act) -> Act:
    return replace(act, client=(*act.client[:-1], replace(act.client[-1], digest="sha256:0")))


def incomplete(act: Act) -> Act:
    return replace(act, client=act.client[:-1])


def stored_first(act: Act) -> Act:
    return replace(act, client=(*act.client[:-1], replace(act.client[-1], first_byte=act.client[-1].ended + 60)))


def not_asked(act: Act) -> Act:
    return replace(act, upstream=())


def missed(act: Act) -> Act:
    return replace(act, client=(*act.client[:-1], replace(act.client[-1], cache_status="runner-bridge; fwd=uri-miss")))


def silent(act: Act) -> Act:
    return replace(act, client=tuple(replace(one, warning="") for one in act.client))


class TestChecks:
    """The demo would not claim what is not so."""

    def test_all_hold(self, played: Play) -> None:
        assert [one.cause for one in check(played)] == [""] * 6

    @pytest.mark.parametrize(
        ("name", "change", "claim"),
        [
            ("cold", damaged, "Every manifest and blob"),
            ("stale", incomplete, "Every manifest and blob"),
            ("cold", asked_again, "Cold: the upstream gave"),
            ("cold", stored_first, "Cold: the client had bytes"),
            ("warm", asked_again, "Warm: the upstream was asked one HEAD"),
            ("warm", not_asked, "Warm: the upstream was asked one HEAD"),
            ("warm", missed, "Warm and stopped: all else"),
            ("stale", silent, "Stopped: the tag was served"),
        ],
    )
    def test_what_is_wrong_is_seen(self, played: Play, name: str, change: Callable[[Act], Act], claim: str) -> None:
        wrong = [one.claim for one in check(replaced(played, name, change)) if not one.ok]
        assert any(one.startswith(claim) for one in wrong)

    def test_the_command_tells_it(self, played: Play, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(acts, "play", lambda: replaced(played, "warm", asked_again))
        done = CliRunner().invoke(main, ["demo"])
        assert done.exit_code == 1
        assert "WRONG  Warm: the upstream was asked one HEAD" in done.stdout
        assert "was also asked GET /v2/library/hello/blobs/x" in done.stderr
        assert "fix: " in done.stderr
