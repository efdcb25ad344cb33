"""Processes are killed: whoever is not in them goes on, and what was promised is kept."""

import itertools
import json
import os
import random
import resource
import signal
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import httpx2
import pytest

from tests.faults.scene import REPOSITORY, Place, Scene, Source, scene
from tests.faults.wires import Wire, rest_of
from tests.rig.faults import Delay, Dribble, Gate
from tests.rig.images import OCI_MANIFEST, Blob, Image, blob, digest_of, document, noise
from tests.rig.processes import run, wait_for
from tests.rig.proxy import COMMAND, scopes_in

pytestmark = pytest.mark.faults

SIZE = 4_000_000
PATIENT = Place(settings={"timeouts": {"read": "30s"}})


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    names = ("taken-over", "all-killed", "taken-over-from-the-middle")
    places = {f"{name}.rig": PATIENT for name in names}
    places["stuck.rig"] = Place(settings={"timeouts": {"read": "1s"}})
    with scene(tmp_path_factory.mktemp("workers"), places, size=SIZE) as running:
        yield running


def events(source: Source, name: str) -> list[dict[str, object]]:
    lines = (json.loads(line) for line in source.proxy.log.splitlines() if line.startswith("{"))
    return [line for line in lines if line.get("event") == name]


def growing(source: Source) -> int:
    """How much of the layer is in the spool."""
    file = source.proxy.data / "partial" / source.layer.digest.replace(":", "-")
    return file.stat().st_size if file.exists() else 0


def two_workers(source: Source) -> tuple[int, int]:
    wait_for(lambda: len(source.proxy.workers()) == 2, "two workers", 30)
    first, second = source.proxy.workers()
    return first, second


def wait_until_all_serve(source: Source) -> None:
    """Until each worker has taken a connection: a new one needs a moment to listen."""
    for worker in two_workers(source):
        wait_for(partial(_reached, source, worker), f"answers from {worker}", 30)


def _reached(source: Source, worker: int) -> bool:
    try:
        Wire.to(source.proxy, worker).close()
    except (OSError, AssertionError):
        return False
    return True


