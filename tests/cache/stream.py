"""Streams of blobs that break, lie and wait where a test says, with the promises of the real ones."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from proxy_core.upstream import FailureKind, UpstreamFailure

PIECE: Final = 64 * 1024
PATIENCE: Final = 30.0  # seconds after which a stream that is held is a failure of the test


class Gate:
    """Holds a stream at a position until it is opened. From any thread."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._open = threading.Event()

    def wait(self) -> None:
        self.reached.set()
        assert self._open.wait(PATIENCE), "nobody opened the gate"

    def open(self) -> None:
        self._open.set()


@dataclass(frozen=True)
class Act:
    """How one answer goes.

    :param opening: waits before there is an answer.
    :param refusal: there is no stream at all.
    :param ranged: an offset is answered with the part from there on (206), else with the whole (200).
    :param starts_at: where the part begins instead.
    :param content: other bytes than the blob's.
    :param claims: another size than that of the bytes.
    :param cut: the stream breaks before the byte at this position of the blob;
    :param fault: in this way.
    :param gates: positions where it waits.
    """

    opening: Gate | None = None
    refusal: UpstreamFailure | None = None
    ranged: bool = True
    starts_at: int | None = None
    content: bytes | None = None
    claims: int | None = None
    cut: int | None = None
    fault: Exception | None = None
    gates: dict[int, Gate] = field(default_factory=dict)


class Script:
    """What happens at the first, second ... question for a blob; the last act goes on for ever. From any thread."""

    def __init__(self, *acts: Act) -> None:
        self._acts: Sequence[Act] = acts or (Act(),)
        self._lock = threading.Lock()
        self.played = 0

    def answer(self, content: bytes, offset: int, *, tells_size: bool) -> "ScriptedStream":
        with self._lock:
            act = self._acts[min(self.played, len(self._acts) - 1)]
            self.played += 1
        if act.opening:
            act.opening.wait()
        if act.refusal:
            raise act.refusal
        return ScriptedStream(act, content if act.content is None else act.content, offset, tells_size)


class ScriptedStream:
    """See :class:`proxy_core.upstream.BlobStream`, whose promises this one keeps."""

    def __init__(self, act: Act, content: bytes, offset: int, tells_size: bool) -> None:
        self._act = act
        self._content = content
        self.start = offset if act.ranged else 0
        if act.starts_at is not None and offset:
            self.start = act.starts_at
        total = len(content) if act.claims is None else act.claims
        self.total = total if tells_size else None
        self._position = self.start
        self._aborted = threading.Event()

    def readinto(self, buffer: memoryview) -> int:
        for position, gate in self._act.gates.items():
            if position == self._position:
                gate.wait()
        if self._aborted.is_set():
            raise _broken("aborted")
        if self._act.cut is not None and self._position >= self._act.cut:
            raise self._act.fault or _broken("short")
        stops = [stop for stop in (*self._act.gates, self._act.cut) if stop is not None and stop > self._position]
        end = min([len(self._content), self._position + min(PIECE, len(buffer)), *stops])
        count = max(0, end - self._position)
        buffer[:count] = self._content[self._position : end]
        self._position += count
        if not count and self.total is not None and self._position < self.total:
            raise _broken("short")
        if self.total is not None and self._position > self.total:
            raise UpstreamFailure(FailureKind.INVALID, "too_long", "docker.io: too long.")
        return count

    def abort(self) -> None:
        self._aborted.set()
        for gate in self._act.gates.values():
            gate.open()


def _broken(reason: str) -> UpstreamFailure:
    return UpstreamFailure(FailureKind.OUTAGE, reason, f"docker.io: the stream is {reason}.", "Try again later.")
