"""What an upstream wants to see before it answers: ``WWW-Authenticate`` (RFC 9110, section 11.6.1), parsed."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER = re.compile(rf"({_WORD})[ \t]*=[ \t]*(?:\"((?:[^\"\\]|\\.)*)\"|([^\s,\"]*))", re.ASCII | re.DOTALL)
_SCHEME = re.compile(rf"({_WORD})(?=[ \t,]|$)", re.ASCII)
_OPAQUE = re.compile(r"[ \t]+[A-Za-z0-9._~+/-]+=*[ \t]*(?=,|$)", re.ASCII)
_SEPARATORS = re.compile(r"[ \t,]*")
_OTHER = re.compile(r"[^,]*")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to authenticate: the scheme and the names of its parameters are in lower case."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def parse_challenges(values: Iterable[str]) -> list[Challenge]:
    """All challenges of all ``WWW-Authenticate`` lines, in their order.

    Values without quotes may be more than tokens, since registries write such; of a parameter that stands twice the
    first counts; what fits no rule is left out up to the next comma.
    """
    return [challenge for value in values for challenge in _challenges(value)]


def _challenges(value: str) -> list[Challenge]:
    found: list[tuple[str, dict[str, str]]] = []
    at = _end(_SEPARATORS, value, 0)
    while at < len(value):
        if (parameter := _PARAMETER.match(value, at)) and found:
            quoted = parameter[2]
            text = parameter[3] if quoted is None else _ESCAPED.sub(r"\1", quoted)
            found[-1][1].setdefault(parameter[1].lower(), text)
            at = parameter.end()
        elif (scheme := _SCHEME.match(value, at)) and not parameter:
            found.append((scheme[1].lower(), {}))
            at = _end(_OPAQUE, value, scheme.end())
        else:
            at = _end(_OTHER, value, at)
        at = _end(_SEPARATORS, value, at)
    return [Challenge(name, parameters) for name, parameters in found]


def _end(pattern: re.Pattern[str], value: str, at: int) -> int:
    """Where the text that fits ends, if any fits here."""
    found = pattern.match(value, at)
    return at if found is None else found.end()