@pytest.mark.parametrize("name", ["taken-over.rig", "taken-over-from-the-middle.rig"])
def test_readers_elsewhere_do_not_notice_that_a_worker_was_killed(sources: Scene, name: str) -> None:
    source = sources[name]
    wait_until_all_serve(source)
    leader, other = two_workers(source)
    assert source.get(source.manifest()).status_code == 200
    gate = Gate(SIZE // 2)
    source.upstream.fault("blobs/*", gate, times=1)
    headers = {"Range": "bytes=100-"} if "middle" in name else None
    with ExitStack() as stack:
        lost = stack.enter_context(Wire.to(source.proxy, leader))
        lost.send(source.blob())
        gate.wait_reached()
        kept = [stack.enter_context(Wire.to(source.proxy, other)) for _ in range(3)]
        answers = [wire.ask(source.blob(), headers=headers) for wire in kept]
        firsts = [answer.read(1) for answer in answers]
        wait_for(lambda: growing(source) == SIZE // 2, "half of the blob")
        source.proxy.kill_worker(leader)
        wait_for(lambda: leader not in source.proxy.workers(), "end of the worker")
        gate.open()
        for first, answer in zip(firsts, answers, strict=True):
            body, whole = rest_of(answer)
            assert whole
            assert first + body == source.layer.data[100 if headers else 0 :]
        assert not rest_of(lost.answer())[1]
    source.wait_stored()
    assert source.upstream.count("GET", "blobs/*") == 2
    assert source.upstream.sent("blobs/*") <= 1.1 * source.layer.size
    wait_until_all_serve(source)


def test_a_worker_that_is_stuck_holds_nobody_for_ever(sources: Scene) -> None:
    source = sources["stuck.rig"]
    wait_until_all_serve(source)
    leader, other = two_workers(source)
    assert source.get(source.manifest()).status_code == 200
    gate = Gate(SIZE // 2)
    source.upstream.fault("blobs/*", gate, times=1)
    with Wire.to(source.proxy, leader) as first, Wire.to(source.proxy, other) as second:
        first.send(source.blob())
        gate.wait_reached()
        second.send(source.blob())
        answer = second.answer()
        os.kill(leader, signal.SIGSTOP)
        try:
            body, whole = rest_of(answer)
        finally:
            os.kill(leader, signal.SIGCONT)
        gate.open()
        assert not whole
        assert source.layer.data.startswith(body)
        body, whole = rest_of(first.answer())
        assert whole
        assert digest_of(body) == source.layer.digest
    source.wait_stored()


def test_a_worker_that_is_stuck_keeps_nobody_from_a_copy(sources: Scene) -> None:
    source = sources["stuck.rig"]
    wait_until_all_serve(source)
    stuck, other = two_workers(source)
    assert source.get(source.manifest()).status_code == 200
    source.upstream.forget()
    source.upstream.fault("manifests/*", Delay(0.9))
    token = source.proxy.client.token(*scopes_in(source.manifest()))
    with Wire.to(source.proxy, stuck) as first, Wire.to(source.proxy, other) as second:
        first.send(source.manifest())
        wait_for(lambda: source.upstream.count("HEAD", "manifests/*") == 1, "HEAD")
        os.kill(stuck, signal.SIGSTOP)
        try:
            answer = second.ask(source.manifest(), token)
            assert (answer.status, answer.read()) == (200, source.image.manifest.data)
            assert "Warning" in answer.headers
        finally:
            os.kill(stuck, signal.SIGCONT)
        source.upstream.heal()
        assert first.answer().status == 200


def test_when_all_workers_die_others_take_their_places(sources: Scene) -> None:
    source = sources["all-killed.rig"]
    wait_until_all_serve(source)
    assert source.get(source.manifest()).status_code == 200
    gate = Gate(SIZE // 2)
    source.upstream.fault("blobs/*", gate, times=1)
    with Wire(source.proxy) as wire:
        wire.send(source.blob())
        wait_for(lambda: growing(source) == SIZE // 2, "half of the blob")
        killed = source.proxy.workers()
        for worker in killed:
            source.proxy.kill_worker(worker)
        wait_for(lambda: not set(killed) & set(source.proxy.workers()), "end of the workers")
    gate.open()
    wait_until_all_serve(source)
    assert digest_of(source.get(source.blob()).content) == source.layer.digest
    assert source.upstream.sent("blobs/*") <= 1.1 * source.layer.size, "what was there was not used"
    assert all(event["code"] == -signal.SIGKILL for event in events(source, "worker_died"))


def test_a_worker_that_can_not_be_started_is_started_later(sources: Scene) -> None:
    """The supervisor lacks what it needs for that: files, here. The other worker serves on."""
    source = sources["all-killed.rig"]
    wait_until_all_serve(source)
    lost, other = two_workers(source)
    supervisor = source.proxy.process.pid
    soft, hard = resource.prlimit(supervisor, resource.RLIMIT_NOFILE)
    resource.prlimit(supervisor, resource.RLIMIT_NOFILE, (4, hard))
    try:
        source.proxy.kill_worker(lost)
        wait_for(lambda: len(events(source, "worker_not_started")) >= 2, "a second try")
        with Wire.to(source.proxy, other) as wire:
            assert wire.ask(source.manifest()).status == 200
    finally:
        resource.prlimit(supervisor, resource.RLIMIT_NOFILE, (soft, hard))
    wait_until_all_serve(source)


class Load:
    """Clients that pull one blob after the other, each until it is right, as container clients do."""

    def __init__(self, source: Source, blobs: Sequence[Blob], clients: int) -> None:
        self._source = source
        self._token = source.proxy.client.token(f"repository:{source.manifest().split('/manifests/')[0][4:]}:pull")
        self._waiting = iter(blobs)
        self._lock = threading.Lock()
        self.done: list[Blob] = []
        self.wrong: list[str] = []
        self.broken = 0
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(clients)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0, deadline - time.monotonic()))
            assert not thread.is_alive(), "a client still waits"

    def _run(self) -> None:
        while True:
            with self._lock:
                wanted = next(self._waiting, None)
            if wanted is None:
                return
            while not self._pull(wanted):
                time.sleep(0.05)
            with self._lock:
                self.done.append(wanted)

    def _pull(self, wanted: Blob) -> bool:
        try:
            with Wire(self._source.proxy) as wire:
                answer = wire.ask(self._source.blob(wanted), self._token)
                body, whole = rest_of(answer)
        except (OSError, httpx2.TransportError, EOFError):
            self.broken += 1
            return False
        if answer.status == 200 and whole:
            if digest_of(body) != wanted.digest:
                self.wrong.append(wanted.digest)
            return True
        if answer.status not in (200, 503):
            self.wrong.append(f"{answer.status} {body[:200]!r}")
        self.broken += 1
        return False


def image_of(blobs: Sequence[Blob]) -> Image:
    """An image of bare blobs, so that each has a size and a right to be pulled."""
    config = blob(b"{}")
    layers = [each.descriptor for each in blobs]
    value = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config.descriptor, "layers": layers}
    return Image(document(value, OCI_MANIFEST), config, tuple(blobs))


@pytest.mark.timeout(240)  # on a busy machine each new worker takes seconds
def test_fifty_kills_under_load(tmp_path: Path) -> None:
    """Six places for workers, one of which is killed at random fifty times; whoever was served by it tries again."""
    kills, seed = 50, 7
    chance = random.Random(seed)
    settings = {"server": {"workers": 6}}
    with scene(tmp_path, {"load.rig": PATIENT}, size=1000, settings=settings) as sources:
        source = sources["load.rig"]
        blobs = [noise(300_000 + number, seed=number) for number in range(200)]
        source.upstream.add(REPOSITORY, image_of(blobs), "many")
        assert source.get(source.manifest("many")).status_code == 200
        source.upstream.fault("blobs/*", Dribble(600_000))  # half a second each, so that a kill meets a fill
        load = Load(source, [*blobs, *blobs], clients=8)
        load.start()
        killed = 0
        while killed < kills:
            alive = source.proxy.workers()
            if len(alive) > 1 or killed % 10 == 0:  # mostly one stays; now and then the last one goes too
                source.proxy.kill_worker(chance.choice(alive))
                killed += 1
            time.sleep(chance.uniform(0.05, 0.5))
        load.join(90)
        assert load.wrong == []
        assert len(load.done) == 2 * len(blobs)
        assert load.broken > 0, "no kill met a pull"
        gets, sent = source.upstream.count("GET", "blobs/*"), source.upstream.sent("blobs/*")
        total = sum(each.size for each in blobs)
        print(f"{load.broken} pulls broke off; {gets} GETs for {len(blobs)} blobs, {sent / total:.3f} x their bytes")
        assert gets <= len(blobs) + 8 * kills
        assert sent <= 1.3 * total

        # What a client had is there, though the upstream is gone.
        source.upstream.stop()
        for each in blobs:
            answer = source.get(source.blob(each))
            assert digest_of(answer.content) == each.digest
            assert "hit" in answer.headers["Cache-Status"]
        source.upstream.start()
        # A note may outlive its partial file until the next start; bytes do not.
        assert all(path.suffix for path in (source.proxy.data / "partial").iterdir())
        died = events(source, "worker_died")
        assert len(died) == kills
        pauses: dict[object, list[float]] = defaultdict(list)
        for event in died:
            pauses[event["worker"]].append(float(str(event["again_in_seconds"])))
        assert any(all(a < b for a, b in itertools.pairwise(each[:4])) for each in pauses.values() if len(each) > 3)
        verify = (COMMAND, "cache", "verify", "--config", source.proxy.config_file)
        assert "damaged" not in run(verify).output  # of some blobs the index may not know yet
        assert run(verify).check().stdout == "Every blob is as it should be.\n"
        assert source.proxy.client.http.get("/-/metrics").status_code == 200


def test_workers_end_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    settings = {"server": {"stop_grace": "3s"}}
    with scene(tmp_path, {"orphans.rig": PATIENT}, size=SIZE, settings=settings) as sources:
        source = sources["orphans.rig"]
        assert source.get(source.manifest()).status_code == 200
        token = source.proxy.client.token()
        assert digest_of(source.get(source.blob()).content) == source.layer.digest
        source.wait_stored()
        workers = source.proxy.workers()
        gate = Gate(SIZE // 2)
        other = noise(SIZE, seed=5)
        source.upstream.add(REPOSITORY, other)
        source.upstream.fault("blobs/*", gate, method="GET")
        with Wire(source.proxy) as wire:
            answer = wire.ask(source.blob(other))  # in flight, and it will not end
            os.kill(source.proxy.process.pid, signal.SIGKILL)
            source.proxy.process.wait()
            wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), "end of the workers", 15)
            assert not rest_of(answer)[1]
        gate.open()
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", source.proxy.port), timeout=5)
        source.proxy.start()
        source.upstream.heal()
        assert source.proxy.client.get("/v2/", token).status_code == 200
        assert digest_of(source.get(source.blob(other)).content) == other.digest
