"""What a demo claims, held against what went over the wires."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from runner_bridge.demo.acts import Act, Play
from runner_bridge.demo.exchange import Exchange

FIX: Final = "This is a bug in runner-bridge: report it with what `runner-bridge demo --format json` prints."


@dataclass(frozen=True, slots=True)
class Check:
    claim: str
    cause: str  # why it does not hold; empty: it holds

    @property
    def ok(self) -> bool:
        return not self.cause


def check(play: Play) -> tuple[Check, ...]:
    return tuple(Check(claim, look(play)) for claim, look in _CLAIMS.items())


def reference(exchange: Exchange) -> str:
    """The tag or the digest that was asked for: the path's last part."""
    return exchange.path.rpartition("/")[2]


def _whole(play: Play) -> str:
    for act in play.acts:
        content = [one for one in act.client if one.is_content]
        if damaged := [one.path for one in content if one.digest != reference(one)]:
            return f"{act.name}: other bytes than asked for came as {damaged[0]}."
        if missing := set(play.parts) - {reference(one) for one in content}:
            return f"{act.name}: {missing.pop()} did not come."
    return ""


def _once(play: Play) -> str:
    cold = play.act("cold")
    given = sorted(reference(one) for one in cold.upstream if one.is_content)
    if given != sorted(play.parts):
        return f"The upstream gave {len(given)} manifests and blobs, not each of the {len(play.parts)} once."
    return _strangers([one for one in cold.upstream if not (one.is_content or _is_head(one) or one.path == "/token")])


def _streamed(play: Play) -> str:
    cold = play.act("cold")
    reached = {reference(one): one.first_byte for one in cold.client}
    sent = {reference(one): one.ended for one in cold.upstream}
    for layer in play.layers:
        first_byte = reached.get(layer)
        if first_byte is None or first_byte >= sent.get(layer, 0):
            return f"Nothing of {layer} reached the client before the upstream had sent all of it."
    return ""


def _one_head(play: Play) -> str:
    asked = play.act("warm").upstream
    if not any(_is_head(one) for one in asked):
        return "The upstream was not asked whether the tag has moved."
    return _strangers(asked[1:]) if _is_head(asked[0]) else _strangers(asked)


def _from_cache(play: Play) -> str:
    for act in (play.act("warm"), play.act("stale")):
        if fetched := [one for one in act.client if one.is_content and one.cache != "hit"]:
            return f"{act.name}: {fetched[0].path} did not come from the cache ({fetched[0].cache_status})."
    return ""


def _warned(play: Play) -> str:
    tag = _tag(play.act("stale"))
    if tag.cache != "stale" or not tag.warning.startswith("299 "):
        return f"The tag came as {tag.cache_status!r} with the warning {tag.warning!r}."
    return ""


def _is_head(exchange: Exchange) -> bool:
    return exchange.method == "HEAD" and "/manifests/" in exchange.path


def _tag(act: Act) -> Exchange:
    return next(one for one in act.client if _is_head(one))


def _strangers(unexpected: "list[Exchange] | tuple[Exchange, ...]") -> str:
    if not unexpected:
        return ""
    first = unexpected[0]
    return f"The upstream was also asked {first.method} {first.path} (answer: {first.status})."


_CLAIMS: Final[dict[str, Callable[[Play], str]]] = {
    "Every manifest and blob has the digest under which it was asked for, in all three pulls.": _whole,
    "Cold: the upstream gave each manifest and blob once.": _once,
    "Cold: the client had bytes of each layer while the upstream still kept back its second half.": _streamed,
    "Warm: the upstream was asked one HEAD, for the tag, and nothing else.": _one_head,
    "Warm and stopped: all else came from the cache.": _from_cache,
    "Stopped: the tag was served as it was last confirmed, with a warning.": _warned,
}
