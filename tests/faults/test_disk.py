"""The disk fills up, breaks, or loses what it was given: pulls go on, and no wrong byte is served."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

from proxy_core.server.metrics_folder import metrics_folder
from proxy_core.telemetry.metrics import prepare_folder
from tests.faults.disks import Ballast, BreakableDisk, breakable_disk, small_disk
from tests.faults.scene import REPOSITORY, Place, Scene, Source, scene
from tests.faults.wires import Wire, rest_of
from tests.rig.faults import Gate
from tests.rig.images import digest_of, large_image
from tests.rig.presence import need
from tests.rig.processes import run, wait_for
from tests.rig.proxy import COMMAND

pytestmark = pytest.mark.faults

SIZE = 1_000_000


def blob_file(source: Source) -> Path:
    algorithm, _, digits = source.layer.digest.partition(":")
    return source.proxy.data / "blobs" / algorithm / digits[:2] / digits


def partials(source: Source) -> list[str]:
    return sorted(path.name for path in (source.proxy.data / "partial").iterdir())


def events(source: Source, name: str) -> list[dict[str, object]]:
    lines = (json.loads(line) for line in source.proxy.log.splitlines() if line.startswith("{"))
    return [line for line in lines if line.get("event") == name]


def pulled(source: Source) -> bool:
    """A whole pull: the tag, then the layer. All of it right?"""
    manifest = source.get(source.manifest())
    assert manifest.status_code == 200, manifest.text
    blob = source.get(source.blob())
    assert blob.status_code == 200, blob.text
    return (digest_of(manifest.content), digest_of(blob.content)) == (source.image.digest, source.layer.digest)


@pytest.fixture(scope="module")
def full_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    need("a full disk", root=True)
    with small_disk(tmp_path_factory.mktemp("full") / "disk", "24m") as place:
        yield place


@pytest.fixture(scope="module")
def before_full_disk(full_disk: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    places = {f"{name}.rig": Place(settings={"timeouts": {"read": "20s"}}) for name in ("first", "second", "third")}
    settings = {"storage": {"directory": str(full_disk / "data"), "min_free": "1MiB"}}
    # Whatever else the processes write goes onto the same disk, as on a machine that has but one.
    env = {"TMPDIR": str(full_disk)}
    with scene(tmp_path_factory.mktemp("proxy"), places, size=SIZE, settings=settings, env=env) as running:
        yield running


def test_a_pull_goes_on_when_the_disk_fills_up_in_the_middle(full_disk: Path, before_full_disk: Scene) -> None:
    sources = before_full_disk
    source, other, third = sources["first.rig"], sources["second.rig"], sources["third.rig"]
    assert pulled(third)
    ballast = Ballast(full_disk)
    gate = Gate(SIZE // 2)
    source.upstream.fault("blobs/*", gate, times=1)
    assert source.get(source.manifest()).status_code == 200
    wires = [Wire.to(source.proxy, worker) for worker in source.proxy.workers()]
    for wire in wires:
        wire.send(source.blob())
    answers = [wire.answer() for wire in wires]
    gate.wait_reached()
    ballast.take_all()
    gate.open()
    for answer in answers:
        body, whole = rest_of(answer)
        assert whole
        assert digest_of(body) == source.layer.digest
    for wire in wires:
        wire.close()

    assert source.stored() is None
    assert partials(source) == []
    wait_for(lambda: any(event["outcome"] == "uncached" for event in events(source, "fill_failed")), "event")

    # Nothing can be written at all: what was never here is passed through, what is here is served.
    ballast.take_all()
    assert pulled(other)
    assert pulled(third)
    assert other.stored() is None
    assert source.proxy.client.http.get("/-/liveness").status_code == 200

    ballast.give_back()
    assert pulled(source)
    source.wait_stored()
    assert pulled(other)
    other.wait_stored()
    assert len(source.proxy.workers()) == 2
    assert not events(source, "worker_died")
    assert not events(source, "unexpected_error")


COUNTING = """
import sys
from pathlib import Path
from proxy_core.telemetry.metrics import Metrics

