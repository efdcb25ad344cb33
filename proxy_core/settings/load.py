"""Load the settings: a file and the environment, all their problems at once, or the frozen values."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxy_core.settings.build import build
from proxy_core.settings.checks import cross_check
from proxy_core.settings.model import Settings
from proxy_core.settings.problems import Finding, InvalidSettings, KeyPath, Origin, Problem, dotted
from proxy_core.settings.resolution import complete, resolve
from proxy_core.settings.schema import leaves, with_defaults, without
from proxy_core.settings.sources import CONFIG_VARIABLE, Stated, state, variable_of
from proxy_core.settings.violations import violations


@dataclass(frozen=True, slots=True)
class Entry:
    """A key with the value that holds, and where it was set. The value of a secret is ``None``."""

    key: str
    value: Any
    origin: Origin
    hidden: bool


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings that can be used, with all that can be told about them."""

    settings: Settings
    entries: tuple[Entry, ...]
    warnings: tuple[Problem, ...]


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """The settings of a file (``None``: of the environment alone).

    :raises InvalidSettings: something is wrong; it holds every problem, each with its place and a fix.
    """
    return examine(path, environ).settings


def examine(path: Path | None, environ: Mapping[str, str]) -> Loaded:
    """As :func:`load`, with what holds at each key, where that comes from, and what is doubtful.

    :raises InvalidSettings: something is wrong.
    """
    stated = state(path, environ)
    tree, findings = _examined(stated)
    problems = [*stated.problems, *(_placed(stated, finding) for finding in findings if not finding.warning)]
    if problems:
        raise InvalidSettings(sorted(problems, key=_order))
    warnings = sorted((_placed(stated, finding) for finding in findings if finding.warning), key=_order)
    return Loaded(build(tree), tuple(_entries(stated, tree)), tuple(warnings))


def _examined(stated: Stated) -> tuple[dict[str, Any], list[Finding]]:
    """What holds, and all findings. What the schema refuses is left away before the rest is looked at."""
    if any(problem.origin.variable is None for problem in stated.problems):
        return {}, []  # The file could not be read: what is missing follows from that.
    known = {finding.path for finding in stated.findings}
    refused = [finding for finding in violations(complete(stated.value)) if finding.path not in known]
    rest = without(stated.value, known | {finding.path for finding in refused})
    tree = resolve(rest if isinstance(rest, dict) else {}, lambda path: _folder(stated, path))
    return tree, [*stated.findings, *refused, *cross_check(tree)]


def _folder(stated: Stated, path: KeyPath) -> Path:
    """Where relative paths start: in a file at the file's folder, in the environment where the command was started."""
    if stated.file is not None and stated.origin(path).variable is None:
        return stated.file.absolute().parent
    return Path.cwd()


def _placed(stated: Stated, finding: Finding) -> Problem:
    origin, fix = stated.origin(finding.path), finding.fix
    if origin == Origin() and not finding.warning:
        fix = f"Name a file with --config or {CONFIG_VARIABLE}, or set {variable_of(finding.path)}."
    return Problem(origin, dotted(finding.path), finding.cause, fix)


def _order(problem: Problem) -> tuple[bool, int, str, str]:
    return problem.origin.file is None, problem.origin.line or 0, problem.key, problem.cause


def _entries(stated: Stated, tree: dict[str, Any]) -> Iterator[Entry]:
    for path, value, schema in leaves(with_defaults(tree, keywords=("default", "x-default"))):
        if value != {}:
            hidden = schema.get("writeOnly", False)
            yield Entry(dotted(path), None if hidden else value, stated.origins.get(path, Origin()), hidden)
