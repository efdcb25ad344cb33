"""Where the processes of one run of the server write their numbers."""

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from proxy_core.telemetry.metrics import prepare_folder

_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
_NAME: Final = "runner-bridge-metrics-"
_LOCK: Final = "lock"
_SETTLED: Final = 60.0  # seconds; a folder that is younger may not have its lock yet


@contextlib.contextmanager
def metrics_folder() -> Iterator[Path]:
    """A new folder, removed in the end: in memory where that can be had, so that neither a slow nor a full nor a broken
    disk is in the way of who counts.

    A run that is killed leaves its folder, and nobody holds the lock in it any more: the next run removes it.

    :raises StorageError: there is no room for it.
    """
    place = _MEMORY if os.access(_MEMORY, os.W_OK) else Path(tempfile.gettempdir())
    _remove_left(place)
    folder = Path(tempfile.mkdtemp(prefix=_NAME, dir=place))
    try:
        with _locked(folder, os.O_CREAT):
            prepare_folder(folder)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_left(place: Path) -> None:
    for folder in place.glob(f"{_NAME}*"):
        with contextlib.suppress(OSError):  # somebody else's, or in use
            if time.time() - folder.stat().st_mtime > _SETTLED:
                with _locked(folder):
                    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _locked(folder: Path, flags: int = 0) -> Iterator[None]:
    """:raises OSError: it can not be locked, or somebody has locked it."""
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
