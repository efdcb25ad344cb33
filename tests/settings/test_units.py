"""Durations and sizes."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_core.errors import ConfigurationError
from proxy_core.settings.units import DURATIONS, SIZES, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0s", 0), ("500ms", 0.5), ("15m", 900), ("2h", 7200), ("7d", 604_800), ("1.5h", 5400), (" 10 s ", 10)],
)
def test_durations_are_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [("0B", 0), ("100GiB", 100 * 2**30), ("5GB", 5 * 10**9), ("10MiB", 10 * 2**20), ("1.5KiB", 1536), ("0.001B", 0)],
)
def test_sizes_are_bytes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("15", "Write e.g. 15m"),
        ("15min", "Did you mean 15m?"),
        ("2 hours", "Did you mean 2h?"),
        ("3 millis", "Did you mean 3ms?"),
        ("1w", "Units: ms, s, m, h, d."),
        ("-5s", "Write a number with a unit"),
        ("1e3s", "Write a number with a unit"),
        ("٣s", "Write a number with a unit"),
        ("", "Write a number with a unit"),
    ],
)
def test_a_wrong_duration_is_told_the_right_one(text: str, fix: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_duration(text)
    assert fix in caught.value.fix


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("100", "Write e.g. 10GiB"),
        ("100gib", "Did you mean 100GiB?"),
        ("10Gi", "Did you mean 10GiB?"),
        ("5gb", "Did you mean 5GB?"),
        ("1.5k", "Did you mean 1.5KB?"),
        ("5PB", "Units: B, KB,"),
    ],
)
def test_a_wrong_size_is_told_the_right_one(text: str, fix: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_size(text)
    assert fix in caught.value.fix


@given(st.integers(0, 10**12 - 1), st.integers(0, 999), st.sampled_from(sorted(SIZES)))
def test_every_size_is_exact_to_the_byte(whole: int, thousandths: int, unit: str) -> None:
    assert parse_size(f"{whole}.{thousandths:03}{unit}") == (whole * 1000 + thousandths) * SIZES[unit] // 1000


@given(st.integers(0, 10**9), st.sampled_from(sorted(DURATIONS)))
def test_every_whole_duration_is_its_number_of_units(number: int, unit: str) -> None:
    assert parse_duration(f"{number}{unit}") == pytest.approx(number * DURATIONS[unit])


@given(st.text(max_size=30))
def test_any_other_text_is_refused(text: str) -> None:
    for parse in (parse_duration, parse_size):
        with contextlib.suppress(ConfigurationError):
            assert parse(text) >= 0
