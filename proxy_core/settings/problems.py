"""What is wrong with a configuration: where it stands, what it is, what to do about it."""

from collections.abc import Sequence
from dataclasses import dataclass

from proxy_core.errors import ConfigurationError

KeyPath = tuple[str | int, ...]
"""The way to a value in a document: keys, and numbers (from 0) in lists."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value comes from: a line of a file, a variable of the environment, or the defaults."""

    file: str | None = None
    line: int | None = None
    variable: str | None = None

    def __str__(self) -> str:
        if self.variable is not None:
            return f"environment {self.variable}"
        if self.file is not None:
            return f"{self.file}:{self.line}" if self.line else self.file
        return "default"


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem (or only a warning) with the value at a path, before it is known where that value comes from."""

    path: KeyPath
    cause: str
    fix: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Problem:
    """A finding with its place. Its text is two lines, of which neither holds a secret."""

    origin: Origin
    key: str
    cause: str
    fix: str

    def __str__(self) -> str:
        place = "environment" if self.origin == Origin() else str(self.origin)
        key = f" {self.key}:" if self.key else ""
        return f"{place}:{key} {self.cause}\n  fix: {self.fix}"


class InvalidSettings(ConfigurationError):
    """Settings that can not be used, with all their problems and not only the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


def dotted(path: KeyPath) -> str:
    """A path as operators write it.

    >>> dotted(("server", "trusted_proxies", 0))
    'server.trusted_proxies[0]'
    """
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


def shown(text: str) -> str:
    """An operator's text for a message: quoted, escaped and cut."""
    return ascii(text if len(text) <= 80 else text[:77] + "...")
