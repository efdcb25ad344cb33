"""Headers of upstreams, as strangers may write them: parsed into values, and never a reason to fall over."""

from datetime import UTC, datetime
from email.utils import format_datetime

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_core.upstream import QuotaReading
from proxy_core.upstream.challenge import Challenge, parse_challenges
from proxy_core.upstream.headers import (
    MAX_RETRY_AFTER,
    ContentRange,
    content_length,
    content_range,
    media_type,
    next_link,
    quota_headers,
    quota_reading,
    retry_after,
)

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC).timestamp()

anything = st.text(max_size=200)
words = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=12)
printable = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=40)


def headers(*pairs: tuple[str, str]) -> httpx2.Headers:
    return httpx2.Headers(list(pairs))


# Retry-After


@given(st.integers(0, 10**15))
def test_retry_after_in_seconds_is_taken_and_capped(seconds: int) -> None:
    assert retry_after(str(seconds), NOW) == min(seconds, MAX_RETRY_AFTER)


@given(st.integers(-(10**7), 10**7))
def test_retry_after_as_a_date_counts_from_now_and_never_back(seconds: int) -> None:
    date = format_datetime(datetime.fromtimestamp(NOW + seconds, UTC), usegmt=True)
    assert retry_after(date, NOW) == min(max(seconds, 0), MAX_RETRY_AFTER)


@given(anything)
def test_any_retry_after_gives_a_bounded_pause_or_none(value: str) -> None:
    pause = retry_after(value, NOW)
    assert pause is None or 0 <= pause <= MAX_RETRY_AFTER


@pytest.mark.parametrize("value", [None, "", "soon", "-1", "1.5", "Wed, 99 Nov 2026 25:00:00 GMT", "٣"])
def test_a_retry_after_without_sense_is_none(value: str | None) -> None:
    assert retry_after(value, NOW) is None


# Quotas


def test_docker_hubs_quota() -> None:
    answer = headers(
        ("ratelimit-limit", "100;w=21600"),
        ("ratelimit-remaining", "98;w=21600"),
        ("docker-ratelimit-source", "1.2.3.4"),
    )
    assert quota_reading(answer) == QuotaReading(100, 98, 21600, "1.2.3.4")
    assert quota_headers(answer) == {
        "RateLimit-Limit": "100;w=21600",
        "RateLimit-Remaining": "98;w=21600",
        "Docker-RateLimit-Source": "1.2.3.4",
    }


def test_a_quota_without_a_window_is_one() -> None:
    assert quota_reading(headers(("RateLimit-Limit", "2000"), ("RateLimit-Remaining", "1999"))) == QuotaReading(
        2000, 1999
    )


@given(anything, anything, anything)
def test_any_text_as_a_quota_does_no_harm(limit: str, remaining: str, source: str) -> None:
    values = {"RateLimit-Limit": limit, "RateLimit-Remaining": remaining, "Docker-RateLimit-Source": source}
    answer = httpx2.Headers([(name.encode(), value.encode()) for name, value in values.items()])
    reading = quota_reading(answer)
    assert reading is None or (reading.limit >= 0 and reading.remaining >= 0)
    assert all("\r" not in value and "\n" not in value for value in quota_headers(answer).values())


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**6))
def test_every_quota_that_is_one_is_read(limit: int, remaining: int, window: int) -> None:
    answer = headers(("RateLimit-Limit", f"{limit};w={window}"), ("RateLimit-Remaining", f"{remaining} ; w={window}"))
    assert quota_reading(answer) == QuotaReading(limit, remaining, window)


# Challenges


def quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


@given(st.lists(st.tuples(words, st.dictionaries(words, printable, max_size=4)), max_size=4))
def test_what_is_written_by_the_rules_is_read_as_it_was_meant(challenges: list[tuple[str, dict[str, str]]]) -> None:
    header = ", ".join(
        f"{scheme} " + ", ".join(f"{name}={quoted(value)}" for name, value in parameters.items())
        for scheme, parameters in challenges
    )
    assert parse_challenges([header]) == [Challenge(scheme, parameters) for scheme, parameters in challenges]


@given(st.lists(anything, max_size=4))
def test_any_text_as_a_challenge_does_no_harm(values: list[str]) -> None:
    for challenge in parse_challenges(values):
        assert challenge.scheme


@given(st.text('Bearer realm=",\\ \t;x', max_size=60))
def test_broken_challenges_do_no_harm(value: str) -> None:
    parse_challenges([value])


def test_challenges_as_registries_send_them() -> None:
    hub = 'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"'
    assert parse_challenges([hub]) == [
        Challenge(
            "bearer",
            {
                "realm": "https://auth.docker.io/token",
                "service": "registry.docker.io",
                "scope": "repository:a/b:pull,push",
            },
        )
    ]
    assert [
        each.scheme for each in parse_challenges(['Negotiate YWJj==, Basic realm="x, y"', "BEARER realm=a:b/c"])
    ] == [
        "negotiate",
        "basic",
        "bearer",
    ]
    assert parse_challenges(["BEARER realm=https://a/b"])[0].parameters == {"realm": "https://a/b"}
    assert parse_challenges(['Basic realm="one", realm="two"'])[0].parameters == {"realm": "one"}


# Lengths, ranges, types


@given(st.integers(0, 10**12), st.integers(0, 10**12), st.integers(0, 10**12))
def test_a_content_range_is_read_if_it_is_possible(start: int, end: int, total: int) -> None:
    read = content_range(f"bytes {start}-{end}/{total}")
    assert read == (ContentRange(start, end, total) if start <= end < total else None)
    assert content_range(f"bytes {start}-{end}/*") == (ContentRange(start, end, None) if start <= end else None)


@given(anything)
def test_any_text_as_a_content_range_does_no_harm(value: str) -> None:
    part = content_range(value)
    assert part is None or part.length > 0


def test_the_length_of_a_body_in_chunks_is_not_told() -> None:
    assert content_length(headers(("Content-Length", "12"))) == 12
    assert content_length(headers(("Content-Length", "12"), ("Transfer-Encoding", "chunked"))) is None
    assert content_length(headers(("Content-Length", "-1"))) is None
    assert content_length(headers()) is None


def test_a_media_type_has_no_parameters() -> None:
    assert media_type(headers(("Content-Type", "Application/JSON ; charset=utf-8"))) == "application/json"
    assert media_type(headers()) == ""


# Links


@pytest.mark.parametrize(
    ("values", "address"),
    [
        (['</v2/a/tags/list?n=2&last=b>; rel="next"'], "/v2/a/tags/list?n=2&last=b"),
        (['<https://x/a,b>; title="a; rel=b, c"; rel=next'], "https://x/a,b"),
        (['</1>; rel="prev", </2>; rel="last next"'], "/2"),
        (['</1>; rel="prev"', '</2>;REL = "NEXT"'], "/2"),
        (['</1>; rel="nextish"'], None),
        (["/1; rel=next"], None),
        (["<"], None),
        ([], None),
    ],
)
def test_the_next_page(values: list[str], address: str | None) -> None:
    assert next_link(headers(*(("Link", value) for value in values))) == address


@given(st.lists(st.text('<>;, "rel=next/\\', max_size=60), max_size=3))
def test_any_text_as_a_link_does_no_harm(values: list[str]) -> None:
    next_link(headers(*(("Link", value) for value in values)))
