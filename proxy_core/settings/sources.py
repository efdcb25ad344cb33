"""What an operator has stated: the file, and over it the environment, with the origin of each value.

A variable is ``RUNNER_BRIDGE_`` and the keys, joined by two underscores: ``RUNNER_BRIDGE_SERVER__LISTEN``. It replaces
what the file says at that key. Where names are free (upstreams, groups, users) variables have no room for them: there
the whole mapping is one variable, as JSON or YAML, e.g. ``RUNNER_BRIDGE_GROUPS='{"my-group": {}}'``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from proxy_core.errors import ConfigurationError
from proxy_core.settings.document import Document, NotADocument, parse
from proxy_core.settings.files import MAX_SETTINGS, read_file
from proxy_core.settings.problems import Finding, KeyPath, Origin, Problem, dotted
from proxy_core.settings.schema import Key, keys, nearest

PREFIX: Final = "RUNNER_BRIDGE_"
CONFIG_VARIABLE: Final = "RUNNER_BRIDGE_CONFIG"
"""Names the configuration file, and is no setting itself."""


@dataclass(slots=True)
class Stated:
    """A tree of plain values, the origin of each key and list item, and what was wrong on the way here."""

    file: Path | None
    value: Any
    origins: dict[KeyPath, Origin]
    problems: list[Problem]
    findings: list[Finding]

    def origin(self, path: KeyPath) -> Origin:
        """Where a key stands; of one that is missing: what it should stand in."""
        while path and path not in self.origins:
            path = path[:-1]
        return self.origins.get(path, Origin(file=str(self.file) if self.file else None))

    def replace(self, path: tuple[str, ...], value: Any, origins: Mapping[KeyPath, Origin]) -> None:
        """Put a value at a path. What is in the way and is no mapping stays, and is a finding later."""
        place = self.value
        for name in path[:-1]:
            place = place.setdefault(name, {}) if isinstance(place, dict) else None
        if isinstance(place, dict):
            place[path[-1]] = value
            self.origins = {known: o for known, o in self.origins.items() if known[: len(path)] != path}
            self.origins.update(origins)


def state(file: Path | None, environ: Mapping[str, str]) -> Stated:
    """Read the file (``None``: there is none) and the environment. Problems are collected, not raised."""
    stated = Stated(file, {}, {}, [], [])
    if file is not None:
        _read(stated, file)
    known = {variable_of(key.path): key for key in keys() if not key.free}
    given = sorted((name for name in environ if name.startswith(PREFIX) and name != CONFIG_VARIABLE), key=_depth)
    for name in given:
        if name in known:
            _replace(stated, known[name], name, environ[name])
        else:
            problem = Problem(Origin(variable=name), "", "is not a known variable.", _fix_of_unknown(name, list(known)))
            stated.problems.append(problem)
    _lower_case_groups(stated)
    return stated


def variable_of(path: KeyPath) -> str:
    """The variable of the environment for a key without free names."""
    return PREFIX + "__".join(map(str, path)).upper()


def _read(stated: Stated, file: Path) -> None:
    try:
        document = parse(read_file(file, MAX_SETTINGS).decode("utf-8-sig"))
    except ConfigurationError as error:
        stated.problems.append(Problem(Origin(file=str(file)), "", error.cause, error.fix))
        return
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        problem = Problem(Origin(file=str(file), line=line), "", "is not text in UTF-8.", "Save the file as UTF-8.")
        stated.problems.append(problem)
        return
    except NotADocument as error:
        stated.problems.append(Problem(Origin(file=str(file), line=error.line), "", error.cause, error.fix))
        return
    stated.findings += document.findings
    stated.value = {} if document.value is None else document.value
    stated.origins = {path: Origin(file=str(file), line=line) for path, line in document.lines.items()}
    stated.origins[()] = Origin(file=str(file), line=1)


def _replace(stated: Stated, key: Key, variable: str, text: str) -> None:
    origin = Origin(variable=variable)
    if key.schema["type"] == "string":
        document = Document(text, {})
    else:
        try:
            document = parse(text)
        except NotADocument as error:
            stated.problems.append(Problem(origin, dotted(key.path), error.cause, "Write the value as JSON."))
            return
    origins = {(*key.path, *path): origin for path in ((), *document.lines)}
    stated.findings += (Finding((*key.path, *f.path), f.cause, f.fix) for f in document.findings)
    stated.replace(key.path, document.value, origins)


def _depth(name: str) -> tuple[int, str]:
    """Sections first, so that a key of a section can be replaced in turn."""
    return name.count("__"), name


def _fix_of_unknown(name: str, known: list[str]) -> str:
    for mapping in ("UPSTREAMS", "GROUPS", "USERS"):
        if name.startswith(f"{PREFIX}{mapping}_"):
            return f"Names below it are free: put the whole mapping into {PREFIX}{mapping}, as JSON."
    folded = {_folded(variable): variable for variable in (*known, CONFIG_VARIABLE)}
    near = nearest(_folded(name), folded)
    return f"Did you mean {folded[near]}?" if near else f"Unset it, or write e.g. {variable_of(('server', 'listen'))}."


def _folded(variable: str) -> str:
    return variable.removeprefix(PREFIX).replace("__", "_")


def _lower_case_groups(stated: Stated) -> None:
    """GitLab finds a group in any case; image names are lower-case. So are the paths of groups from here on."""
    users = stated.value.get("users") if isinstance(stated.value, dict) else None
    places: list[KeyPath] = [("groups",)]
    places += [("users", name, "groups") for name in users] if isinstance(users, dict) else []
    for place in places:
        mapping = stated.value
        for name in place:
            mapping = mapping.get(name) if isinstance(mapping, dict) else None
        if isinstance(mapping, dict):
            _lower_case(stated, place, mapping)


def _lower_case(stated: Stated, place: KeyPath, mapping: dict[str, Any]) -> None:
    for name in [name for name in mapping if name != name.lower()]:
        lower = name.lower()
        if lower in mapping:
            cause = f"is the same group as {lower}, which stands beside it: GitLab does not tell the cases apart."
            stated.findings.append(Finding((*place, name), cause, "Keep one of the two."))
            continue
        mapping[lower] = mapping.pop(name)
        old, new = (*place, name), (*place, lower)
        moved = {path: origin for path, origin in stated.origins.items() if path[: len(old)] == old}
        stated.origins |= {(*new, *path[len(old) :]): origin for path, origin in moved.items()}
