"""The registry before a real cache, recorded as in a worker process."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client import values

from proxy_core.telemetry.lines import LineWriter
from proxy_core.telemetry.logs import AccessLog, event_log
from proxy_core.telemetry.metrics import Metrics
from proxy_core.telemetry.recorder import Recorder
from tests.cache.conftest import folder, migrated, place, worker

__all__ = ["folder", "migrated", "place", "worker"]


@dataclass
class Recording:
    """A recorder, and what it has written."""

    recorder: Recorder
    writer: LineWriter
    log: Path

    def lines(self) -> list[str]:
        """All lines so far. Ends the recording."""
        self.writer.close()
        return self.log.read_text().splitlines()

    def counted(self, **labels: str) -> int:
        """How many requests with these labels the metrics know of."""
        self.recorder.settle()
        samples = [sample for metric in self.recorder.metrics.requests.collect() for sample in metric.samples]
        counts = [sample for sample in samples if sample.name.endswith("_total")]
        return round(sum(sample.value for sample in counts if labels.items() <= sample.labels.items()))


@pytest.fixture
def recording(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recording]:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")  # what Metrics sets it to ends with the test
    monkeypatch.setattr(values, "ValueClass", values.MutexValue)  # numbers of this test alone
    directory = tmp_path_factory.mktemp("recording")
    fd = os.open(directory / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    writer = LineWriter(fd)
    metrics = Metrics(directory)
    log = AccessLog(writer, readable=False)
    recorder = Recorder(metrics, log, event_log(writer, readable=False, worker=1))
    yield Recording(recorder, writer, directory / "log")
    writer.close()
    os.close(fd)
