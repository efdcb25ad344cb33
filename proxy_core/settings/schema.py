"""The schema of the settings: the keys that there are, and what holds without them."""

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from proxy_core.settings.problems import KeyPath, dotted

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Key:
    """A key of the settings. In its path a name that is free stands in capitals, e.g. ``upstreams.NAME.url``."""

    path: tuple[str, ...]
    schema: Schema
    free: bool = False  # a free name is in its path
    required: bool = False  # where its section is there at all

    def __str__(self) -> str:
        return dotted(self.path)

    @property
    def leaf(self) -> bool:
        """It holds a value, and no further keys."""
        return bool(self.schema["type"] != "object")


@cache
def root() -> Schema:
    """The schema of the whole file."""
    schema: Schema = json.loads(resources.files("proxy_core.settings").joinpath("settings.schema.json").read_bytes())
    return schema


def keys(schema: Schema | None = None, path: tuple[str, ...] = (), free: bool = False) -> Iterator[Key]:
    """All keys below a schema (default: all that there are), each before what is below it."""
    schema = root() if schema is None else schema
    for name, child in schema.get("properties", {}).items():
        yield Key((*path, name), child, free, name in schema.get("required", ()))
        yield from keys(child, (*path, name), free)
    entry = schema.get("additionalProperties")
    if entry:
        name = schema["propertyNames"]["title"]
        yield Key((*path, name), entry, free=True)
        yield from keys(entry, (*path, name), free=True)


def child_of(schema: Schema, name: str | int) -> Schema:
    """The schema of a key or a list item; empty if there is none."""
    found: Schema = (
        schema.get("items", {})
        if isinstance(name, int)
        else schema.get("properties", {}).get(name) or schema.get("additionalProperties") or {}
    )
    return found


def leaves(value: Any, schema: Schema | None = None, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any, Schema]]:
    """What a document holds at the keys that hold a value, in the schema's order."""
    schema = root() if schema is None else schema
    if not isinstance(value, dict):
        yield path, value, schema
        return
    known = list(schema.get("properties", {}))
    for name in sorted(value, key=lambda name: (known.index(name) if name in known else len(known), name)):
        yield from leaves(value[name], child_of(schema, name), (*path, name))


def with_defaults(value: Any, schema: Schema | None = None, keywords: tuple[str, ...] = ("default",)) -> Any:
    """The value with the defaults of all keys that it does not have. What has the wrong type stays as it is.

    :param keywords: what of the schema counts as a default; ``x-default`` is one in words.
    """
    schema = root() if schema is None else schema
    if not isinstance(value, dict):
        return value
    result = {name: with_defaults(entry, child_of(schema, name), keywords) for name, entry in value.items()}
    for name, child in schema.get("properties", {}).items():
        for keyword in keywords:
            if name not in result and keyword in child:
                result[name] = with_defaults(child[keyword], child, keywords)
    return result


def without(value: Any, paths: set[KeyPath], here: KeyPath = ()) -> Any:
    """The value without what stands at these paths, so that the rest can be looked at further."""
    if isinstance(value, dict):
        return {k: without(v, paths, (*here, k)) for k, v in value.items() if (*here, k) not in paths}
    if isinstance(value, list):
        return [without(v, paths, (*here, i)) for i, v in enumerate(value) if (*here, i) not in paths]
    return value


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that was probably meant: one that looks alike, or the only one that begins so."""
    folded = {entry.lower(): entry for entry in known}
    meant = name.lower().replace("-", "_")
    near = difflib.get_close_matches(meant, folded, n=1)
    begun = [entry for entry in folded if entry.startswith(f"{meant}_")]
    return folded[near[0]] if near else folded[begun[0]] if len(begun) == 1 else None
