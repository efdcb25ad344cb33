"""What headers say of an answer's way: where it comes from, how old it is, and what troubles it."""

import pytest

from proxy_core.cache.failures import Trouble
from proxy_core.cache.manifests import State
from proxy_core.registry.freshness import freshness_headers

NOW = 1_790_000_000.0


def told(state: State, **more: object) -> dict[str, str]:
    headers = freshness_headers(state, **{"confirmed_at": None, "now": NOW, **more})  # type: ignore[arg-type]
    return {name.decode(): value.decode() for name, value in headers}


def test_a_hit_says_how_long_ago_the_upstream_confirmed_it() -> None:
    assert told(State.HIT) == {"cache-status": "runner-bridge; hit"}
    assert told(State.HIT, confirmed_at=NOW - 61.9)["age"] == "61"
    assert told(State.HIT, confirmed_at=NOW + 5)["age"] == "0"


def test_what_was_confirmed_or_fetched_just_now_has_no_age() -> None:
    assert "age" not in told(State.MISS, confirmed_at=NOW)
    assert "age" not in told(State.REVALIDATED, confirmed_at=NOW)


def test_a_miss_says_whether_it_is_kept() -> None:
    assert told(State.MISS)["cache-status"] == "runner-bridge; fwd=uri-miss; stored"
    assert told(State.MISS, kept=False)["cache-status"] == "runner-bridge; fwd=uri-miss"


def test_a_stale_copy_warns_and_says_since_when_it_is_unconfirmed() -> None:
    headers = told(State.STALE, confirmed_at=NOW - 3600, trouble=Trouble("outage", "docker.io refuses connections."))
    assert headers["age"] == "3600"
    assert headers["warning"].startswith('299 - "')
    assert headers["warning"].endswith('docker.io refuses connections."')
    assert headers["cache-status"] == 'runner-bridge; hit; ttl=-3600; detail="outage"'


@pytest.mark.parametrize(
    "cause", ['a "quoted" word', "a \\ backslash", "a\nnew\r\nline", "ümlaut 🐳", "x" * 10_000, '"', "\\"]
)
def test_whatever_the_cause_the_warning_is_one_quoted_text(cause: str) -> None:
    warning = told(State.STALE, confirmed_at=NOW, trouble=Trouble("outage", cause))["warning"]
    assert warning.startswith('299 - "')
    assert warning.endswith('"')
    inner = warning.removeprefix('299 - "').removesuffix('"')
    assert '"' not in inner
    assert "\\" not in inner
    assert inner.isprintable()
    assert len(warning) <= 4096
