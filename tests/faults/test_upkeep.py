"""`runner-bridge cache ...` beside a running server: each worker knows, and nobody loses what he reads."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.scene import REPOSITORY, Place, Scene, Source, scene
from tests.faults.wires import Wire, rest_of
from tests.rig.faults import Gate
from tests.rig.images import Blob, digest_of, image, large_image, noise
from tests.rig.processes import Completed, run, wait_for
from tests.rig.proxy import COMMAND, GROUP

pytestmark = pytest.mark.faults

SIZE = 8_000_000
FRESH = {"freshness": "1h"}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    names = ("purged", "tag", "kept", "group", "collected", "damaged", "forgotten")
    places = {f"{name}.rig": Place(settings={**FRESH, "timeouts": {"read": "30s"}}) for name in names}
    with scene(tmp_path_factory.mktemp("upkeep"), places, size=SIZE) as running:
        yield running


def cache(source: Source, *arguments: str) -> Completed:
    return run((COMMAND, "cache", *arguments, "--config", source.proxy.config_file))


def fill(source: Source, reference: str = "latest") -> None:
    assert source.get(source.manifest(reference)).status_code == 200
    assert digest_of(source.get(source.blob()).content) == source.layer.digest
    source.wait_stored()
    for worker in source.proxy.workers():  # so that each remembers it
        with Wire.to(source.proxy, worker) as wire:
            assert wire.ask(source.manifest(reference)).read() == source.image.manifest.data
            assert wire.ask(source.manifest(source.image.digest)).read() == source.image.manifest.data


def file_of(source: Source, blob: Blob) -> Path:
    digits = blob.digest.partition(":")[2]
    return source.proxy.data / "blobs" / "sha256" / digits[:2] / digits


@pytest.mark.parametrize("name", ["purged", "tag", "group"])
def test_after_a_purge_every_worker_asks_upstream_again(sources: Scene, name: str) -> None:
    source, kept = sources[f"{name}.rig"], sources["kept.rig"]
    fill(source)
    if name != "group":
        fill(kept)
    source.upstream.forget()
    assert source.get(source.manifest()).status_code == 200
    assert source.upstream.count() == 0, "it is fresh for an hour"
    what = {"purged": (f"{source.name}/{REPOSITORY}",), "tag": (f"{source.name}/{REPOSITORY}:latest",), "group": ()}
    source.upstream.contents.remove(REPOSITORY, "latest", source.image.digest)
    done = cache(source, "purge", GROUP, *what[name]).check()
    assert "Forgot" in done.stdout
    time.sleep(1)
    for worker in source.proxy.workers():
        with Wire.to(source.proxy, worker) as wire:
            for path in (source.manifest(), source.manifest(source.image.digest), source.blob()):
                answer = wire.ask(path)
                body = answer.read()
                if path != source.blob():
                    assert answer.status == 404, "a worker still gives what was purged"
                else:  # which the upstream says this image may have, and whose bytes are here
                    assert digest_of(body) == source.layer.digest
    assert source.upstream.count("HEAD", "manifests/*") > 0
    kept.upstream.forget()
    if name != "group":
        assert kept.get(kept.manifest()).status_code == 200
        assert kept.upstream.count() == 0, "more was purged than was named"


def test_nothing_that_is_read_or_filled_is_collected(sources: Scene) -> None:
    source = sources["collected.rig"]
    fill(source)
    growing, idle = noise(SIZE, 1), large_image(500_000, seed=2)
    source.upstream.add(REPOSITORY, growing)
    source.upstream.add(REPOSITORY, idle, "idle")
    assert source.get(source.manifest("idle")).status_code == 200
    assert digest_of(source.get(source.blob(idle.layers[0])).content) == idle.layers[0].digest
    source.wait_stored(idle.layers[0])
    gate = Gate(SIZE // 2)
    source.upstream.fault(f"blobs/{growing.digest}", gate, method="GET")
    with ExitStack() as stack:
        slow = [stack.enter_context(Wire(source.proxy, receive_buffer=65536)) for _ in range(2)]
        answers = [wire.ask(source.blob()) for wire in slow]
        firsts = [answer.read(1) for answer in answers]
        filling = stack.enter_context(Wire(source.proxy))
        filling_answer = filling.ask(source.blob(growing))
        gate.wait_reached()
        cache(source, "purge", GROUP).check()
        removed = cache(source, "collect", "--format", "json").check()
        digests = {finding["digest"] for finding in json.loads(removed.stdout)}
        assert idle.layers[0].digest in digests
        assert source.stored(idle.layers[0]) is None
        assert source.layer.digest not in digests, "it is being read"
        assert source.stored() == source.layer.digest
        assert (source.proxy.data / "partial" / growing.digest.replace(":", "-")).exists(), "it is being filled"
        for first, answer in zip(firsts, answers, strict=True):
            body, whole = rest_of(answer)
            assert whole
            assert digest_of(first + body) == source.layer.digest
        gate.open()
        body, whole = rest_of(filling_answer)
        assert whole
        assert digest_of(body) == growing.digest
    source.wait_stored(growing)
    # Nobody reads it any more, and nothing refers to it.
    wait_for(lambda: _collects(source, source.layer), "end of the last reader")
    assert source.stored() is None
    assert source.get(source.manifest()).status_code == 200
    assert digest_of(source.get(source.blob()).content) == source.layer.digest


def _collects(source: Source, blob: Blob) -> bool:
    return blob.digest in cache(source, "collect").check().stdout


def test_verify_finds_a_flipped_bit_that_no_clock_tells_of(sources: Scene) -> None:
    """As a disk would flip it: without a write, and so without another time on the file."""
    source = sources["damaged.rig"]
    fill(source)
    file = file_of(source, source.layer)
    before = file.stat()
    with file.open("r+b") as place:
        place.seek(SIZE // 3)
        byte = place.read(1)[0]
        place.seek(SIZE // 3)
        place.write(bytes([byte ^ 0x10]))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    found = cache(source, "verify", "--format", "json")
    assert found.returncode == 1
    assert json.loads(found.stdout) == [{"digest": source.layer.digest, "what": "damaged, removed"}]
    assert cache(source, "verify").returncode == 0
    source.upstream.forget()
    assert digest_of(source.get(source.blob()).content) == source.layer.digest
    assert source.upstream.count("GET", "blobs/*") == 1


def test_a_purged_image_can_be_pulled_anew(sources: Scene) -> None:
    source = sources["forgotten.rig"]
    fill(source)
    cache(source, "purge", GROUP, f"{source.name}/{REPOSITORY}").check()
    moved = image()
    source.upstream.add(REPOSITORY, moved, "latest")
    wait_for(lambda: source.get(source.manifest()).content == moved.manifest.data, "the new image", 5)


def test_what_the_cache_holds_can_be_listed(sources: Scene) -> None:
    source = sources["kept.rig"]
    fill(source)
    rows = json.loads(cache(source, "list", "--format", "json").check().stdout)
    assert any(row["tag"] == "latest" and row["digest"] == source.image.digest for row in rows)
