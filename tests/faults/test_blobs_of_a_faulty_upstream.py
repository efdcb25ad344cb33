"""A blob comes badly: the client gets the right bytes, or a clean error, or a connection that ends short of what was
promised. Never a whole body that is wrong; and nothing wrong is kept."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import pytest

from tests.faults.scene import Place, Scene, Source, scene
from tests.faults.wires import Wire, rest_of
from tests.rig.challenges import Bearer
from tests.rig.faults import (
    Chunked,
    CloseDelimited,
    CutAt,
    Drop,
    FalseRange,
    Fault,
    Gate,
    HugeHeaders,
    Lengthened,
    NoRange,
    Redirect,
    RedirectLoop,
    Shortened,
    Silence,
    Status,
    WrongByte,
)
from tests.rig.images import digest_of
from tests.rig.upstream import Upstream

pytestmark = pytest.mark.faults

SIZE = 200_000
HELD_BACK = 64 * 1024
"""So much of the end of a body waits until the digest of the whole is right."""

Outcome = Literal["right", "short"] | int
"""What the client has in the end; a number: an error with this status."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What each request for the blob meets, one after the other; the last for ever if `lasting`."""

    plans: tuple[tuple[Fault, ...], ...]
    outcome: Outcome
    lasting: bool = False
    most_bytes: float = 1.1  # sent by the upstream, times the blob's size


def once(
    *faults: Fault, then: tuple[Fault, ...] | None = None, outcome: Outcome = "right", bytes_: float = 1.1
) -> Trouble:
    return Trouble((faults,) if then is None else (faults, then), outcome, most_bytes=bytes_)


def always(*faults: Fault, outcome: Outcome, bytes_: float = 10) -> Trouble:
    return Trouble((faults,), outcome, lasting=True, most_bytes=bytes_)


