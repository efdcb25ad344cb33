"""What a worker process is told when it starts."""

import pickle
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from proxy_core.settings import Settings


@dataclass(frozen=True, slots=True)
class Orders:
    """Everything that a worker needs to know."""

    settings: Settings
    metrics_folder: Path  # where the processes of this run of the server write their numbers
    readable_logs: bool  # lines for people, not for machines
    worker: int  # which worker this process is, from 1


def write_orders(orders: Orders, pipe: IO[bytes]) -> None:
    document = pickle.dumps(orders)
    pipe.write(struct.pack("!I", len(document)) + document)
    pipe.flush()


def read_orders(pipe: IO[bytes]) -> Orders:
    """The orders; more may follow in the pipe, and is not touched."""
    (length,) = struct.unpack("!I", pipe.read(4))
    orders = pickle.loads(pipe.read(length))  # noqa: S301 - from the process that started this one
    if not isinstance(orders, Orders):
        raise TypeError(orders)
    return orders
