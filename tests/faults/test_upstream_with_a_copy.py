"""The upstream fails and there is a copy: each cause has its own rule for how the copy serves, and with what label."""

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise

import httpx2
import pytest

from tests.faults.scene import Place, Scene, Source, error_of, scene
from tests.faults.wires import Wire
from tests.rig.faults import (
    Body,
    CutAt,
    Drop,
    Fault,
    Gate,
    HugeHeaders,
    Redirect,
    RedirectLoop,
    Silence,
    Status,
    WithHeaders,
    large_manifest,
    not_json,
    schema_1,
)
from tests.rig.images import digest_of, large_image
from tests.rig.processes import wait_for

pytestmark = pytest.mark.faults

STALE: dict[str, tuple[tuple[Fault, ...], str]] = {
    "says-nothing": ((Silence(),), "outage"),
    "hangs-up": ((Drop(),), "outage"),
    "closes-at-byte-0": ((CutAt(0),), "outage"),
    "closes-at-half": ((CutAt(0.5),), "outage"),
    "status-500": ((Status(500),), "outage"),
    "status-503": ((Status(503),), "outage"),
    "limited": ((Status(429),), "limited"),
    "status-401": ((Status(401),), "account"),
    "status-403": ((Status(403),), "account"),
    "redirects-in-a-circle": ((RedirectLoop(),), "invalid"),
    "redirects-to-metadata": ((Redirect("http://169.254.169.254/", keep_path=False),), "invalid"),
    "huge-headers": ((HugeHeaders(),), "invalid"),
    "eleven-mib": ((Body(large_manifest()),), "invalid"),
    "not-json": ((Body(not_json()),), "invalid"),
    "schema-1": ((Body(schema_1()),), "invalid"),
    "lying-digest": ((WithHeaders({"Docker-Content-Digest": digest_of(b"something else")}),), "invalid"),
}
"""Name -> what goes wrong for each request, and the word for it in Cache-Status."""

OTHERS = (
    "stopped",
    "deleted",
    "limit",
    "short-limit",
    "races-with-a-limit",
    "account",
    "outage",
    "raced",
    "expires",
    "lists",
)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    places = {f"{name}.rig": Place() for name in (*STALE, *OTHERS)}
    places["expires.rig"] = Place(settings={"max_stale": "2s"})
    for held in ("raced", "races-with-a-limit"):
        places[f"{held}.rig"] = Place(settings={"timeouts": {"read": "20s"}})
    with scene(tmp_path_factory.mktemp("with-a-copy"), places, size=1000) as running:
        for source in running.values():
            assert source.get(source.manifest()).content == source.image.manifest.data
        yield running


def assert_stale(source: Source, answer: httpx2.Response, word: str) -> None:
    """The copy, labelled as what it is."""
    assert answer.status_code == 200, answer.text
    assert answer.content == source.image.manifest.data
    assert answer.headers["Docker-Content-Digest"] == source.image.digest
    assert re.fullmatch(r'299 - "[^"]+"', answer.headers["Warning"])
    assert source.name in answer.headers["Warning"]
    assert re.fullmatch(rf'runner-bridge; hit; ttl=-\d+; detail="{word}"', answer.headers["Cache-Status"])
    assert 0 <= int(answer.headers["Age"]) < 300


def is_stale(answer: httpx2.Response) -> bool:
    assert answer.status_code == 200, answer.text
    return "Warning" in answer.headers


@pytest.mark.parametrize("name", STALE)
def test_the_copy_is_served_with_a_warning(sources: Scene, name: str) -> None:
    source, (faults, word) = sources[f"{name}.rig"], STALE[name]
    # The tag has moved meanwhile: the HEAD alone would not meet what is wrong with the body.
    source.upstream.add("org/app", large_image(1000, seed=99), "latest")
    source.upstream.fault("manifests/*", *faults)
    for _ in range(2):  # the second time within the pause, where there is one
        assert_stale(source, source.get(source.manifest()), word)


def test_an_upstream_that_is_gone_leaves_its_images_pullable(sources: Scene) -> None:
    source = sources["stopped.rig"]
    assert source.get(source.blob()).content == source.layer.data
    source.upstream.stop()
    try:
        assert_stale(source, source.get(source.manifest()), "outage")
        by_digest = source.get(source.manifest(source.image.digest))
        assert by_digest.content == source.image.manifest.data
        assert "Warning" not in by_digest.headers  # it needs no confirming
        assert source.get(source.blob()).content == source.layer.data
        absent = source.get(source.manifest("never-pulled"))
        assert (absent.status_code, error_of(absent)["code"]) == (503, "UNAVAILABLE")
        assert int(absent.headers["Retry-After"]) > 0
    finally:
        source.upstream.start()


def test_a_deleted_tag_is_gone_at_once(sources: Scene) -> None:
    source = sources["deleted.rig"]
    source.upstream.contents.remove("org/app", "latest")
    answer = source.get(source.manifest())
    assert (answer.status_code, error_of(answer)["code"]) == (404, "MANIFEST_UNKNOWN")
    source.upstream.fault("manifests/*", Status(500))
    assert source.get(source.manifest()).status_code == 404, "an outage does not bring back what was deleted"


