"""Where the figures were measured."""

import os
import platform
from pathlib import Path


def describe() -> dict[str, str]:
    """Cores, processor, memory, kernel and Python of this machine."""
    return {
        "cores": str(len(os.sched_getaffinity(0))),
        "cpu": _field("/proc/cpuinfo", "model name"),
        "memory": f"{int(_field('/proc/meminfo', 'MemTotal').split()[0]) / 2**20:.0f} GiB",
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def _field(file: str, key: str) -> str:
    for line in Path(file).read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return "unknown"
