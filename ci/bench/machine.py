"""Where the figures were measured."""

import contextlib
import os
import platform
import subprocess
import sys
from pathlib import Path

_LEFT_FREE = 1 << 30  # bytes


def describe() -> dict[str, str]:
    """Cores, processor, memory, kernel and Python of this machine."""
    return {
        "cores": str(len(os.sched_getaffinity(0))),
        "cpu": _field("/proc/cpuinfo", "model name"),
        "memory": f"{int(_field('/proc/meminfo', 'MemTotal').split()[0]) / 2**20:.0f} GiB",
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def touch_memory() -> None:
    """Have every page of the free memory used once before anything is measured.

    A virtual machine gets its memory from the host page by page, at the first use of each. Whose files happen to land
    on pages that nobody used yet would be several times slower than the others.
    """
    free = int(_field("/proc/meminfo", "MemAvailable").split()[0]) * 1024 - _LEFT_FREE
    if free > 0:
        code = f"import mmap; mmap.mmap(-1, {free}, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE)"
        subprocess.run([sys.executable, "-c", code], check=False, timeout=180)


def recycle_memory(kept: Path) -> None:
    """Free the memory of cached files, so that what is written next lands on pages that were used before.

    See :func:`touch_memory`: what is written into new memory is written several times slower, whoever writes it.
    Without the right to do so (root), nothing happens.

    :param kept: a file that stays in memory.
    """
    with contextlib.suppress(PermissionError, OSError):
        Path("/proc/sys/vm/drop_caches").write_text("1")
    with kept.open("rb") as file:
        while file.read(1 << 20):
            pass


def _field(file: str, key: str) -> str:
    for line in Path(file).read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return "unknown"
