"""``/v2`` from one end to the other: who is admitted, what is answered, given again, and written down."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from proxy_core.errors import StorageError
from proxy_core.reference import Image, Repository
from proxy_core.upstream import FailureKind
from tests.cache.conftest import Place, Worker
from tests.cache.upstream import ALPINE, BUSYBOX, LATEST, OTHER_ALPINE, digest_of, failure, index, manifest
from tests.registry.conftest import Recording
from tests.registry.desk import Answer, Desk, path

FIRST, SECOND = manifest(note="first"), manifest(note="second")
TAG = path("manifests", "latest")
BY_DIGEST = path("manifests", FIRST.digest)


@pytest.fixture
async def desk(place: Place, worker: Worker, recording: Recording) -> Desk:
    place.upstream.push(ALPINE, FIRST)
    return Desk(place, worker, recording)


@pytest.fixture
async def warm(desk: Desk) -> Desk:
    """A desk whose cache has the manifest."""
    await desk.worker.manifests.get(ALPINE, LATEST)
    desk.place.upstream.asked.clear()
    return desk


def requests_in(desk: Desk) -> list[dict[str, Any]]:
    """What the access log says."""
    return [entry for line in desk.recording.lines() if (entry := json.loads(line))["event"] == "request"]


class TestAdmission:
    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    async def test_without_a_token_a_client_is_told_where_to_get_one(self, desk: Desk, method: str) -> None:
        answer = await desk.ask(TAG, method=method)
        assert answer.status == 401
        challenge = answer.headers["www-authenticate"]
        assert challenge.startswith('Bearer realm="https://proxy.example.com:443/jwt/auth"')
        assert 'scope="repository:my-group/dependency_proxy/containers/docker.io/library/alpine:pull"' in challenge
        assert desk.place.upstream.asked == []

    async def test_a_token_is_good_for_its_images_alone(self, desk: Desk) -> None:
        token = desk.token(ALPINE)
        assert (await desk.ask(TAG, token=token)).status == 200
        assert (await desk.ask(path("manifests", "latest", BUSYBOX), token=token)).status == 401
        assert (await desk.ask(path("manifests", "latest", OTHER_ALPINE), token=token)).status == 404
        assert (await desk.ask(path("manifests", "latest", OTHER_ALPINE), token=desk.token(user="other"))).status == 401

    async def test_this_is_a_registry(self, desk: Desk) -> None:
        assert (await desk.ask("/v2/")).status == 401
        answer = await desk.ask("/v2/", token=desk.token())
        assert (answer.status, answer.body) == (200, b"{}")
        assert answer.headers["docker-distribution-api-version"] == "registry/2.0"

    async def test_an_upstream_that_is_not_configured_is_named_and_never_docker_hub(self, desk: Desk) -> None:
        image = Image("my-group", Repository("ghcr.io", "org/app"))
        answer = await desk.ask(path("manifests", "latest", image), token=desk.token(image))
        assert (answer.status, answer.error["code"]) == (404, "NAME_UNKNOWN")
        assert "ghcr.io is not configured" in answer.error["message"]
        assert desk.place.upstream.asked == []

    @pytest.mark.parametrize("method", ["PUT", "POST", "PATCH", "DELETE"])
    async def test_nothing_is_taken(self, desk: Desk, method: str) -> None:
        answer = await desk.ask(TAG, method=method, token=desk.token(ALPINE))
        assert (answer.status, answer.error["code"], answer.headers["allow"]) == (405, "UNSUPPORTED", "GET, HEAD")

    async def test_a_name_that_is_none_touches_nothing(self, desk: Desk) -> None:
        answer = await desk.ask("/v2/g/../x/manifests/latest", token=desk.token(ALPINE))
        assert (answer.status, answer.error["code"]) == (400, "NAME_INVALID")
        assert (await desk.ask(path("blobs", "sha256:abc"))).error["code"] == "DIGEST_INVALID"
        assert desk.place.upstream.asked == []


class TestGivenAgain:
    async def test_a_digest_is_answered_the_same_with_nobody_asked(self, warm: Desk) -> None:
        token = warm.token(ALPINE)
        warm.place.upstream.trouble = failure(FailureKind.OUTAGE)
        answers = [await warm.ask(BY_DIGEST, token=token) for _ in range(4)]
        assert {answer.body for answer in answers} == {FIRST.content}
        assert all(answer.headers == answers[0].headers for answer in answers)
        assert warm.hot.get(warm.hot.key(_scope(BY_DIGEST, token)), 0.0) is not None
        heads = [await warm.ask(BY_DIGEST, method="HEAD", token=token) for _ in range(3)]
        assert all((head.headers, head.body) == (answers[0].headers, b"") for head in heads)
        assert warm.place.upstream.asked == []
        assert len({entry["request_id"] for entry in requests_in(warm)}) == 7
        warm.hot.settle()
        assert warm.recording.counted(resource="manifest", method="GET", status="200") == 4
        assert warm.recording.counted(resource="manifest", method="HEAD", status="200") == 3

    async def test_to_its_token_alone_and_not_after_its_end(self, warm: Desk) -> None:
        token = warm.token(ALPINE)
        await warm.ask(BY_DIGEST, token=token)
        key = warm.hot.key(_scope(BY_DIGEST, token))
        hot = warm.hot.get(key, 0.0)
        assert hot is not None
        assert hot.until <= warm.place.clock() + warm.settings.tokens.lifetime
        for other in (warm.token(BUSYBOX), warm.token(ALPINE, user="nobody"), token + "x", None):
            assert (await warm.ask(BY_DIGEST, token=other)).status == 401
        assert warm.hot.get(key, hot.until) is None

    async def test_a_tag_for_a_second_within_its_freshness(self, warm: Desk) -> None:
        warm.place.upstream.settings = replace(warm.place.upstream.settings, freshness=600.0)
        token = warm.token(ALPINE)
        answer = await warm.ask(TAG, token=token)
        assert answer.headers["cache-status"] == "runner-bridge; hit"
        assert int(answer.headers["age"]) >= 0
        key = warm.hot.key(_scope(TAG, token))
        now = warm.place.clock()
        assert warm.hot.get(key, now - 1) is not None
        assert warm.hot.get(key, now + 2) is None

    async def test_what_has_to_be_confirmed_is_asked_each_time(self, warm: Desk) -> None:
        token = warm.token(ALPINE)
        for _ in range(3):
            assert (await warm.ask(TAG, token=token)).body == FIRST.content
        assert warm.place.upstream.count("HEAD") == 3
        warm.place.upstream.push(ALPINE, SECOND)
        assert (await warm.ask(TAG, token=token)).body == SECOND.content

    async def test_not_what_was_no_hit_or_no_success(self, warm: Desk) -> None:
        token = warm.token(ALPINE)
        missing = path("manifests", SECOND.digest)
        for _ in range(2):
            assert (await warm.ask(missing, token=token)).status == 404
            condition = {"If-None-Match": f'"{FIRST.digest}"'}
            assert (await warm.ask(BY_DIGEST, token=token, headers=condition)).status == 304
        warm.place.clock.wait(31)
        warm.place.upstream.push(ALPINE, SECOND)
        assert (await warm.ask(missing, token=token)).status == 200

    async def test_not_after_a_purge(self, warm: Desk) -> None:
        token = warm.token(ALPINE)
        await warm.ask(BY_DIGEST, token=token)
        await warm.worker.index.purge("my-group")
        for forget in (warm.hot.forget, warm.worker.manifests.forget, warm.worker.blobs.forget):
            forget()
        warm.place.upstream.manifests.clear()
        assert (await warm.ask(BY_DIGEST, token=token)).status == 404

    async def test_not_for_another_accept(self, warm: Desk) -> None:
        top = index(FIRST, SECOND)
        for one in (top, SECOND):
            warm.place.upstream.push(ALPINE, one, "multi")
        warm.place.upstream.push(ALPINE, top, "multi")
        warm.place.upstream.settings = replace(warm.place.upstream.settings, freshness=600.0)
        token, multi = warm.token(ALPINE), path("manifests", "multi")
        for _ in range(3):
            whole = await warm.ask(multi, token=token, headers={"Accept": top.media_type})
            child = await warm.ask(multi, token=token, headers={"Accept": FIRST.media_type})
            assert (whole.body, child.body) == (top.content, FIRST.content)


def _scope(target: str, token: str) -> dict[str, Any]:
    return {
        "method": "GET",
        "raw_path": target.encode(),
        "query_string": b"",
        "headers": [(b"authorization", token.encode())],
    }


class TestTrouble:
    async def test_a_stale_copy_is_labelled_and_counted_by_cause(self, warm: Desk) -> None:
        warm.place.upstream.trouble = failure(FailureKind.ACCOUNT, status=401)
        answer = await warm.ask(TAG, token=warm.token(ALPINE))
        assert (answer.status, answer.body) == (200, FIRST.content)
        assert answer.headers["warning"].startswith('299 - "')
        assert int(answer.headers["age"]) >= 0
        stale = warm.recording.recorder.metrics.stale.labels("docker.io", "account")
        assert [sample.value for metric in stale.collect() for sample in metric.samples if "total" in sample.name] == [
            1
        ]
        (entry,) = requests_in(warm)
        assert (entry["cache"], entry["detail"]) == ("stale", "docker.io: account of a test.")

    async def test_an_error_names_the_request_that_the_log_has(self, desk: Desk) -> None:
        desk.place.upstream.trouble = failure(FailureKind.LIMITED, retry_after=30.0)
        answer = await desk.ask(TAG, token=desk.token(ALPINE))
        assert (answer.status, answer.headers["retry-after"]) == (429, "30")
        (entry,) = requests_in(desk)
        assert entry["request_id"] == answer.error["detail"]["request_id"]
        assert (entry["status"], entry["error"]) == (429, "TOOMANYREQUESTS")

    @pytest.mark.parametrize(
        "fault", [RuntimeError("secret"), StorageError("/secret/index is damaged.", "Restore it.")]
    )
    async def test_a_fault_of_ours_is_said_without_its_inside(self, desk: Desk, fault: Exception) -> None:
        def fail(_: str) -> None:
            raise fault

        desk.place.upstream.meanwhile = fail
        answer = await desk.ask(TAG, token=desk.token(ALPINE))
        assert (answer.status, answer.error["code"]) == (500, "UNKNOWN")
        assert answer.error["message"] == "This proxy has a fault."
        assert answer.error["detail"]["request_id"] in answer.error["detail"]["next"]
        assert b"secret" not in answer.body

    async def test_one_that_is_cancelled_is_written_down(self, desk: Desk) -> None:
        desk.place.upstream.open.clear()
        asking = asyncio.create_task(desk.ask(TAG, token=desk.token(ALPINE)))
        await desk.place.upstream.is_asked()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        desk.place.upstream.open.set()
        (entry,) = requests_in(desk)
        assert entry["error"] == "cancelled"


class TestMirrorDoors:
    async def test_the_registry_that_a_client_means_is_echoed(
        self, place: Place, worker: Worker, recording: Recording
    ) -> None:
        desk = Desk(place, worker, recording, mirror="my-group")
        image = Image("my-group", Repository("quay.io", "org/app"))
        place.quay.push(image, FIRST)
        blob = place.quay.push_blob(image, b"layer" * 100)
        token = desk.token(image)
        answers: list[Answer] = [
            await desk.ask(f"/v2/org/app/{what}?ns=quay.io", method=method, token=token)
            for what in ("manifests/latest", f"manifests/{FIRST.digest}", f"blobs/{blob}", "tags/list")
            for method in ("GET", "HEAD", "GET")
        ]
        assert {answer.status for answer in answers} == {200}
        assert {answer.headers.get("oci-namespace") for answer in answers} == {"quay.io"}

    async def test_without_one_it_is_docker_hub(self, place: Place, worker: Worker, recording: Recording) -> None:
        desk = Desk(place, worker, recording, mirror="my-group")
        place.upstream.push(ALPINE, FIRST)
        answer = await desk.ask("/v2/library/alpine/manifests/latest", token=desk.token(ALPINE))
        assert (answer.status, answer.body) == (200, FIRST.content)
        assert "oci-namespace" not in answer.headers


async def test_every_answer_leaves_one_line_without_any_credential(warm: Desk) -> None:
    token = warm.token(ALPINE)
    tags = path("tags", "list")
    referrers = path("referrers", FIRST.digest)
    missing = path("blobs", digest_of(b"?"))
    for target in (TAG, BY_DIGEST, BY_DIGEST, tags, referrers, missing, "/v2/", "/v2/x"):
        await warm.ask(target, token=token, headers={"User-Agent": token})
        await warm.ask(target)
    lines = requests_in(warm)
    assert [line["resource"] for line in lines][::2] == [
        "manifest",
        "manifest",
        "manifest",
        "tags",
        "referrers",
        "blob",
        "ping",
        "other",
    ]
    assert len({line["request_id"] for line in lines}) == len(lines) == 16
    assert {line["subject"] for line in lines if line["status"] == 200} == {"dev"}
    text = warm.recording.log.read_text()
    secret = token.partition(" ")[2]
    assert secret not in text
    assert secret.split(".")[2] not in text
