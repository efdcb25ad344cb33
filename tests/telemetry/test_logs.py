"""Access and event logs: each line is JSON, whatever stands in it, and fits into one write to a pipe."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy_core.telemetry.exchange import Exchange
from proxy_core.telemetry.lines import LineWriter
from proxy_core.telemetry.logs import AccessLog, event_log

PIPE_BUF = 4096
STARTED = 1_790_000_000.0


class Log:
    """A log file, and who writes to it."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab")
        self.path = path
        self.writer = LineWriter(self._file.fileno())

    def close(self) -> None:
        self.writer.close()
        self._file.close()

    def lines(self) -> list[str]:
        """All lines. Ends the log."""
        self.writer.close()
        return self.path.read_text().splitlines()

    def entries(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines()]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    log = Log(tmp_path / "log")
    yield log
    log.close()


def exchange(**more: Any) -> Exchange:
    return Exchange(
        **{"request_id": "abc1", "method": "GET", "path": "/v2/", "client": "::1", "started": STARTED, **more}
    )


class TestAccessLog:
    def test_a_request_is_one_line_of_json(self, log: Log) -> None:
        AccessLog(log.writer, readable=False).exchange(
            exchange(resource="blob", status=206, sent=512, subject="dev", state="hit", upstream="quay.io")
        )
        (entry,) = log.entries()
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry.pop("time"))
        assert entry.pop("seconds") > 0
        assert entry == {
            "event": "request",
            "request_id": "abc1",
            "client": "::1",
            "method": "GET",
            "path": "/v2/",
            "status": 206,
            "bytes": 512,
            "resource": "blob",
            "subject": "dev",
            "cache": "hit",
            "upstream": "quay.io",
        }

    def test_what_is_not_known_is_left_out(self, log: Log) -> None:
        AccessLog(log.writer, readable=False).exchange(exchange())
        (entry,) = log.entries()
        assert not {"subject", "cache", "upstream", "error", "detail"} & set(entry)

    def test_times_are_utc_to_the_millisecond(self, log: Log) -> None:
        access = AccessLog(log.writer, readable=False)
        assert access.stamp(STARTED) == "2026-09-21T14:13:20.000Z"
        assert access.stamp(STARTED + 0.9996) == "2026-09-21T14:13:20.999Z"
        assert access.stamp(STARTED + 1.002) == "2026-09-21T14:13:21.002Z"

    @given(text=st.text(max_size=512) | st.binary(max_size=512).map(lambda raw: raw.decode("latin-1")))
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    def test_whatever_a_path_is_its_line_is_json(self, log: Log, text: str) -> None:
        tail = AccessLog(log.writer, readable=False).tail(exchange(path=text, detail=text))
        assert "\n" not in tail
        assert json.loads(f"{{{tail}}}")["path"] == text

    def test_for_people_it_is_a_line_of_words_that_can_not_drive_their_terminal(self, log: Log) -> None:
        access = AccessLog(log.writer, readable=True)
        access.exchange(exchange(path="/v2/\x1b[2J\x9b\n", status=404, error="NAME_INVALID"))
        (line,) = log.lines()
        assert line.isprintable()
        assert "GET /v2/\\x1b[2J\\x9b\\n 404 0 B NAME_INVALID" in line


class TestEvents:
    def test_an_event_has_its_name_and_fields_and_those_of_its_process(self, log: Log) -> None:
        event = event_log(log.writer, readable=False, worker=2)
        event("blob_filled", digest="sha256:abc", bytes=5)
        (entry,) = log.entries()
        assert entry.pop("time")
        assert entry == {"event": "blob_filled", "worker": 2, "digest": "sha256:abc", "bytes": 5}

    def test_an_exception_comes_with_its_traceback(self, log: Log) -> None:
        event = event_log(log.writer, readable=False)
        event("unexpected_error", error=_raised(ValueError("what went wrong")))
        (entry,) = log.entries()
        assert "Traceback" in entry["traceback"]
        assert entry["traceback"].rstrip().endswith("ValueError: what went wrong")

    @pytest.mark.parametrize("depth", [2, 40])
    def test_however_deep_it_fits_into_one_write(self, log: Log, depth: int) -> None:
        """Else lines of other processes would stand in the middle of it."""

        def dig(depth: int) -> None:
            try:
                if depth:
                    dig(depth - 1)
                raise ValueError(f'level "{depth}" \\ é')
            except Exception as error:
                raise RuntimeError(f"at {depth}") from error

        event = event_log(log.writer, readable=False, worker=1)
        with pytest.raises(RuntimeError) as caught:
            dig(depth)
        event("unexpected_error", request_id="abc1", error=caught.value)
        (line,) = log.lines()
        assert len(line) < PIPE_BUF
        assert json.loads(line)["traceback"].rstrip().endswith(f"RuntimeError: at {depth}")

    def test_what_is_no_json_is_written_as_text(self, log: Log) -> None:
        event_log(log.writer, readable=False)("started", directory=Path("data"))
        assert log.entries()[0]["directory"] == "data"

    def test_for_people_it_is_words(self, log: Log) -> None:
        event_log(log.writer, readable=True, worker=1)("worker_ready", directory="data")
        (line,) = log.lines()
        assert line.endswith("worker_ready worker=1 directory=data")


def _raised(error: Exception) -> Exception:
    with pytest.raises(type(error)) as caught:
        raise error
    return caught.value
