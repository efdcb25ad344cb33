"""Answers that are given again: to the same token for the same question, and never a moment too long."""

from collections.abc import MutableMapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy_core.reference import Digest, Image
from proxy_core.registry import hot
from proxy_core.registry.hot import HotAnswers
from proxy_core.registry.replies import Reply
from tests.cache.upstream import ALPINE, manifest
from tests.registry.conftest import Recording

FIRST = manifest(note="first")
REPLY = Reply(200, [(b"etag", b'"x"')], FIRST.content)
NOW = 1_790_000_000.0
SCOPE: dict[str, Any] = {
    "method": "GET",
    "raw_path": b"/v2/g/dependency_proxy/containers/alpine/manifests/latest",
    "query_string": b"",
    "headers": [(b"host", b"h"), (b"accept", b"a/a"), (b"accept", b"b/b"), (b"authorization", b"Bearer one")],
}


class Answers:
    """Hot answers, with what is told of them."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.read: list[tuple[Image, Digest]] = []
        self.hot = HotAnswers(recording.recorder, lambda image, digest: self.read.append((image, digest)))

    def keep(self, scope: dict[str, Any], until: float = NOW + 60, reply: Reply = REPLY) -> None:
        exchange = self.recording.recorder.begin(scope, "192.0.2.7")
        exchange.resource, exchange.status, exchange.sent, exchange.state = "manifest", 200, len(reply.body), "hit"
        self.hot.keep(self.hot.key(scope), until, reply, exchange, ALPINE, FIRST.digest)

    def has(self, scope: dict[str, Any], now: float = NOW) -> bool:
        return self.hot.get(self.hot.key(scope), now) is not None

    async def give(self, scope: dict[str, Any]) -> list[MutableMapping[str, Any]]:
        sent: list[MutableMapping[str, Any]] = []

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        answer = self.hot.get(self.hot.key(scope), NOW)
        assert answer is not None
        await send(answer.start)
        await send(answer.body)
        self.hot.given(answer, "192.0.2.8", NOW)
        return sent


@pytest.fixture
def answers(recording: Recording) -> Answers:
    return Answers(recording)


async def test_what_was_answered_is_answered_again_byte_for_byte(answers: Answers) -> None:
    answers.keep(SCOPE)
    for _ in range(3):
        start, body = await answers.give(SCOPE)
        assert start["status"] == 200
        assert start["headers"] == [(b"etag", b'"x"'), (b"content-length", str(len(FIRST.content)).encode())]
        assert body["body"] == FIRST.content


async def test_head_has_the_length_of_get_and_no_body(answers: Answers) -> None:
    answers.keep({**SCOPE, "method": "HEAD"})
    start, body = await answers.give({**SCOPE, "method": "HEAD"})
    assert (b"content-length", str(len(FIRST.content)).encode()) in start["headers"]
    assert body["body"] == b""


def test_until_its_time_is_over_and_not_longer(answers: Answers) -> None:
    answers.keep(SCOPE, until=NOW + 60)
    assert answers.has(SCOPE, NOW + 59.9)
    assert not answers.has(SCOPE, NOW + 60)
    assert not answers.has(SCOPE, NOW)


def _headers(*headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"headers": list(headers)}


@pytest.mark.parametrize(
    "change",
    [
        {"method": "HEAD"},
        {"raw_path": b"/v2/g/dependency_proxy/containers/alpine/manifests/latest2"},
        {"query_string": b"ns=quay.io"},
        _headers((b"accept", b"a/a"), (b"accept", b"b/b"), (b"authorization", b"Bearer two")),
        _headers((b"accept", b"a/a"), (b"accept", b"b/b")),
        _headers((b"accept", b"a/a"), (b"authorization", b"Bearer one")),
        _headers((b"accept", b"b/b"), (b"accept", b"a/a"), (b"authorization", b"Bearer one")),
        _headers((b"accept", b"a/ab/b"), (b"authorization", b"Bearer one")),
        _headers(*SCOPE["headers"], (b"if-none-match", b'"x"')),
    ],
    ids=["method", "path", "query", "token", "no token", "accept", "order", "joined", "condition"],
)
def test_to_another_question_it_is_not_given(answers: Answers, change: dict[str, Any]) -> None:
    answers.keep(SCOPE)
    assert not answers.has({**SCOPE, **change})


def test_what_does_not_matter_to_the_answer_does_not_matter(answers: Answers) -> None:
    answers.keep(SCOPE)
    assert answers.has({**SCOPE, "headers": [*SCOPE["headers"], (b"user-agent", b"docker"), (b"range", b"bytes=0-1")]})


def test_after_a_purge_nothing_is_given(answers: Answers) -> None:
    answers.keep(SCOPE)
    answers.hot.forget()
    assert not answers.has(SCOPE)


async def test_each_time_counts_and_leaves_a_line(answers: Answers) -> None:
    answers.keep(SCOPE)
    for _ in range(5):
        await answers.give(SCOPE)
    assert answers.read == []
    answers.hot.settle()
    answers.hot.settle()
    assert answers.read == [(ALPINE, FIRST.digest)]
    assert answers.recording.counted(resource="manifest", status="200") == 5
    lines = answers.recording.lines()
    assert len(lines) == 5
    assert len(set(lines)) == 5  # each with its own id
    assert all('"client":"192.0.2.8"' in line for line in lines)


async def test_what_was_given_before_the_end_or_a_purge_counts_too(answers: Answers) -> None:
    answers.keep(SCOPE)
    await answers.give(SCOPE)
    assert not answers.has(SCOPE, NOW + 60)
    answers.keep(SCOPE)
    await answers.give(SCOPE)
    answers.hot.forget()
    assert answers.recording.counted(resource="manifest") == 2


async def test_who_asked_at_the_same_time_keeps_it_once(answers: Answers) -> None:
    answers.keep(SCOPE)
    await answers.give(SCOPE)
    answers.keep(SCOPE)
    answers.hot.settle()
    assert answers.recording.counted(resource="manifest") == 1


def test_memory_is_bounded_by_number_and_by_weight(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hot, "_MOST", 10)
    for number in range(25):
        answers.keep({**SCOPE, "raw_path": b"/%d" % number})
    assert sum(answers.has({**SCOPE, "raw_path": b"/%d" % number}) for number in range(25)) == 5
    monkeypatch.setattr(hot, "_MOST_BYTES", 10_000)
    answers.hot.forget()
    heavy = Reply(200, [], b"x" * 4_000)
    for number in range(5):
        answers.keep({**SCOPE, "raw_path": b"/%d" % number}, reply=heavy)
    assert [answers.has({**SCOPE, "raw_path": b"/%d" % number}) for number in range(5)] == [False] * 4 + [True]


_steps = st.lists(
    st.tuples(st.just("keep"), st.integers(0, 3), st.floats(-1, 20))
    | st.tuples(st.just("ask"), st.integers(0, 3), st.floats(0, 5))
    | st.tuples(st.just("forget"), st.just(0), st.just(0.0)),
    max_size=30,
)


@given(steps=_steps)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_never_after_its_end_or_a_purge(answers: Answers, steps: list[tuple[str, int, float]]) -> None:
    answers.hot.forget()
    now = NOW
    ends: dict[int, float] = {}
    for step, number, amount in steps:
        scope = {**SCOPE, "raw_path": b"/%d" % number}
        match step:
            case "keep":
                if not answers.has(scope, now):
                    answers.keep(scope, until=now + amount)
                    ends[number] = now + amount
            case "ask":
                now += amount
                assert answers.has(scope, now) == (now < ends.get(number, 0.0))
            case _:
                answers.hot.forget()
                ends.clear()
