"""Durations (``15m``) and sizes (``100GiB``) as operators write them: one number with one unit."""

import re
from collections.abc import Mapping
from typing import Final

from proxy_core.errors import ConfigurationError
from proxy_core.settings.problems import shown

DURATIONS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
"""Unit -> seconds."""

SIZES: Final = {
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
"""Unit -> bytes: powers of 1000, and with an ``i`` powers of 1024 (IEC 80000-13)."""

# Twelve digits are enough for anything real and keep the arithmetic exact.
_QUANTITY = re.compile(r"([0-9]{1,12})(?:\.([0-9]{1,3}))? ?([A-Za-z]*)", re.ASCII)


def parse_duration(text: str) -> float:
    """Seconds.

    >>> parse_duration("15m")
    900.0

    :raises ConfigurationError: not a number with a unit of :data:`DURATIONS`.
    """
    thousandths, unit = _quantity(text, "a duration", DURATIONS, "15m")
    return thousandths * DURATIONS[unit] / 1000


def parse_size(text: str) -> int:
    """Bytes, rounded down.

    >>> parse_size("1.5KiB")
    1536

    :raises ConfigurationError: not a number with a unit of :data:`SIZES`.
    """
    thousandths, unit = _quantity(text, "a size", SIZES, "10GiB")
    return thousandths * SIZES[unit] // 1000


def _quantity(text: str, what: str, units: Mapping[str, float], example: str) -> tuple[int, str]:
    """The number in thousandths, and its unit."""
    match = _QUANTITY.fullmatch(text.strip())
    if match is None:
        raise ConfigurationError(f"{shown(text)} is not {what}.", f"Write a number with a unit, e.g. {example}.")
    whole, fraction, unit = match.groups()
    if unit not in units:
        cause = f"{shown(text)} has no unit." if not unit else f"{shown(text)} has a unit that is not known."
        number = whole if fraction is None else f"{whole}.{fraction}"
        near = _nearest(unit, units)
        fix = f"Did you mean {number}{near}? " if near else f"Write e.g. {example}. "
        raise ConfigurationError(cause, f"{fix}Units: {', '.join(units)}.")
    return int(whole) * 1000 + int((fraction or "").ljust(3, "0")), unit


def _nearest(unit: str, units: Mapping[str, float]) -> str | None:
    """The unit that was probably meant: ``GIB``, ``Gi`` and ``G`` are GiB, ``sec`` is s, ``minutes`` is m."""
    folded = unit.lower()
    if not folded:
        return None
    if units is DURATIONS:
        return next((known for known in ("ms", "s", "m", "h", "d") if _abbreviates(known, folded)), None)
    return next((known for known in SIZES if known.lower() in (folded, f"{folded}b", f"{folded}ib")), None)


def _abbreviates(unit: str, word: str) -> bool:
    return word.startswith("mil") if unit == "ms" else word.startswith(unit)
