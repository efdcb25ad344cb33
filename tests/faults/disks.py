"""Small disks of a test's own, to fill up and to break. Needs root."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def _run(*command: str | Path) -> str:
    done = subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True, timeout=30)
    return done.stdout


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[Path]:
    """A file system in memory with so much room (`8m`)."""
    place.mkdir(parents=True)
    _run("mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", place)
    try:
        yield place
    finally:
        _run("umount", "--lazy", place)


class BreakableDisk:
    """A real file system on a file, which `fail` makes read-only as the kernel does when a disk reports errors: at
    once, under the feet of whoever has files open for writing."""

    def __init__(self, place: Path, device: str) -> None:
        self.place = place
        self._device = device

    def fail(self) -> None:
        Path(f"/sys/fs/ext4/{self._device}/trigger_fs_error").write_text("1")


@contextmanager
def breakable_disk(folder: Path, size: str = "64M") -> Iterator[BreakableDisk]:
    image, place = folder / "disk.img", folder / "disk"
    place.mkdir(parents=True)
    _run("truncate", "-s", size, image)
    _run("mkfs.ext4", "-q", image)
    _run("mount", "-o", "loop,errors=remount-ro", image, place)
    try:
        device = Path(_run("findmnt", "-n", "-o", "SOURCE", place).strip()).name
        yield BreakableDisk(place, device)
    finally:
        _run("umount", "--lazy", place)


class Ballast:
    """A file that takes all the room that a disk has."""

    def __init__(self, disk: Path) -> None:
        self._file = disk / "ballast"

    def take_all(self) -> None:
        piece = bytes(64 * 1024)
        with self._file.open("ab", buffering=0) as file:
            while piece:
                try:
                    file.write(piece)
                except OSError:
                    piece = piece[: len(piece) // 2]

    def give_back(self) -> None:
        self._file.unlink(missing_ok=True)
