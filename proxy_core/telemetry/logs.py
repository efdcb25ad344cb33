"""Access and event logs: one JSON line each, or, on a terminal, lines for people."""

import json
import time
import traceback
from collections.abc import Callable
from typing import Final

from proxy_core.telemetry.exchange import Exchange
from proxy_core.telemetry.lines import LineWriter

Event = Callable[..., None]

_LONGEST_TRACEBACK: Final = 1800


class AccessLog:
    """A line for each request.

    :param readable: for people, not for machines.
    """

    def __init__(self, writer: LineWriter, *, readable: bool) -> None:
        self._writer = writer
        self._readable = readable
        self._millisecond = 0
        self._stamp = ""

    def stamp(self, moment: float) -> str:
        """A time (seconds since the epoch) as RFC 3339 in UTC, to the millisecond."""
        millisecond = int(moment * 1000)
        if millisecond != self._millisecond:
            self._millisecond = millisecond
            second, rest = divmod(millisecond, 1000)
            self._stamp = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(second))}.{rest:03d}Z"
        return self._stamp

    def exchange(self, exchange: Exchange) -> None:
        self.line(exchange.request_id, exchange.client, exchange.started, self.tail(exchange))

    def line(self, request_id: str, client: str, started: float, tail: str) -> None:
        """A line from what changes with each request and the ``tail`` that many requests share.

        :param started: when the request came (seconds since the epoch); it ends now.
        """
        now = time.time()
        if self._readable:
            self._writer.write(f"{self.stamp(now)} {client} {tail} {(now - started) * 1000:.1f} ms\n".encode())
            return
        self._writer.write(
            f'{{"time":"{self.stamp(now)}","event":"request","request_id":"{request_id}","client":"{client}",'
            f'"seconds":{now - started:.6f},{tail}}}\n'.encode()
        )

    def tail(self, exchange: Exchange) -> str:
        """All of a line that does not change when the same is asked and answered again."""
        if self._readable:
            words = [exchange.method, ascii(exchange.path)[1:-1], str(exchange.status), f"{exchange.sent} B"]
            words += [word for word in (exchange.state, exchange.subject, exchange.error) if word]
            return " ".join(words)
        fields = {
            "method": exchange.method,
            "path": exchange.path,
            "status": exchange.status,
            "bytes": exchange.sent,
            "resource": exchange.resource,
            "subject": exchange.subject,
            "cache": exchange.state,
            "upstream": exchange.upstream,
            "error": exchange.error,
            "detail": exchange.detail,
        }
        return json.dumps({name: value for name, value in fields.items() if value is not None})[1:-1]


def event_log(writer: LineWriter, *, readable: bool, **bound: object) -> Event:
    """A function that logs an event: its name, and fields by keyword; ``error`` as an exception adds its traceback.

    :param bound: fields that all events have.
    """
    clock = AccessLog(writer, readable=readable)

    def log(name: str, *, error: BaseException | None = None, **fields: object) -> None:
        told = {**bound, **fields}
        if error is not None:
            told["traceback"] = _end_of("".join(traceback.format_exception(error)))
        if readable:
            words = " ".join(f"{key}={value}" for key, value in told.items())
            writer.write(f"{clock.stamp(time.time())} {name} {words}\n".encode())
        else:
            writer.write(
                json.dumps({"time": clock.stamp(time.time()), "event": name, **told}, default=str).encode() + b"\n"
            )
        writer.flush()  # events are few, and who reads them should not wait

    return log


def _end_of(text: str) -> str:
    """The end of a traceback, where its cause stands: as much as is one write to a pipe, however it is escaped."""
    plain = text.encode("ascii", "backslashreplace").decode()
    return plain if len(plain) <= _LONGEST_TRACEBACK else f"... {plain[-_LONGEST_TRACEBACK:]}"
