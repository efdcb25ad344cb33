"""Where requests end: each has an id of its own, a line, and a place in the sums."""

from typing import Any

import pytest

from proxy_core.telemetry.recorder import Recorder
from proxy_core.telemetry.upstreams import UpstreamRecorder
from tests.registry.conftest import Recording, recording

__all__ = ["recording"]

SCOPE: dict[str, Any] = {"method": "GET", "raw_path": b"/v2/", "headers": []}


def ended(recorder: Recorder, times: int = 1, **facts: Any) -> None:
    for _ in range(times):
        exchange = recorder.begin({**SCOPE, "method": facts.get("method", "GET")}, "192.0.2.7")
        for name, value in facts.items():
            setattr(exchange, name, value)
        recorder.end(exchange)


def test_ids_are_never_the_same(recording: Recording) -> None:
    other = Recorder(recording.recorder.metrics, recording.recorder.access_log, recording.recorder.event)
    ids = [recorder.request_id() for recorder in (recording.recorder, other) for _ in range(1000)]
    assert len(set(ids)) == 2000
    assert all(len(each) == 16 for each in ids)


def test_requests_are_counted_by_resource_method_and_status(recording: Recording) -> None:
    ended(recording.recorder, 3, resource="blob", status=200, sent=1000, state="hit")
    ended(recording.recorder, 2, resource="blob", status=404)
    ended(recording.recorder, resource="manifest", status=200, state="stale")
    assert recording.counted() == 6
    assert recording.counted(resource="blob") == 5
    assert recording.counted(status="404") == 2
    assert len(recording.lines()) == 6


def test_bytes_and_answers_are_counted_by_how_the_cache_came_to_them(recording: Recording) -> None:
    ended(recording.recorder, 3, resource="blob", status=200, sent=1000, state="hit")
    ended(recording.recorder, resource="blob", status=200, sent=5, state="miss")
    recording.recorder.settle()
    metrics = recording.recorder.metrics
    assert _value(metrics.sent_bytes.labels("blob", "hit")) == 3000
    assert _value(metrics.sent_bytes.labels("blob", "miss")) == 5
    assert _value(metrics.answers.labels("blob", "hit")) == 3


def test_a_method_that_a_stranger_made_up_makes_no_new_sum(recording: Recording) -> None:
    for number in range(20):
        ended(recording.recorder, method=f"X{number}", status=405)
    assert recording.counted(method="other") == 20


def test_a_long_path_is_cut(recording: Recording) -> None:
    exchange = recording.recorder.begin({**SCOPE, "raw_path": b"/v2/" + b"x" * 5000}, "192.0.2.7")
    assert len(exchange.path) == 512


def test_the_last_reading_of_each_quota_waits_until_it_is_taken(recording: Recording) -> None:
    asked: UpstreamRecorder[int] = UpstreamRecorder(recording.recorder.metrics)
    for reading in (100, 99):
        asked.quota("docker.io", "anonymous", reading)
    asked.quota("docker.io", "robot", 200)
    assert list(asked.take()) == [("docker.io", "anonymous", 99), ("docker.io", "robot", 200)]
    assert list(asked.take()) == []
    asked.request("docker.io", "manifest", "2xx")
    asked.request("docker.io", "manifest", "2xx")
    assert _value(recording.recorder.metrics.upstream_requests.labels("docker.io", "manifest", "2xx")) == 2


def _value(counter: Any) -> float:
    (value,) = [each.value for metric in counter.collect() for each in metric.samples if each.name.endswith("_total")]
    assert isinstance(value, float)
    return value


@pytest.mark.parametrize("state", [None, "hit"])
def test_an_answer_without_a_body_sends_no_bytes(recording: Recording, state: str | None) -> None:
    ended(recording.recorder, resource="manifest", status=304, state=state)
    assert recording.counted(status="304") == 1
