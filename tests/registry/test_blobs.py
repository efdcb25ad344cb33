"""Answers with a blob: whole or a part, stored or growing, and what a client is told when it breaks off."""

import asyncio

import pytest

from tests.cache.conftest import Place, Worker
from tests.cache.stream import Act, Gate, Script
from tests.cache.upstream import ALPINE, LATEST, digest_of, manifest
from tests.registry.conftest import Recording
from tests.registry.desk import Answer, Desk, path
from tests.rig.images import noise

MIB = 1024 * 1024
LAYER = noise(2 * MIB).data
DIGEST = digest_of(LAYER)
SIZE = len(LAYER)
ETAG = f'"{DIGEST}"'
EMPTY = digest_of(b"")


@pytest.fixture
async def desk(place: Place, worker: Worker, recording: Recording) -> Desk:
    for blob in (LAYER, b""):
        place.upstream.push_blob(ALPINE, blob)
    place.upstream.push(ALPINE, manifest(LAYER, b""))
    await worker.manifests.get(ALPINE, LATEST)
    return Desk(place, worker, recording)


async def get(desk: Desk, method: str = "GET", leaves_after: int | None = None, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    token = desk.token(ALPINE)
    return await desk.ask(path("blobs", DIGEST), method=method, token=token, headers=named, leaves_after=leaves_after)


@pytest.fixture(params=["growing", "stored", "passed through"])
async def each(desk: Desk, request: pytest.FixtureRequest) -> Desk:
    """The blob at each stage of its life."""
    if request.param == "stored":
        await get(desk)
        await desk.worker.settled(DIGEST)
    if request.param == "passed through":
        desk.place.max_size = 1000
        desk.worker = await desk.place.worker()
        return Desk(desk.place, desk.worker, desk.recording)
    return desk


async def test_the_whole(each: Desk) -> None:
    answer = await get(each)
    assert (answer.status, answer.body, answer.ended) == (200, LAYER, True)
    assert answer.headers["content-length"] == str(SIZE)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["docker-content-digest"] == str(DIGEST)
    assert answer.headers["etag"] == ETAG
    assert answer.headers["accept-ranges"] == "bytes"


@pytest.mark.parametrize(
    ("value", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=5-1048576", 5, MIB + 1),
        (f"bytes={MIB}-", MIB, SIZE),
        ("bytes=-1", SIZE - 1, SIZE),
        ("bytes=-99999999", 0, SIZE),
        ("bytes=100-9223372036854775807", 100, SIZE),
    ],
)
async def test_a_part(each: Desk, value: str, start: int, end: int) -> None:
    answer = await get(each, range=value)
    assert (answer.status, answer.body) == (206, LAYER[start:end])
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{SIZE}"
    assert answer.headers["content-length"] == str(end - start)


@pytest.mark.parametrize("value", [f"bytes={SIZE}-", "bytes=5-4", "bytes=-0"])
async def test_no_part(each: Desk, value: str) -> None:
    answer = await get(each, range=value)
    assert (answer.status, answer.headers["content-range"]) == (416, f"bytes */{SIZE}")
    assert answer.error["code"] == "SIZE_INVALID"


@pytest.mark.parametrize("value", ["items=0-1", "bytes=0-1,3-4", "x"])
async def test_what_is_no_range_is_ignored(desk: Desk, value: str) -> None:
    assert (await get(desk, range=value)).status == 200


async def test_a_part_only_of_what_the_client_has_the_rest_of(desk: Desk) -> None:
    assert (await get(desk, range="bytes=0-9", if_range=ETAG)).status == 206
    assert (await get(desk, range="bytes=0-9", if_range='"other"')).body == LAYER
    assert (await get(desk, range=f"bytes={SIZE}-", if_range='"other"')).status == 200


async def test_an_empty_blob_has_no_parts(desk: Desk) -> None:
    token = desk.token(ALPINE)
    for headers in ({}, {"Range": "bytes=0-"}, {"Range": "bytes=-5"}):
        answer = await desk.ask(path("blobs", EMPTY), token=token, headers=headers)
        assert (answer.status, answer.body, answer.ended) == (200, b"", True)
        assert answer.headers["content-length"] == "0"
        assert "content-range" not in answer.headers


async def test_head_has_the_headers_of_get_and_fetches_nothing(desk: Desk) -> None:
    head = await get(desk, "HEAD")
    assert (head.status, head.body, head.ended) == (200, b"", True)
    assert head.headers["content-length"] == str(SIZE)
    assert desk.place.upstream.count("BLOB") == 0
    whole = await get(desk)
    same = ("content-length", "content-type", "docker-content-digest", "etag", "accept-ranges")
    assert {name: head.headers[name] for name in same} == {name: whole.headers[name] for name in same}


async def test_what_the_client_has_is_not_sent_again(desk: Desk) -> None:
    answer = await get(desk, if_none_match=ETAG)
    assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", ETAG)
    assert (await get(desk, if_none_match='"other"')).status == 200


async def test_without_a_length_the_end_is_the_end(desk: Desk) -> None:
    desk.place.upstream.tells_size = False
    other = digest_of(LAYER[1:])
    desk.place.upstream.push_blob(ALPINE, LAYER[1:])
    answer = await desk.ask(path("blobs", other), token=desk.token(ALPINE), headers={"Range": "bytes=5-9"})
    assert (answer.status, answer.body, answer.ended) == (200, LAYER[1:], True)
    assert "content-length" not in answer.headers


async def test_what_is_not_there_is_told(desk: Desk) -> None:
    answer = await desk.ask(path("blobs", digest_of(b"?")), token=desk.token(ALPINE))
    assert (answer.status, answer.error["code"]) == (404, "BLOB_UNKNOWN")


class TestBrokenOff:
    @pytest.mark.parametrize("fault", [None, RuntimeError("a bug")])
    async def test_a_body_that_breaks_is_short_and_never_a_second_answer(
        self, desk: Desk, fault: Exception | None
    ) -> None:
        gate = Gate()
        desk.place.upstream.script = Script(Act(cut=MIB, fault=fault, gates={MIB // 2: gate}))
        asking = asyncio.create_task(get(desk))
        await desk.has_begun()
        gate.open()
        answer = await asking
        assert (answer.status, answer.headers["content-length"]) == (200, str(SIZE))
        assert answer.body == LAYER[: len(answer.body)]
        assert 0 < len(answer.body) < SIZE
        assert not answer.ended
        (line,) = [line for line in desk.recording.lines() if '"event":"request"' in line]
        assert '"error": "broken_off"' in line

    async def test_a_client_that_leaves_ends_its_answer_and_not_the_fill(self, desk: Desk) -> None:
        gate = Gate()
        desk.place.upstream.script = Script(Act(gates={MIB: gate}))
        answer = await get(desk, leaves_after=1000)
        assert not answer.ended
        gate.open()
        await desk.worker.settled(DIGEST)
        blob = await desk.place.folder.blobs.open(DIGEST)
        assert blob is not None
        blob.close()
        (line,) = [line for line in desk.recording.lines() if '"event":"request"' in line]
        assert '"error": "client_left"' in line

    async def test_before_the_first_byte_it_is_a_clean_error(self, desk: Desk) -> None:
        desk.place.upstream.script = Script(Act(cut=0, fault=RuntimeError("secret of the machine")))
        answer = await get(desk)
        assert (answer.status, answer.error["code"], answer.ended) == (500, "UNKNOWN", True)
        assert "secret" not in str(answer.error)
        lines = desk.recording.lines()
        (event,) = [line for line in lines if "unexpected_error" in line]
        assert answer.error["detail"]["request_id"] in event
        assert "secret of the machine" in event