metrics = Metrics(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.read()
for number in range(2000):
    metrics.upstream_requests.labels(f"{number}.example", "manifest", "2xx").inc()
"""


def test_what_is_counted_kills_nobody_on_a_full_disk(tmp_path: Path) -> None:
    """The kernel kills a process that writes into a hole of a mapped file for which there is no room any more."""
    need("a full disk", root=True)
    with small_disk(tmp_path / "disk", "8m") as disk:
        prepare_folder(disk)
        argv = (sys.executable, "-c", COUNTING, str(disk))
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            Ballast(disk).take_all()
            process.communicate("", timeout=30)
        assert process.returncode == 0
        late = run((sys.executable, "-c", COUNTING, disk))
        assert late.returncode == 1  # not killed: told
        assert "There is no room for the metrics" in late.stderr


def test_what_a_killed_server_leaves_in_memory_is_removed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("proxy_core.server.metrics_folder._MEMORY", tmp_path)
    left, others = tmp_path / "runner-bridge-metrics-left", tmp_path / "someone-elses"
    for folder in (left, others):
        folder.mkdir()
        (folder / "lock").touch()
        os.utime(folder, (0, 0))
    with metrics_folder() as running:
        assert sorted(tmp_path.iterdir()) == sorted([others, running])
        os.utime(running, (0, 0))
        with metrics_folder() as second:  # does not take what another one uses
            assert sorted(tmp_path.iterdir()) == sorted([others, running, second])
    assert sorted(tmp_path.iterdir()) == [others]


def test_when_the_cache_is_as_large_as_it_may_be_pulls_go_on(tmp_path: Path) -> None:
    names = [f"number-{number}.rig" for number in range(4)]
    settings = {"storage": {"max_size": "2500KiB"}, "server": {"workers": 1}}
    with scene(tmp_path, {name: Place() for name in names}, size=SIZE, settings=settings) as sources:
        assert all(pulled(source) for source in sources.values())
        for name in names[:2]:
            sources[name].wait_stored()
        assert sources[names[2]].stored() is None
        assert sources[names[3]].stored() is None
        answer = sources[names[3]].get(sources[names[3]].blob())
        assert "stored" not in answer.headers["Cache-Status"]
        assert (
            sources[names[3]].get(sources[names[3]].blob(), Range="bytes=-10").content
            == (sources[names[3]].layer.data[-10:])
        )


def test_many_uncached_pulls_that_wait_hold_up_nobody(tmp_path: Path) -> None:
    """Each of them waits in a thread; what others need threads for goes on."""
    patient = Place(settings={"timeouts": {"read": "60s"}})
    settings = {"storage": {"max_size": "1MiB"}, "server": {"workers": 1}}
    places = {"silent.rig": patient, "sound.rig": patient}
    with scene(tmp_path, places, size=3 * SIZE, settings=settings) as sources, ExitStack() as stack:
        silent, sound = sources.values()
        assert silent.get(silent.manifest()).status_code == 200
        gate = Gate(SIZE)
        silent.upstream.fault("blobs/*", gate)
        wires = [stack.enter_context(Wire(silent.proxy)) for _ in range(20)]
        answers = [wire.ask(silent.blob()) for wire in wires]
        gate.wait_reached()
        assert pulled(sound)
        gate.open()
        for answer in answers:
            body, whole = rest_of(answer)
            assert whole
            assert digest_of(body) == silent.layer.digest


@pytest.fixture(scope="module")
def breaking_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BreakableDisk]:
    need("a disk that breaks", root=True)
    if shutil.which("mkfs.ext4") is None or not os.access("/dev/loop-control", os.W_OK):
        pytest.skip("not tested: a disk that breaks; needs mkfs.ext4 and loop devices")
    with breakable_disk(tmp_path_factory.mktemp("broken")) as disk:
        yield disk


def test_pulls_go_on_when_the_disk_becomes_read_only(breaking_disk: BreakableDisk, tmp_path: Path) -> None:
    settings = {"storage": {"directory": str(breaking_disk.place / "data"), "min_free": "1MiB"}}
    places = {"here.rig": Place(), "filling.rig": Place(settings={"timeouts": {"read": "20s"}}), "new.rig": Place()}
    with scene(tmp_path, places, size=SIZE, settings=settings) as sources:
        here, filling, new = sources.values()
        assert pulled(here)
        here.wait_stored()
        assert filling.get(filling.manifest()).status_code == 200
        gate = Gate(SIZE // 2)
        filling.upstream.fault("blobs/*", gate, times=1)
        with Wire(filling.proxy) as wire:
            answer = wire.ask(filling.blob())
            gate.wait_reached()
            breaking_disk.fail()
            gate.open()
            body, whole = rest_of(answer)
        assert whole
        assert digest_of(body) == filling.layer.digest
        for worker in here.proxy.workers():
            with Wire.to(here.proxy, worker) as wire:
                assert digest_of(wire.ask(here.blob()).read()) == here.layer.digest
        assert pulled(here)
        assert pulled(new)
        here.upstream.add(REPOSITORY, large_image(SIZE, seed=77), "moved")
        assert here.get(here.manifest("moved")).status_code == 200
        here.upstream.stop()
        assert "Warning" in here.get(here.manifest()).headers
        ready = here.proxy.client.http.get("/-/readiness")
        assert ready.status_code == 503
        assert "Read-only" in ready.text
        assert not events(here, "unexpected_error")
        assert here.proxy.stop() == 0
        refused = run((COMMAND, "serve", "--config", here.proxy.config_file))
        assert refused.returncode == 1
        assert "Read-only file system" in refused.stderr
        assert "Traceback" not in refused.output


def _delete(file: Path) -> None:
    file.unlink()


def _truncate(file: Path) -> None:
    os.truncate(file, SIZE // 2)


def _empty(file: Path) -> None:
    os.truncate(file, 0)


def _lengthen(file: Path) -> None:
    with file.open("ab") as end:
        end.write(b"\0")


def _flip_a_bit(file: Path) -> None:
    with file.open("r+b") as place:
        place.seek(SIZE // 2)
        byte = place.read(1)[0]
        place.seek(SIZE // 2)
        place.write(bytes([byte ^ 1]))


def _replace(file: Path) -> None:
    other = file.with_name("other")
    other.write_bytes(b"something else")
    other.rename(file)


def _empty_the_shard(file: Path) -> None:
    shutil.rmtree(file.parent)


DAMAGES: tuple[Callable[[Path], None], ...] = (
    _delete,
    _truncate,
    _empty,
    _lengthen,
    _flip_a_bit,
    _replace,
    _empty_the_shard,
)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    places = {f"{damage.__name__.strip('_').replace('_', '-')}.rig": Place() for damage in DAMAGES}
    places["read.rig"] = Place()
    with scene(tmp_path_factory.mktemp("damage"), places, size=SIZE) as running:
        yield running


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_next_pull_is_right(sources: Scene, damage: Callable[[Path], None]) -> None:
    source = sources[f"{damage.__name__.strip('_').replace('_', '-')}.rig"]
    assert pulled(source)
    source.wait_stored()
    source.upstream.forget()
    damage(blob_file(source))
    for worker in source.proxy.workers():
        with Wire.to(source.proxy, worker) as wire:
            body, whole = rest_of(wire.ask(source.blob()))
            assert whole
            assert digest_of(body) == source.layer.digest
    source.wait_stored()
    assert source.upstream.count("GET", "blobs/*") == 1


def test_a_file_that_becomes_shorter_while_it_is_read_gives_no_whole_body(sources: Scene) -> None:
    source = sources["read.rig"]
    large = large_image(20_000_000, seed=50)
    source.upstream.add(REPOSITORY, large, "large")
    assert source.get(source.manifest("large")).status_code == 200
    blob = large.layers[0]
    assert digest_of(source.get(source.blob(blob)).content) == blob.digest
    source.wait_stored(blob)
    with Wire(source.proxy, receive_buffer=65536) as wire:
        answer = wire.ask(source.blob(blob))
        first = answer.read(1000)
        digits = blob.digest.partition(":")[2]
        os.truncate(source.proxy.data / "blobs" / "sha256" / digits[:2] / digits, 10_000_000)
        body, whole = rest_of(answer)
    assert not whole
    assert blob.data.startswith(first + body)
    again: httpx2.Response = source.get(source.blob(blob))
    assert digest_of(again.content) == blob.digest
