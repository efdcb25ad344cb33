"""What a process remembers of the index: bounded, and gone as soon as something was purged."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Memory(Generic[K, V]):
    """The values last used, up to a count and a weight.

    :param most: how many.
    :param heaviest: what all may weigh together.
    :param weigh: the weight of one, e.g. its bytes.
    """

    def __init__(self, most: int, heaviest: int = 0, weigh: Callable[[V], int] | None = None) -> None:
        self._most = most
        self._heaviest = heaviest
        self._weigh = weigh or (lambda _: 0)
        self._weight = 0
        self._values: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def put(self, key: K, value: V) -> None:
        self.drop(key)
        self._values[key] = value
        self._weight += self._weigh(value)
        while self._values and (len(self._values) > self._most or self._weight > self._heaviest):
            _, old = self._values.popitem(last=False)
            self._weight -= self._weigh(old)

    def drop(self, key: K) -> None:
        value = self._values.pop(key, None)
        if value is not None:
            self._weight -= self._weigh(value)

    def clear(self) -> None:
        self._values.clear()
        self._weight = 0

    def __len__(self) -> int:
        return len(self._values)
