"""Many values, a statement's worth at a time."""

from collections.abc import Collection, Iterator
from typing import Final, TypeVar

_T = TypeVar("_T")

#: The loop that serves clients prepares the values of a statement: a few milliseconds for so many. SQLite takes 32766.
SIZE: Final = 500


def portions(values: Collection[_T]) -> Iterator[list[_T]]:
    """The values in lists of at most :data:`SIZE`, none of them empty."""
    every = list(values)
    for start in range(0, len(every), SIZE):
        yield every[start : start + SIZE]
