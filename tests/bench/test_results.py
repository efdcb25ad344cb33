"""Ratios, goals and what the reader of the report sees of them."""

import json

import pytest

from ci.bench.report import Report, document, markdown
from ci.bench.results import Figure, Goal, Sample, ratio_goal, ratios, worst_goal

SAMPLES = {
    "nginx": [Sample(100.0), Sample(10.0), Sample(100.0)],
    "runner-bridge": [Sample(90.0), Sample(20.0), Sample(95.0, {"peak_rss_mib": 111.0})],
}


def report(*figures: Figure) -> Report:
    return Report(
        date="2026-01-02 03:04 UTC",
        machine={"cores": "2"},
        versions={"nginx": "1.22.1"},
        settings={"rounds": 3},
        skipped={"drayage": "no network"},
        figures=figures,
    )


def figure(**samples: list[Sample]) -> Figure:
    return Figure("speed", "how fast", "MB/s", True, {name.replace("_", "-"): s for name, s in samples.items()}, ())


def test_a_ratio_is_of_one_round_so_that_a_slow_round_slows_both() -> None:
    assert ratios(SAMPLES, "nginx") == [0.9, 2.0, 0.95]
    goal = ratio_goal(SAMPLES, "nginx", "at least", 0.95)
    assert (goal.measured, goal.low, goal.high, goal.met) == (0.95, 0.9, 2.0, True)


def test_a_goal_against_a_missing_peer_is_neither_met_nor_missed() -> None:
    goal = ratio_goal(SAMPLES, "drayage", "at least", 1.2)
    assert (goal.measured, goal.met) == (None, None)


@pytest.mark.parametrize(
    ("direction", "bound", "met"),
    [("at least", 1.0, True), ("at least", 1.1, False), ("at most", 1.0, True), ("at most", 0.9, False)],
)
def test_directions(direction: str, bound: float, met: bool) -> None:
    assert Goal("g", "at least" if direction == "at least" else "at most", bound, 1.0).met is met


def test_one_bad_round_misses_a_goal_that_must_always_hold() -> None:
    assert worst_goal("one GET", [1, 1, 2], 1).met is False


def test_the_report_judges_memory_over_all_figures() -> None:
    fat = figure(runner_bridge=[Sample(1.0, {"peak_rss_mib": 90.0}), Sample(1.0, {"peak_rss_mib": 111.0})])
    text = markdown(report(figure(runner_bridge=[Sample(1.0, {"peak_rss_mib": 50.0})]), fat))
    assert "| peak RSS of a worker, in all of these | at most 110 MiB | 111 [50 - 111] | **no** |" in text


def test_the_report_names_missing_servers_and_faults() -> None:
    text = markdown(report(figure(nginx=[Sample(1.0, faults=("2 answers of 500",))])))
    assert "Skipped: drayage (no network)." in text
    assert "- speed: nginx: 2 answers of 500" in text


def test_the_document_holds_every_round() -> None:
    whole = json.loads(json.dumps(document(report(Figure("speed", "how fast", "MB/s", True, SAMPLES, ())))))
    assert [sample["value"] for sample in whole["figures"][0]["samples"]["nginx"]] == [100.0, 10.0, 100.0]
    assert whole["skipped"] == {"drayage": "no network"}
