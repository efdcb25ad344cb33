"""Metrics are right over all processes of a run, those that died included. Each test process imports the library anew,
since that learns only then where to write."""

from pathlib import Path

import pytest

from proxy_core.telemetry.metrics import forget_process, prepare_folder
from tests.storage.processes import Process


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    prepare_folder(tmp_path)
    return tmp_path


def worker(folder: Path, code: str) -> Process:
    """A process with metrics that does something with them, says so, and lives on."""
    return Process(
        f"""
        from pathlib import Path
        from proxy_core.telemetry.metrics import Metrics, gauge
        metrics = Metrics(Path({str(folder)!r}))
        {code}
        say("done")
        wait()
        """
    )


def page(folder: Path) -> dict[str, float]:
    """What Prometheus is told by whichever process it asks: sample and value."""
    code = """
        extra = [gauge("quota", "Text.", ("upstream",), [(("docker.io",), 76.0)])]
        text = metrics.page(extra).decode()
        for line in text.splitlines():
            if not line.startswith("#"):
                say(line)
    """
    samples = {}
    with worker(folder, code.strip()) as process:
        while (line := process.heard()) != "done":
            name, _, value = line.rpartition(" ")
            samples[name] = float(value)
    return samples


REQUESTS = 'runner_bridge_requests_total{method="GET",resource="blob",status="200"}'
RUNNING = "runner_bridge_fills_running"


def test_numbers_of_two_processes_add_up_and_outlive_them(folder: Path) -> None:
    code = 'metrics.requests.labels("blob", "GET", "200").inc({}); metrics.fills_running.set({})'
    with worker(folder, code.format(3, 2)) as one, worker(folder, code.format(4, 5)) as other:
        assert one.heard() == other.heard() == "done"
        told = page(folder)
        assert told[REQUESTS] == 7
        assert told[RUNNING] == 7
        assert told['runner_bridge_quota{upstream="docker.io"}'] == 76
        pid = one.pid
        one.kill()
        forget_process(folder, pid)
        told = page(folder)
        assert told[REQUESTS] == 7
        assert told[RUNNING] == 5
        with worker(folder, code.format(10, 1)) as successor:
            assert successor.heard() == "done"
            told = page(folder)
            assert told[REQUESTS] == 17
            assert told[RUNNING] == 6


def test_a_process_that_had_no_numbers_leaves_nothing(folder: Path) -> None:
    forget_process(folder, 4_194_304)
    assert [path.name for path in folder.iterdir()] == ["counter_ended.db"]
