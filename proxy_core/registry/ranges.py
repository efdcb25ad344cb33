"""The ``Range`` and ``If-Range`` of a request (RFC 9110, sections 14.2 and 13.1.5)."""

import re
from dataclasses import dataclass

from proxy_core.errors import RangeNotSatisfiable

_SPEC = re.compile(r"(\d*)-(\d*)", re.ASCII)
_DIGITS = 100  # what is longer is no offset in anybody's mind


@dataclass(frozen=True, slots=True)
class Span:
    """The bytes from ``start`` up to, not including, ``end``; ``end`` is ``None`` where the size is not known yet."""

    start: int
    end: int | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """One range as the client wrote it: ``first-last``, ``first-`` or, with ``first`` as ``None``, the last bytes."""

    first: int | None
    last: int | None

    def within(self, size: int) -> Span:
        """The bytes of a body of this size that are meant.

        :raises RangeNotSatisfiable: there are none.
        """
        if self.first is None:
            if not self.last:
                raise _beyond(size)
            return Span(max(0, size - self.last), size)
        if self.first >= size or (self.last is not None and self.last < self.first):
            raise _beyond(size)
        return Span(self.first, size if self.last is None else min(self.last + 1, size))


def parse_range(value: str) -> Wanted | None:
    """The range that a ``Range`` header asks for; ``None``: the header is to be ignored.

    Ignored are, as the RFC allows or wants: units other than ``bytes``, what is no range at all, and several ranges,
    which no registry client asks for and whose answer would be larger than the whole. A last byte before the first may
    be ignored or rejected; the distribution specification's suite wants it rejected, so it is (:meth:`Wanted.within`).
    """
    unit, equals, ranges = value.partition("=")
    if not equals or unit.strip().lower() != "bytes":
        return None
    match = _SPEC.fullmatch(ranges.strip())
    if not match or any(len(number) > _DIGITS for number in match.groups()):
        return None
    first, last = (int(number) if number else None for number in match.groups())
    if first is None and last is None:
        return None
    return Wanted(first, last)


def still_holds(if_range: str | None, etag: str) -> bool:
    """Whether a ``Range`` counts: there is no ``If-Range``, or it names this very entity tag. Dates never match, since
    a blob has none, and weak tags never do (RFC 9110, section 13.1.5)."""
    return if_range is None or if_range.strip() == etag


def _beyond(size: int) -> RangeNotSatisfiable:
    return RangeNotSatisfiable(
        f"The range is beyond the end: the blob has {size} bytes.",
        "Ask for a range within it, or for the whole.",
        headers={"Content-Range": f"bytes */{size}"},
    )
