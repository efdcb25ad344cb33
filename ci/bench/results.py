"""What a figure found: samples per server and round, and what they mean for its goals."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

OURS = "runner-bridge"

Direction = Literal["at least", "at most"]
Summary = Callable[[Sequence[float]], float]


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement of one server: the figure's value, what else was seen, and what was wrong."""

    value: float
    details: Mapping[str, float] = field(default_factory=dict)
    faults: tuple[str, ...] = ()


Samples = Mapping[str, Sequence[Sample]]
"""By server; a server's samples stand in the order of the rounds."""


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound and what was measured: `measured` is None when a server it needs was missing."""

    text: str
    direction: Direction
    bound: float
    measured: float | None
    low: float | None = None
    high: float | None = None

    @property
    def met(self) -> bool | None:
        if self.measured is None:
            return None
        return self.measured >= self.bound if self.direction == "at least" else self.measured <= self.bound


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured figure; `unit` is that of the samples' values, of which more is better or not."""

    name: str
    title: str
    unit: str
    more_is_better: bool
    samples: Samples
    goals: tuple[Goal, ...]

    @property
    def faults(self) -> list[str]:
        return [f"{name}: {fault}" for name, samples in self.samples.items() for s in samples for fault in s.faults]


def ratios(samples: Samples, peer: str, ours: str = OURS) -> list[float]:
    """Ours divided by the peer's, round by round: what slows a round slows both. Empty if one is missing."""
    pairs = zip(samples.get(ours, ()), samples.get(peer, ()), strict=False)
    return [our.value / theirs.value for our, theirs in pairs if theirs.value]


def ratio_goal(samples: Samples, peer: str, direction: Direction, bound: float) -> Goal:
    """The median of the rounds' ratios against `bound`."""
    return _goal(f"{direction} {bound:g} x {peer}", direction, bound, ratios(samples, peer), median)


def value_goal(text: str, values: Sequence[float], direction: Direction, bound: float) -> Goal:
    """The median of values against `bound`."""
    return _goal(text, direction, bound, values, median)


def worst_goal(text: str, values: Sequence[float], bound: float) -> Goal:
    """The largest of values must not exceed `bound`."""
    return _goal(text, "at most", bound, values, max)


def detail(samples: Samples, key: str, name: str = OURS) -> list[float]:
    """A detail of a server's samples, in the order of the rounds."""
    return [sample.details[key] for sample in samples.get(name, ()) if key in sample.details]


def _goal(text: str, direction: Direction, bound: float, values: Sequence[float], summary: Summary) -> Goal:
    if not values:
        return Goal(text, direction, bound, None)
    return Goal(text, direction, bound, summary(values), min(values), max(values))