def test_a_limit_is_respected_by_every_worker(sources: Scene) -> None:
    source = sources["limit.rig"]
    source.upstream.fault("manifests/*", Status(429, retry_after="600"))
    assert_stale(source, source.get(source.manifest()), "limited")
    asked = source.upstream.count()
    source.upstream.heal()
    for worker in source.proxy.workers():
        with Wire.to(source.proxy, worker) as wire:
            for _ in range(5):
                answer = wire.ask(source.manifest())
                assert (answer.status, answer.read()) == (200, source.image.manifest.data)
                assert answer.headers["Warning"]
            cold = wire.ask(source.manifest("another"))
            assert (cold.status, 500 < int(cold.headers["Retry-After"]) <= 600) == (429, True)
            cold.read()
    assert source.upstream.count() == asked, "it was asked although it had said to wait"
    assert source.get(source.blob()).content == source.layer.data, "blobs are not what such limits count"


def test_a_limit_ends_when_the_upstream_said(sources: Scene) -> None:
    source = sources["short-limit.rig"]
    limited_at = time.monotonic()
    source.upstream.fault("manifests/*", Status(429, retry_after="2"), times=1)
    assert_stale(source, source.get(source.manifest()), "limited")
    while is_stale(source.get(source.manifest())):
        assert time.monotonic() < limited_at + 15
        time.sleep(0.1)
    assert time.monotonic() >= limited_at + 2


def test_a_late_success_does_not_end_a_limit(sources: Scene) -> None:
    """One request is under way when another is told to wait: its good answer is no leave to ask again."""
    source = sources["races-with-a-limit.rig"]
    other = large_image(1000, seed=98)
    source.upstream.add("org/app", other, "slow")
    gate = Gate()
    source.upstream.fault(f"manifests/{other.digest}", gate)
    source.upstream.fault("manifests/latest", Status(429, retry_after="600"))
    with Wire(source.proxy) as wire:
        wire.send(source.manifest("slow"))
        gate.wait_reached()
        assert_stale(source, source.get(source.manifest()), "limited")
        gate.open()
        assert wire.answer().status == 200
    source.upstream.heal()
    assert_stale(source, source.get(source.manifest()), "limited")


@pytest.mark.parametrize("status", [401, 403])
def test_trouble_with_our_account_is_never_remembered(sources: Scene, status: int) -> None:
    source = sources["account.rig"]
    source.upstream.fault("manifests/*", Status(status))
    cold = f"cold-{status}"
    source.upstream.add("org/app", source.image, cold)
    for _ in range(3):
        source.upstream.forget()
        assert_stale(source, source.get(source.manifest()), "account")
        assert source.upstream.count() > 0, "each pull asks again"
        assert source.get(source.manifest(cold)).status_code == 404
    source.upstream.heal()
    assert not is_stale(source.get(source.manifest()))
    assert source.get(source.manifest(cold)).status_code == 200


def test_during_an_outage_the_upstream_is_asked_ever_less_often(sources: Scene) -> None:
    source = sources["outage.rig"]
    source.upstream.forget()
    source.upstream.fault("manifests/*", Status(500))
    began = time.monotonic()
    while time.monotonic() < began + 5:
        assert is_stale(source.get(source.manifest()))
    moments = [request.at for request in source.upstream.asked()]
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert 3 <= len(moments) <= 5, moments  # after 0.5 s, 1 s, 2 s, 4 s
    assert gaps == sorted(gaps)
    source.upstream.heal()
    while is_stale(source.get(source.manifest())):
        assert time.monotonic() < began + 20
        time.sleep(0.05)


def test_many_pulls_that_fail_at_once_are_one_failure(sources: Scene) -> None:
    """Else one bad moment of the upstream would keep everybody from it for long."""
    source = sources["raced.rig"]
    tags = [f"tag-{number}" for number in range(12)]
    source.upstream.add("org/app", source.image, *tags)
    gate = Gate()
    source.upstream.fault("manifests/*", Status(500), gate, method="GET")
    source.upstream.fault("manifests/*", Status(405), method="HEAD")
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(source.proxy)) for _ in tags]
        for wire, tag in zip(wires, tags, strict=True):
            wire.send(source.manifest(tag))
        gate.wait_reached()
        wait_for(lambda: source.upstream.count() >= len(tags), "all requests upstream")
        gate.open()
        assert {wire.answer().status for wire in wires} == {503}
    failed_at = time.monotonic()
    source.upstream.heal()
    while is_stale(source.get(source.manifest())):
        time.sleep(0.05)
    assert time.monotonic() - failed_at < 6


def test_a_copy_is_not_served_for_ever(sources: Scene) -> None:
    source = sources["expires.rig"]
    assert not is_stale(source.get(source.manifest()))
    source.upstream.fault("manifests/*", Status(500))
    time.sleep(2.5)
    answer = source.get(source.manifest())
    assert (answer.status_code, error_of(answer)["code"]) == (503, "UNAVAILABLE")


def test_lists_are_served_stale_too(sources: Scene) -> None:
    source = sources["lists.rig"]
    path = source.manifest("list").replace("/manifests/", "/tags/")
    fresh = source.get(path)
    assert fresh.json()["tags"] == ["latest"]
    source.upstream.fault("tags/*", Status(500))
    again = source.get(path)
    assert again.json() == fresh.json()  # within its minute, without asking


def test_no_answer_was_a_fault_of_ours(sources: Scene) -> None:
    log = sources["limit.rig"].proxy.log
    assert "unexpected_error" not in log
    assert "Traceback" not in log
