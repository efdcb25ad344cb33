"""`python -m ci.settings_table`: the README's tables of all settings, from the schema."""

from collections.abc import Iterator
from itertools import groupby

from proxy_core.settings.schema import Key, keys


def tables() -> str:
    """A sentence and a table for each section, as Markdown."""
    return "\n".join(line for _, section in groupby(keys(), lambda key: key.path[0]) for line in _table(*section))


def _table(head: Key, *below: Key) -> Iterator[str]:
    yield f"`{head}`: {head.schema['description']}"
    yield ""
    yield "| Key | Default | Meaning |"
    yield "|---|---|---|"
    for key in below:
        if key.leaf:
            yield f"| `{key}` | {_default(key)} | {key.schema['description']}{_bounds(key)} |"
    yield ""


def _default(key: Key) -> str:
    if key.required:
        return "(required)"
    default = key.schema.get("default")
    if default is None:
        return str(key.schema.get("x-default", ""))
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _bounds(key: Key) -> str:
    schema = key.schema
    if "minimum" in schema:
        return f" From {schema['minimum']} to {schema['maximum']}."
    least, most = (schema.get(name) for name in ("x-at-least", "x-at-most"))
    if least and most:
        return f" From {least} to {most}."
    return f" At most {most}." if most else ""


if __name__ == "__main__":
    print(tables(), end="")
