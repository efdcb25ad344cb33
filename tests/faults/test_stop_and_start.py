"""Stops, starts, and a second server by mistake."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from tests.faults.scene import Place, Scene, Source, scene
from tests.faults.wires import Wire, rest_of
from tests.rig.faults import Gate
from tests.rig.images import digest_of
from tests.rig.processes import Completed, free_port, run, wait_for
from tests.rig.proxy import COMMAND, Proxy, merged, scopes_in

pytestmark = pytest.mark.faults

SIZE = 3_000_000
PATIENT = Place(settings={"timeouts": {"read": "30s"}})


@pytest.fixture
def sources(tmp_path: Path) -> Iterator[Scene]:
    places = {"cold.rig": PATIENT, "warm.rig": PATIENT}
    with scene(tmp_path, places, size=SIZE, settings={"server": {"stop_grace": "20s"}}) as running:
        yield running


def refuses(proxy: Proxy) -> bool:
    try:
        socket.create_connection(("127.0.0.1", proxy.port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def fill(source: Source) -> None:
    assert source.get(source.manifest()).content == source.image.manifest.data
    assert digest_of(source.get(source.blob()).content) == source.layer.digest
    source.wait_stored()


def serve_by_mistake(proxy: Proxy, **changes: object) -> Completed:
    """A second server with almost the same configuration."""
    config = proxy.folder / "mistake.yaml"
    config.write_text(yaml.safe_dump(merged(proxy.settings, changes)))
    return run((COMMAND, "serve", "--config", config), timeout=30)


def test_pulls_in_flight_end_and_new_ones_are_refused(sources: Scene) -> None:
    cold, warm = sources["cold.rig"], sources["warm.rig"]
    proxy = cold.proxy
    fill(warm)
    assert cold.get(cold.manifest()).status_code == 200
    gate = Gate(SIZE // 2)
    cold.upstream.fault("blobs/*", gate)
    with ExitStack() as stack:
        waiting = [stack.enter_context(Wire.to(proxy, worker)) for worker in proxy.workers() for _ in range(3)]
        slow = stack.enter_context(Wire(proxy, receive_buffer=65536))
        idle = [stack.enter_context(Wire(proxy)) for _ in range(5)]
        answers = [wire.ask(cold.blob()) for wire in waiting]
        slow_answer = slow.ask(warm.blob())
        gate.wait_reached()
        os.kill(proxy.process.pid, signal.SIGTERM)
        wait_for(lambda: refuses(proxy), "refusal of new connections")
        gate.open()
        for answer in [*answers, slow_answer]:
            body, whole = rest_of(answer)
            assert whole
            assert digest_of(body) in (cold.layer.digest, warm.layer.digest)
        stopped_at = time.monotonic()
        assert proxy.process.wait(15) == 0
        assert time.monotonic() - stopped_at < 10, "it waited for connections that only idle"
        assert len(idle) == 5
    assert cold.stored() == cold.layer.digest
    assert "workers_killed" not in proxy.log


def test_a_stop_does_not_wait_longer_than_its_grace(tmp_path: Path) -> None:
    with scene(tmp_path, {"slow.rig": PATIENT}, size=SIZE, settings={"server": {"stop_grace": "2s"}}) as sources:
        source = sources["slow.rig"]
        assert source.get(source.manifest()).status_code == 200
        gate = Gate(SIZE // 2)
        source.upstream.fault("blobs/*", gate, times=1)
        with Wire(source.proxy) as wire:
            answer = wire.ask(source.blob())
            began = time.monotonic()
            assert source.proxy.stop() == 0
            assert 1.9 < time.monotonic() - began < 10
            assert not rest_of(answer)[1]
        gate.open()
        source.proxy.start()
        assert digest_of(source.get(source.blob()).content) == source.layer.digest
        assert source.upstream.count("GET", "blobs/*") == 2
        assert source.upstream.asked("GET", "blobs/*")[1].header("Range"), "what was there was not used"


def test_after_a_restart_all_is_as_before(sources: Scene) -> None:
    source = sources["warm.rig"]
    proxy = source.proxy
    fill(source)
    token = proxy.client.token(*scopes_in(source.manifest()))
    assert proxy.stop() == 0
    source.upstream.stop()
    proxy.start()
    by_tag = proxy.client.get(source.manifest(), token)
    assert by_tag.content == source.image.manifest.data
    assert "Warning" in by_tag.headers
    by_digest = proxy.client.get(source.manifest(source.image.digest), token)
    assert by_digest.content == source.image.manifest.data
    assert digest_of(proxy.client.get(source.blob(), token).content) == source.layer.digest


def test_after_a_power_cut_of_all_processes_all_is_as_before(sources: Scene) -> None:
    source = sources["warm.rig"]
    fill(source)
    source.proxy.kill()
    source.upstream.stop()
    source.proxy.start()
    assert source.get(source.manifest()).content == source.image.manifest.data
    assert digest_of(source.get(source.blob()).content) == source.layer.digest


def test_two_servers_by_mistake(sources: Scene) -> None:
    source = sources["warm.rig"]
    proxy = source.proxy
    fill(source)
    port = free_port()

    other_port = serve_by_mistake(
        proxy, server={"listen": f"127.0.0.1:{port}", "external_url": f"http://127.0.0.1:{port}"}
    )
    assert other_port.returncode == 1
    assert "Another server runs on" in other_port.stderr
    assert "storage.directory" in other_port.stderr

    other_folder = serve_by_mistake(proxy, storage={"directory": str(proxy.folder / "other")})
    assert other_folder.returncode == 2
    assert f"{proxy.host} can not be listened on: Address already in use" in other_folder.stderr
    assert "server.listen" in other_folder.stderr

    for refused in (other_port, other_folder):
        assert "Traceback" not in refused.output
        assert len(refused.stderr.strip().splitlines()) <= 2, refused.stderr
    assert digest_of(source.get(source.blob()).content) == source.layer.digest
    assert len(proxy.workers()) == 2
