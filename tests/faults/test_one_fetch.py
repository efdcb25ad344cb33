"""One fetch from the upstream for all clients of all workers, and everybody reads while it grows."""

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import cycle

import pytest

from tests.faults.scene import REPOSITORY, Place, Scene, Source, scene
from tests.faults.wires import Wire, rest_of
from tests.rig.faults import Dribble, Gate
from tests.rig.images import Blob, digest_of, noise
from tests.rig.processes import wait_for

pytestmark = pytest.mark.faults

SIZE = 3_000_000
HALF = SIZE // 2
CLIENTS = 30
MOST = 3
"""`max_fills` of this proxy."""


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    hasty = Place(settings={"timeouts": {"read": "1s"}})
    places = {"any.rig": Place(settings={"timeouts": {"read": "30s"}}), "hasty.rig": hasty}
    settings = {"storage": {"max_fills": MOST}}
    with scene(tmp_path_factory.mktemp("one"), places, size=1000, settings=settings) as running:
        assert running["any.rig"].get(running["any.rig"].manifest()).status_code == 200
        yield running


@pytest.fixture
def source(sources: Scene) -> Iterator[Source]:
    yield sources["any.rig"]
    sources["any.rig"].upstream.heal()


@pytest.fixture
def hasty(sources: Scene) -> Source:
    """An upstream whose every silence counts as a fault after a second."""
    return sources["hasty.rig"]


def cold(source: Source, seed: int, size: int = SIZE) -> Blob:
    blob = noise(size, seed)
    source.upstream.add(REPOSITORY, blob)
    return blob


def fetches(source: Source, *blobs: Blob) -> int:
    return sum(source.upstream.count("GET", f"blobs/{blob.digest}") for blob in blobs)


def test_thirty_clients_of_two_workers_share_one_fetch(source: Source) -> None:
    blob = cold(source, 1)
    gate = Gate(HALF)
    source.upstream.fault("blobs/*", gate, method="GET")
    with ExitStack() as stack:
        workers = cycle(source.proxy.workers())
        wires = [stack.enter_context(Wire.to(source.proxy, next(workers))) for _ in range(CLIENTS)]
        for wire in wires:
            wire.send(source.blob(blob))
        answers = [wire.answer() for wire in wires]
        firsts = [answer.read(1000) for answer in answers]
        assert firsts == [blob.data[:1000]] * CLIENTS, "the first bytes come before the last are there"
        assert all(answer.headers["Content-Length"] == str(blob.size) for answer in answers)
        assert fetches(source, blob) == 1
        gate.open()
        for answer in answers:
            body, whole = rest_of(answer)
            assert whole
            assert body == blob.data[1000:]
    source.wait_stored(blob)
    assert fetches(source, blob) == 1
    assert source.upstream.sent(f"blobs/{blob.digest}") == blob.size


RANGES = {
    "bytes=0-0": (0, 1),
    "bytes=100-199": (100, 200),
    "bytes=1000000-1000999": (1_000_000, 1_001_000),
    f"bytes={HALF - 10}-{HALF + 9}": (HALF - 10, HALF + 10),
    "bytes=2900000-": (2_900_000, SIZE),
    "bytes=-1": (SIZE - 1, SIZE),
    "bytes=-1000": (SIZE - 1000, SIZE),
    f"bytes=10-{10 * SIZE}": (10, SIZE),
    f"bytes={SIZE - 1}-": (SIZE - 1, SIZE),
}


def test_ranges_of_a_growing_blob(source: Source) -> None:
    blob = cold(source, 2)
    gate = Gate(HALF)
    source.upstream.fault("blobs/*", gate, method="GET")
    with ExitStack() as stack:
        workers = cycle(source.proxy.workers())
        first = stack.enter_context(Wire.to(source.proxy, next(workers)))
        whole_answer = first.ask(source.blob(blob))
        wires = {}
        for worker in source.proxy.workers():
            for text in RANGES:
                wires[worker, text] = stack.enter_context(Wire.to(source.proxy, worker))
                wires[worker, text].send(source.blob(blob), headers={"Range": text})
        for (_, text), wire in wires.items():  # what is there already comes at once
            start, end = RANGES[text]
            if end <= HALF - 1000:
                answer = wire.answer()
                assert answer.status == 206
                assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/{SIZE}"
                assert answer.read() == blob.data[start:end]
        beyond = stack.enter_context(Wire(source.proxy)).ask(source.blob(blob), headers={"Range": f"bytes={SIZE}-"})
        assert (beyond.status, beyond.headers["Content-Range"]) == (416, f"bytes */{SIZE}")
        gate.open()
        for (_, text), wire in wires.items():
            start, end = RANGES[text]
            if end > HALF - 1000:
                answer = wire.answer()
                assert answer.status == 206
                assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/{SIZE}"
                assert answer.read() == blob.data[start:end]
        assert rest_of(whole_answer) == (blob.data, True)
    assert fetches(source, blob) == 1