RESUMED = {
    "closes-at-byte-0": once(CutAt(0)),
    "closes-at-byte-1": once(CutAt(1)),
    "closes-at-half": once(CutAt(0.5)),
    "closes-at-last": once(CutAt(-1)),
    "resets-at-half": once(CutAt(0.5, reset=True)),
    "closes-again-and-again": always(CutAt(40_000), outcome="right", bytes_=1.1),
    "falls-silent-at-half": once(Gate(SIZE // 2)),
    "closes-and-has-no-ranges": once(CutAt(0.5), then=(NoRange(),), bytes_=1.6),
    "closes-and-lies-about-ranges": once(CutAt(0.5), then=(FalseRange(),), bytes_=2.1),
    "closes-and-goes-on-wrongly": once(CutAt(0.5), then=(WrongByte(-1),), bytes_=4.1),
    "closes-and-500": once(CutAt(0.5), then=(Status(500),)),
    "closes-and-503": once(CutAt(0.5), then=(Status(503),)),
    "closes-and-hangs-up": once(CutAt(0.5), then=(Drop(),)),
    "no-length": always(Chunked(), outcome="right"),
    "until-the-end": always(CloseDelimited(), outcome="right"),
    "closes-in-a-chunk": once(Chunked(), CutAt(0.5)),
    "ends-early-without-length": once(CloseDelimited(), CutAt(0.5)),
    "one-wrong-length": once(Chunked(), Shortened(1000)),
}

BROKEN_OFF = {
    "never-the-second-half": always(CutAt(0.5), NoRange(), outcome="short"),
    "closes-and-403": once(CutAt(0.5), then=(Status(403),), outcome="short"),
    "closes-and-404": once(CutAt(0.5), then=(Status(404),), outcome="short"),
    "closes-and-429": once(CutAt(0.5), then=(Status(429),), outcome="short"),
    "wrong-first-byte": always(WrongByte(0), outcome="short"),
    "wrong-byte-in-the-middle": always(WrongByte(SIZE // 2), outcome="short"),
    "wrong-last-byte": always(WrongByte(-1), outcome="short"),
    "wrong-byte-without-length": always(Chunked(), WrongByte(-1), outcome="short"),
    "too-many": always(Lengthened(1000), outcome="short"),
    "too-few": always(Shortened(1000), outcome="short"),
    "too-many-without-length": always(CloseDelimited(), Lengthened(1000), outcome="short"),
    "too-few-without-length": always(CloseDelimited(), Shortened(1000), outcome="short"),
}

REFUSED = {
    "says-nothing": always(Silence(), outcome=503),
    "never-a-byte": always(CutAt(0), outcome=503),
    "hangs-up": always(Drop(), outcome=503),
    "status-401": always(Status(401), outcome=404),
    "status-403": always(Status(403), outcome=404),
    "status-404": always(Status(404), outcome=404),
    "status-429": always(Status(429, retry_after="1"), outcome=429),
    "status-500": always(Status(500), outcome=503),
    "status-503": always(Status(503), outcome=503),
    "redirects-in-a-circle": always(RedirectLoop(), outcome=502),
    "redirects-to-metadata": always(Redirect("http://169.254.169.254/", keep_path=False), outcome=502),
    "huge-headers": always(HugeHeaders(), outcome=502),
}

SMALL = {
    "small-and-wrong": always(WrongByte(-1), outcome=502),
    "small-and-too-long": always(Lengthened(), outcome=502),
    "small-and-too-short": always(Shortened(), outcome=502),
    "small-and-never-whole": always(CutAt(-1), NoRange(), outcome=503),
}
"""Held back whole, so that the client can still be told."""

UNCACHED: dict[str, tuple[tuple[Fault, ...], Outcome]] = {
    "sound": ((), "right"),
    "no-length": ((Chunked(),), "right"),
    "until-the-end": ((CloseDelimited(),), "right"),
    "never-a-byte": ((CutAt(0),), 503),
    "closes-at-half": ((CutAt(0.5),), "short"),
    "closes-at-last": ((CutAt(-1),), "short"),
    "wrong-first-byte": ((WrongByte(0),), "short"),
    "wrong-last-byte": ((WrongByte(-1),), "short"),
    "wrong-without-length": ((Chunked(), WrongByte(-1)), "short"),
    "too-many": ((Lengthened(1000),), "short"),
    "too-few": ((Shortened(1000),), "short"),
    "status-500": ((Status(500),), 503),
}
"""What each client of a proxy without room gets."""

TROUBLES = RESUMED | BROKEN_OFF | REFUSED | SMALL
TOKENS = Bearer()
"""What one of the upstreams wants to see."""

UNKNOWN_SIZE = ("unknown-size", "unknown-size-and-wrong", "unknown-size-and-cut")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with Upstream() as cdn:
        places = {f"{name}.rig": Place() for name in (*TROUBLES, *UNKNOWN_SIZE)}
        places["tokens.rig"] = Place(Upstream(challenge=TOKENS))
        places["cdn.rig"] = Place(settings={"private_redirects": ["127.0.0.0/8"]})
        with scene(tmp_path_factory.mktemp("blobs"), places, size=SIZE) as running:
            cdn.add("org/app", running["cdn.rig"].image, "latest")
            running["cdn.rig"].upstream.fault("blobs/*", Redirect(cdn.url))
            cdn.fault("blobs/*", CutAt(0.5), times=1)
            cdn.fault("blobs/*", Status(403), times=1)
            yield running


@pytest.fixture(scope="module")
def uncached(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    places = {f"{name}.rig": Place() for name in UNCACHED}
    settings = {"storage": {"min_free": "900TiB"}}
    with scene(tmp_path_factory.mktemp("uncached"), places, size=SIZE, settings=settings) as running:
        yield running


def plan(source: Source, trouble: Trouble) -> None:
    for number, faults in enumerate(trouble.plans, 1):
        lasting = trouble.lasting and number == len(trouble.plans)
        source.upstream.fault("blobs/*", *faults, times=None if lasting else 1, method="GET")


def assert_outcome(source: Source, outcome: Outcome) -> None:
    with Wire(source.proxy) as wire:
        answer = wire.ask(source.blob())
        body, whole = rest_of(answer)
    if isinstance(outcome, int):
        assert (answer.status, whole) == (outcome, True), body
        assert answer.headers["Content-Type"] == "application/json"
    elif outcome == "right":
        assert (answer.status, whole) == (200, True)
        assert digest_of(body) == source.layer.digest
    elif answer.status == 200:
        assert not whole, "a wrong body that looks whole"
        assert len(body) <= source.layer.size + 1000 - HELD_BACK
    else:  # all of it was wrong before any of it was sent
        assert (answer.status, whole) == (502, True)


def assert_right_next_time(source: Source) -> None:
    """Once the upstream is well, and its pause is over."""
    source.upstream.heal()
    deadline = time.monotonic() + 20
    while (answer := source.get(source.blob())).status_code != 200:
        assert time.monotonic() < deadline, answer.text
        time.sleep(float(min(1, int(answer.headers.get("Retry-After", "1")))))
    assert digest_of(answer.content) == source.layer.digest
    source.wait_stored()


@pytest.mark.parametrize("name", [*RESUMED, *BROKEN_OFF, *REFUSED])
def test_the_client_gets_no_wrong_body(sources: Scene, name: str) -> None:
    source, trouble = sources[f"{name}.rig"], TROUBLES[name]
    assert source.get(source.manifest()).status_code == 200
    plan(source, trouble)
    assert_outcome(source, trouble.outcome)
    if trouble.outcome == "right":
        source.wait_stored()
        assert_outcome(source, "right")
    else:
        assert source.stored() is None
    assert source.upstream.sent("blobs/*") <= trouble.most_bytes * source.layer.size
    if name != "status-404":  # what is not there is believed for 30 s
        assert_right_next_time(source)


@pytest.mark.parametrize("name", SMALL)
def test_a_small_blob_is_a_clean_error(sources: Scene, name: str) -> None:
    source, trouble = sources[f"{name}.rig"], TROUBLES[name]
    assert source.get(source.manifest()).status_code == 200
    plan(source, trouble)
    config = source.image.config
    answer = source.get(source.blob(config))
    assert answer.status_code == trouble.outcome
    assert answer.json()["errors"][0]["detail"]["cause"]
    assert source.stored(config) is None


@pytest.mark.parametrize("name", UNKNOWN_SIZE)
def test_a_blob_whose_size_nobody_tells(sources: Scene, name: str) -> None:
    """No manifest was pulled, and the upstream gives no length: the answer is sent in chunks, the last only if all is
    right."""
    source = sources[f"{name}.rig"]
    wrong = {"unknown-size-and-wrong": (WrongByte(-1),), "unknown-size-and-cut": (CutAt(0.5),)}
    source.upstream.fault("blobs/*", Chunked(), *wrong.get(name, ()))
    assert_outcome(source, "short" if name in wrong else "right")
    assert_right_next_time(source)


@pytest.mark.parametrize("name", UNCACHED)
def test_a_blob_that_can_not_be_kept(uncached: Scene, name: str) -> None:
    """There is no room: each client has a stream of his own, and the same promise."""
    source, (faults, outcome) = uncached[f"{name}.rig"], UNCACHED[name]
    assert source.get(source.manifest()).status_code == 200
    source.upstream.fault("blobs/*", *faults, method="GET")
    assert_outcome(source, outcome)
    source.upstream.heal()
    deadline = time.monotonic() + 20
    while (answer := source.get(source.blob())).status_code != 200:
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.2)
    assert digest_of(answer.content) == source.layer.digest
    assert source.stored() is None


def test_an_upstream_token_that_ends_in_the_middle_is_renewed(sources: Scene) -> None:
    source = sources["tokens.rig"]
    assert source.get(source.manifest()).status_code == 200
    gate = Gate(SIZE // 2)
    source.upstream.fault("blobs/*", CutAt(SIZE // 2), gate, times=1)
    with Wire(source.proxy) as wire:
        wire.send(source.blob())
        gate.wait_reached()
        TOKENS.expire()
        gate.open()
        body, whole = rest_of(wire.answer())
    assert whole
    assert digest_of(body) == source.layer.digest


def test_a_signed_address_that_ends_in_the_middle_is_renewed(sources: Scene) -> None:
    source = sources["cdn.rig"]
    assert source.get(source.manifest()).status_code == 200
    assert_outcome(source, "right")


def test_no_answer_was_a_fault_of_ours(sources: Scene) -> None:
    log = sources["cdn.rig"].proxy.log
    assert "unexpected_error" not in log
    assert "Traceback" not in log
