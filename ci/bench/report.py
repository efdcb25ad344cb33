"""The result of a run as a document for programs and as Markdown."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median

from ci.bench.results import OURS, Figure, Goal, Samples, detail, ratios, worst_goal

DETAILS = {
    "latency_p50_ms": "p50 ms",
    "latency_p99_ms": "p99 ms",
    "first_byte_p50_ms": "first byte p50 ms",
    "first_byte_p99_ms": "first byte p99 ms",
    "upstream_gets": "upstream GETs",
    "upstream_bytes_x": "upstream bytes / size",
    "upstream_requests": "upstream requests",
    "peak_rss_mib": "peak RSS of a worker, MiB",
}
"""Columns; the median of the rounds, but the largest for memory and upstream requests."""
WORST = ("upstream_gets", "upstream_requests", "peak_rss_mib")


@dataclass(frozen=True, slots=True)
class Report:
    """All that a run found; `skipped` maps a missing server to the reason."""

    date: str
    machine: Mapping[str, str]
    versions: Mapping[str, str]
    settings: Mapping[str, object]
    skipped: Mapping[str, str]
    figures: Sequence[Figure]

    @property
    def faults(self) -> list[str]:
        return [f"{figure.name}: {fault}" for figure in self.figures for fault in figure.faults]

    def goals(self) -> list[tuple[str, Goal]]:
        """Each goal with what it is about; last the memory of a worker over all figures."""
        goals = [(figure.title, goal) for figure in self.figures for goal in figure.goals]
        memory = [value for figure in self.figures for value in detail(figure.samples, "peak_rss_mib")]
        return [*goals, ("peak RSS of a worker, in all of these", worst_goal("at most 110 MiB", memory, 110))]


def document(report: Report) -> dict[str, object]:
    """For JSON: every sample of every round."""
    return {
        "date": report.date,
        "machine": dict(report.machine),
        "versions": dict(report.versions),
        "settings": dict(report.settings),
        "skipped": dict(report.skipped),
        "goals": [{"figure": about, **asdict(goal), "met": goal.met} for about, goal in report.goals()],
        "figures": [
            {
                "name": figure.name,
                "title": figure.title,
                "unit": figure.unit,
                "more_is_better": figure.more_is_better,
                "samples": {name: [asdict(s) for s in samples] for name, samples in figure.samples.items()},
            }
            for figure in report.figures
        ],
        "faults": report.faults,
    }


def markdown(report: Report) -> str:
    """For people: the goals first, then each figure."""
    lines = ["# Benchmark", "", f"{report.date}. " + ", ".join(f"{k}: {v}" for k, v in report.machine.items()) + "."]
    lines += ["Servers: " + ", ".join(f"{name} {version}" for name, version in report.versions.items()) + "."]
    lines += [
        "Settings (sizes in bytes): " + ", ".join(f"{name} {value}" for name, value in report.settings.items()) + "."
    ]
    lines += [f"Skipped: {name} ({why})." for name, why in report.skipped.items()]
    lines += [
        "All servers were measured in turn, in changing order, in the same run; a ratio is the median of the rounds'",
        "ratios (in brackets: the lowest and the highest round).",
        "",
        "## Goals",
        "",
        *_table(["figure", "goal", "measured", "met"], [_goal_row(about, goal) for about, goal in report.goals()]),
    ]
    for figure in report.figures:
        lines += ["", f"## {figure.title}", "", *_figure_table(figure)]
    lines += ["", "## Faults", ""]
    lines += [f"- {fault}" for fault in report.faults] or ["None: every status, length and SHA-256 was right."]
    return "\n".join(lines) + "\n"


def _goal_row(about: str, goal: Goal) -> list[str]:
    if goal.measured is None or goal.low is None or goal.high is None:
        return [about, goal.text, "not measured", "-"]
    measured = f"{goal.measured:.3g} [{goal.low:.3g} - {goal.high:.3g}]"
    return [about, goal.text, measured, "yes" if goal.met else "**no**"]


def _figure_table(figure: Figure) -> list[str]:
    columns = [key for key in DETAILS if any(key in s.details for samples in figure.samples.values() for s in samples)]
    head = ["server", figure.unit, f"{OURS} / server", *(DETAILS[key] for key in columns)]
    rows = []
    for name, samples in figure.samples.items():
        ratio = ratios(figure.samples, name)
        row = [name, f"{median(s.value for s in samples):.4g}", f"{median(ratio):.3g}" if ratio else "-"]
        rows.append([*row, *(_detail_cell(figure.samples, key, name) for key in columns)])
    return _table(head, rows)


def _detail_cell(samples: Samples, key: str, name: str) -> str:
    values = detail(samples, key, name)
    if not values:
        return "-"
    return f"{(max if key in WORST else median)(values):.3g}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [_row(head), _row(["---"] * len(head)), *(_row(row) for row in rows)]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
