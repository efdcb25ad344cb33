"""YAML and JSON with positions: plain values, and the line of each key and list item.

Stricter than YAML 1.1, so that nobody is surprised: a key may stand once, only ``true`` and ``false`` are booleans
(``no`` is text), ``0600`` and ``1:30`` are no numbers, there are no tags and no merge keys. Nothing is ever constructed
but text, numbers, booleans, lists and mappings.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from proxy_core.settings.problems import Finding, KeyPath, shown

#: Deep enough for every key that there is, far from Python's recursion limit.
MAX_DEPTH: Final = 20
#: An alias counts as often as it is used: nine lines of aliases of aliases would be a billion values.
MAX_VALUES: Final = 50_000

_TAG: Final = "tag:yaml.org,2002:"
# YAML 1.2.2, section 10.3.2 (core schema); numbers in decimal only.
_NULL = re.compile(r"~|null|Null|NULL|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})", re.ASCII)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?", re.ASCII)
_PLAIN: Final = ((_NULL, "null"), (_BOOL, "bool"), (_INT, "int"), (_FLOAT, "float"))
_QUOTATION = re.compile(r" '(?!<)[^']{3,}'")
_CONSTRUCT: Final[Mapping[str, Callable[[str], Any]]] = {
    f"{_TAG}null": lambda _: None,
    f"{_TAG}bool": lambda text: text.lower() == "true",
    f"{_TAG}int": int,
    f"{_TAG}float": float,
    f"{_TAG}str": str,
}


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed text. ``lines`` holds, for the path of each key and list item, its line (from 1)."""

    value: Any
    lines: Mapping[KeyPath, int]
    findings: tuple[Finding, ...] = ()


class NotADocument(Exception):
    """The text is no YAML. ``line`` is None where it is not known."""

    def __init__(self, cause: str, fix: str, line: int | None) -> None:
        super().__init__(cause)
        self.cause, self.fix, self.line = cause, fix, line


def parse(text: str) -> Document:
    """Parse one YAML document (JSON is YAML too). An empty text is ``None``.

    :raises NotADocument: it can not be read at all. What leaves the rest readable is a finding instead.
    """
    try:
        node = _Loader(text).get_single_node()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise NotADocument("a character that YAML does not allow.", "Remove the control character.", line) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        # Not str(error), which shows the line, and no longer quotations: either may hold a secret.
        cause = _QUOTATION.sub("", ", ".join(filter(None, (error.context, error.problem))))
        fix = "Indent with spaces, put a space after each colon, and quote values that begin with [ { * & ! % @ or `."
        raise NotADocument(f"can not be read as YAML: {cause}.", fix, mark.line + 1 if mark else None) from None
    reading = _Reading()
    value = reading.value(node, ()) if node is not None else None
    return Document(value, reading.lines, tuple(reading.findings))


class _Loader(yaml.SafeLoader):
    """PyYAML's parser with plain scalars by YAML 1.2, and with a bound on depth."""

    depth = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        if self.depth > MAX_DEPTH:
            line = self.peek_event().start_mark.line + 1  # type: ignore[no-untyped-call]
            raise NotADocument(
                f"lists and mappings are nested more than {MAX_DEPTH} deep.",
                "No key is that deep: take some away.",
                line,
            )
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def resolve(self, kind: type[Node], value: Any, implicit: Any) -> str:
        if kind is MappingNode:
            return f"{_TAG}map"
        if kind is SequenceNode:
            return f"{_TAG}seq"
        plain = implicit[0]  # written without quotes
        return _TAG + next((name for pattern, name in _PLAIN if plain and pattern.fullmatch(value)), "str")


@dataclass(slots=True)
class _Reading:
    """Plain values from nodes, as far as they go."""

    lines: dict[KeyPath, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    seen: int = 0

    def value(self, node: Node, path: KeyPath) -> Any:
        self.seen += 1
        if self.seen > MAX_VALUES or len(path) > MAX_DEPTH:
            raise NotADocument(
                f"holds more than {MAX_VALUES} values, or aliases that lead back to themselves.",
                "Write out what the aliases stand for.",
                node.start_mark.line + 1,
            )
        if isinstance(node, MappingNode) and node.tag == f"{_TAG}map":
            return self.mapping(node, path)
        if isinstance(node, SequenceNode) and node.tag == f"{_TAG}seq":
            return self.sequence(node, path)
        if isinstance(node, ScalarNode) and node.tag in _CONSTRUCT:
            try:
                return _CONSTRUCT[node.tag](node.value)
            except ValueError:
                pass  # a tag that does not fit its text, e.g. !!int x
        self.findings.append(Finding(path, "has a tag that is not known here.", "Remove the word that begins with !."))
        return None

    def sequence(self, node: SequenceNode, path: KeyPath) -> list[Any]:
        values = []
        for index, item in enumerate(node.value):
            self.lines[*path, index] = item.start_mark.line + 1
            values.append(self.value(item, (*path, index)))
        return values

    def mapping(self, node: MappingNode, path: KeyPath) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, ScalarNode):
                self.findings.append(Finding(path, f"has a key in line {line} that is no text.", "Write it as text."))
                continue
            key = str(key_node.value)  # a name is a name, also where it looks like a number
            here = (*path, key)
            if key in values:
                cause = f"stands twice, first in line {self.lines[here]}."
                self.findings.append(Finding(here, cause, f"Keep one {shown(key)}, and join what is below them."))
            self.lines[here] = line
            found = self.value(value_node, here)
            values.setdefault(key, found)
        return values
