"""A demo's facts for programs."""

from collections.abc import Sequence
from typing import Any

from runner_bridge.demo.acts import Act, Play
from runner_bridge.demo.checks import FIX, Check
from runner_bridge.demo.exchange import Exchange
from runner_bridge.demo.upstream import PULLS


def document(play: Play, checks: Sequence[Check]) -> dict[str, Any]:
    return {
        "pulled": play.pulled,
        "parts": list(play.parts),
        "acts": [_act(act) for act in play.acts],
        "upstream_quota": {"limit": PULLS, "remaining": play.pulls_left},
        "checks": [
            {"check": one.claim, "ok": one.ok, "cause": one.cause or None, "fix": None if one.ok else FIX}
            for one in checks
        ],
        "seconds": round(play.seconds, 3),
    }


def _act(act: Act) -> dict[str, Any]:
    began = act.client[0].started
    return {
        "name": act.name,
        "title": act.title,
        "client": [_exchange(one, began) for one in act.client],
        "upstream": [_exchange(one, began) for one in act.upstream],
        "client_bytes": act.client_bytes,
        "upstream_bytes": act.upstream_bytes,
        "upstream_gets": act.upstream_gets,
        "seconds": round(act.seconds, 3),
    }


def _exchange(exchange: Exchange, began: float) -> dict[str, Any]:
    def since(moment: float) -> float:
        return round((moment - began) * 1000, 1)

    return {
        "method": exchange.method,
        "path": exchange.path,
        "status": exchange.status,
        "bytes": exchange.size,
        "digest": exchange.digest,
        "started_ms": since(exchange.started),
        "first_byte_ms": None if exchange.first_byte is None else since(exchange.first_byte),
        "ended_ms": since(exchange.ended),
        "cache_status": exchange.cache_status or None,
        "warning": exchange.warning or None,
    }