def test_no_more_blobs_at_once_than_are_allowed(source: Source) -> None:
    """Over both workers together; the others wait their turn, and all come in the end."""
    blobs = [cold(source, 100 + number, 200_000 + number) for number in range(4 * MOST)]
    source.upstream.fault("blobs/*", Dribble(1_000_000), method="GET")
    most = 0
    with ThreadPoolExecutor(len(blobs)) as pool:
        workers = cycle(source.proxy.workers())
        pulls = [pool.submit(_pull, source, next(workers), blob) for blob in blobs]
        while not all(pull.done() for pull in pulls):
            most = max(most, _under_way(source))
            time.sleep(0.01)
        assert all(pull.result() for pull in pulls)
    assert most == MOST
    assert fetches(source, *blobs) == len(blobs)


def _pull(source: Source, worker: int, blob: Blob) -> bool:
    with Wire.to(source.proxy, worker) as wire:
        body, whole = rest_of(wire.ask(source.blob(blob)))
    return whole and digest_of(body) == blob.digest


def _under_way(source: Source) -> int:
    folder = source.proxy.data / "partial"
    return sum(re.fullmatch("sha256-[0-9a-f]{64}", path.name) is not None for path in folder.iterdir())


def test_who_comes_when_all_places_are_taken_waits_and_is_served(source: Source, hasty: Source) -> None:
    """However long that takes, and in the other worker too: a fill that waits for its turn is not one that is stuck."""
    blocking = [cold(source, 200 + number) for number in range(MOST)]
    wanted = cold(hasty, 300, 300_000)
    gates = [Gate(HALF) for _ in blocking]
    for blob, gate in zip(blocking, gates, strict=True):
        source.upstream.fault(f"blobs/{blob.digest}", gate, method="GET")
    with ExitStack() as stack:
        for blob in blocking:
            stack.enter_context(Wire(source.proxy)).send(source.blob(blob))
        for gate in gates:
            gate.wait_reached()
        waiting = [stack.enter_context(Wire.to(hasty.proxy, worker)) for worker in hasty.proxy.workers()]
        for wire in waiting:
            wire.send(hasty.blob(wanted))
        time.sleep(8)  # longer than a fill of this upstream may stand still
        assert fetches(hasty, wanted) == 0
        gates[0].open()
        for wire in waiting:
            assert rest_of(wire.answer()) == (wanted.data, True)
        assert fetches(hasty, wanted) == 1
        for gate in gates:
            gate.open()
    for blob in blocking:
        source.wait_stored(blob)


def test_a_manifest_is_asked_for_once_by_all_who_wait(source: Source) -> None:
    gate = Gate()
    source.upstream.forget()
    source.upstream.add(REPOSITORY, source.image, "busy")
    source.upstream.fault("manifests/*", gate, method="GET")
    with ExitStack() as stack:
        workers = cycle(source.proxy.workers())
        wires = [stack.enter_context(Wire.to(source.proxy, next(workers))) for _ in range(20)]
        wires[0].send(source.manifest("busy"))
        for wire in wires[1:]:
            wire.send(source.manifest("busy"))
        gate.open()
        for wire in wires:
            answer = wire.answer()
            assert (answer.status, answer.read()) == (200, source.image.manifest.data)
    # Each who began to wait before it was confirmed shares the answer; who came after it asks for himself.
    assert source.upstream.count("GET", "manifests/*") <= 1
    assert source.upstream.count("HEAD", "manifests/*") < 20


def test_an_unchanged_tag_costs_one_get_however_often_it_is_pulled(source: Source) -> None:
    source.upstream.forget()
    for _ in range(40):
        assert source.get(source.manifest()).status_code == 200
    assert source.upstream.count("GET") == 0
    wait_for(lambda: source.upstream.count("HEAD", "manifests/latest") == 40, "a HEAD for each")
