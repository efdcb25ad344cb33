"""Answers that are given again without a second thought, for as long as nothing that went into them can change.

Thousands of jobs ask for the same few manifests with the same few tokens. What was admitted and answered once is kept
under everything that the answer depends on: method, path, query, token, ``Accept`` and ``If-None-Match``, each as it
came. It counts until the token expires, until the tag has to be confirmed again, or until something is purged.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from proxy_core.reference import Digest, Image
from proxy_core.registry.replies import Reply
from proxy_core.telemetry.exchange import Exchange
from proxy_core.telemetry.recorder import Recorder

Key = tuple[object, ...]

_MOST: Final = 4096
_MOST_BYTES: Final = 16 * 1024 * 1024  # of keys and bodies together; bodies are shared with the cache's own memory
_VARYING: Final = frozenset({b"authorization", b"accept", b"if-none-match"})


@dataclass(slots=True)
class HotAnswer:
    until: float  # seconds since the epoch
    start: dict[str, Any]
    body: dict[str, Any]
    exchange: Exchange
    log_tail: str
    image: Image
    digest: Digest
    weight: int
    times: int = 0  # given since the last settling


class HotAnswers:
    """The answers of one process.

    :param read: told which manifests were given out, at each settling.
    """

    def __init__(self, recorder: Recorder, read: Callable[[Image, Digest], None]) -> None:
        self._recorder = recorder
        self._read = read
        self._answers: dict[Key, HotAnswer] = {}
        self._weight = 0

    @staticmethod
    def key(scope: dict[str, Any]) -> Key:
        parts = [scope["method"], scope["raw_path"], scope["query_string"]]
        parts += [pair for pair in scope["headers"] if pair[0] in _VARYING]
        return tuple(parts)

    def get(self, key: Key, now: float) -> HotAnswer | None:
        """The answer kept under this key, if it still counts at this moment (seconds since the epoch)."""
        answer = self._answers.get(key)
        if answer is None or now < answer.until:
            return answer
        self._settle(answer)
        self._weight -= answer.weight
        del self._answers[key]
        return None

    def given(self, answer: HotAnswer, client: str, started: float) -> None:
        """Take down that the answer was given once more."""
        answer.times += 1
        recorder = self._recorder
        recorder.access_log.line(recorder.request_id(), client, started, answer.log_tail)

    def keep(self, key: Key, until: float, reply: Reply, exchange: Exchange, image: Image, digest: Digest) -> None:
        """Keep an answer that was just given. Where there is no more room, all start anew: that is rare and cheap."""
        if key in self._answers:  # two asked at once
            return
        weight = len(reply.body) + sum(_size(part) for part in key)
        if len(self._answers) >= _MOST or self._weight + weight > _MOST_BYTES:
            self.forget()
        length = (b"content-length", str(len(reply.body)).encode())
        self._answers[key] = HotAnswer(
            until=until,
            start={"type": "http.response.start", "status": reply.status, "headers": [*reply.headers, length]},
            body={"type": "http.response.body", "body": b"" if exchange.method == "HEAD" else reply.body},
            exchange=exchange,
            log_tail=self._recorder.access_log.tail(exchange),
            image=image,
            digest=digest,
            weight=weight,
        )
        self._weight += weight

    def settle(self) -> None:
        """Bring metrics and the times of last reading up to date."""
        for answer in self._answers.values():
            self._settle(answer)

    def forget(self) -> None:
        """Something that answers depend on has changed."""
        self.settle()
        self._answers.clear()
        self._weight = 0

    def _settle(self, answer: HotAnswer) -> None:
        if answer.times:
            times, answer.times = answer.times, 0
            self._recorder.count(answer.exchange, times)
            self._read(answer.image, answer.digest)


def _size(part: object) -> int:
    if isinstance(part, (bytes, str)):
        return len(part)
    return sum(_size(one) for one in part) if isinstance(part, Iterable) else 0
