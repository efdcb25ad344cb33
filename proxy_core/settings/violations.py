"""What a document has wrong by the schema, in an operator's words."""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Final

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from proxy_core.errors import ConfigurationError
from proxy_core.settings.formats import PARSERS
from proxy_core.settings.problems import Finding, KeyPath, shown
from proxy_core.settings.schema import Schema, keys, nearest, root
from proxy_core.settings.units import parse_duration, parse_size

_TYPES: Final = {
    "object": (dict, "a mapping"),
    "array": (list, "a list"),
    "string": (str, "text"),
    "boolean": (bool, "true or false"),
    "integer": (int, "a whole number"),
}
_YES_NO: Final = {"yes": "true", "on": "true", "1": "true", "no": "false", "off": "false", "0": "false"}


def violations(value: Any) -> list[Finding]:
    """Each once, in no order."""
    found = (finding for error in _validator().iter_errors(value) for finding in _findings(error))
    return list(dict.fromkeys(found))


@cache
def _validator() -> Any:
    """jsonschema's validator with our formats, and with bounds for what has a unit."""
    formats = FormatChecker(formats=())
    for name, parser in PARSERS.items():
        formats.checks(name, raises=ConfigurationError)(_accepts(parser))
    bounds = {"x-at-least": _at_least, "x-at-most": _at_most}
    extended = extend(Draft202012Validator, bounds)  # type: ignore[no-untyped-call]
    return extended(root(), format_checker=formats)


def _accepts(parser: Callable[[str], object]) -> Callable[[object], bool]:
    def accepts(value: object) -> bool:
        if isinstance(value, str):
            parser(value)
        return True

    return accepts


def _at_least(_: object, bound: str, text: object, schema: Schema) -> Iterator[ValidationError]:
    if _quantity(text, schema, float("inf")) < _quantity(bound, schema, 0):
        yield ValidationError(f"{text} is too little: the least is {bound}.")


def _at_most(_: object, bound: str, text: object, schema: Schema) -> Iterator[ValidationError]:
    if _quantity(text, schema, 0) > _quantity(bound, schema, 0):
        yield ValidationError(f"{text} is too much: the most is {bound}.")


def _quantity(text: object, schema: Schema, unreadable: float) -> float:
    parse = parse_size if schema["format"] == "size" else parse_duration
    try:
        return parse(text) if isinstance(text, str) else unreadable
    except ConfigurationError:
        return unreadable  # type and format are findings of their own


def _findings(error: ValidationError) -> Iterator[Finding]:
    path: KeyPath = tuple(error.absolute_path)
    schema: Any = error.schema
    instance: Any = error.instance
    if "propertyNames" in error.absolute_schema_path:
        path = (*path, instance)
    match error.validator:
        case "additionalProperties":
            for name in instance.keys() - schema["properties"].keys():
                yield Finding((*path, name), "is not a known key.", _fix_of_unknown(name, schema))
        case "required":
            for name in set(schema["required"]) - instance.keys():
                yield Finding((*path, name), "is missing.", f"Add e.g. {_example(name, schema)}.")
        case "dependentRequired":
            for name in instance.keys() & schema["dependentRequired"].keys():
                for other in set(schema["dependentRequired"][name]) - instance.keys():
                    fix = f"Add e.g. {_example(other, schema)}, or remove {name}."
                    yield Finding((*path, other), f"is missing beside {name}.", fix)
        case "type":
            yield Finding(path, *_wrong_type(instance, schema))
        case "enum" if isinstance(instance, str):
            known = schema["enum"]
            cause = f"{shown(instance)} is none of {', '.join(known)}."
            yield Finding(path, cause, f"Write {nearest(instance, known) or ' or '.join(known)}.")
        case "format":
            assert isinstance(error.cause, ConfigurationError)
            yield Finding(path, error.cause.cause, error.cause.fix)
        case "minimum" | "maximum":
            cause = f"{instance} is not from {schema['minimum']} to {schema['maximum']}."
            yield Finding(path, cause, f"Write e.g. {schema['examples'][0]}.")
        case "maxItems":
            cause = f"has more than {schema['maxItems']} entries."
            yield Finding(path, cause, "Join some of them into larger networks.")
        case "x-at-least" | "x-at-most":
            yield Finding(path, error.message, f"Write e.g. {schema['examples'][0]}.")


def _wrong_type(value: object, schema: Schema) -> tuple[str, str]:
    """Cause and fix. The value is not repeated: who knows what was put there by mistake."""
    wanted = schema["type"]
    if value is None:
        return "is empty.", f"{'Write {}' if schema.get('default') == {} else 'Give it a value'}, or remove the line."
    found = next((words for kind, words in _TYPES.values() if type(value) is kind), "a number")
    if schema.get("format") in ("duration", "size"):
        return f"must be a number with a unit, and is {found}.", f"Write e.g. {schema['examples'][0]}."
    cause = f"must be {_TYPES[wanted][1]}, and is {found}."
    if wanted == "object":
        below = [*schema.get("properties", {}), *filter(None, [schema.get("propertyNames", {}).get("title")])]
        return cause, f"Below it stands: {', '.join(below)}."
    if wanted == "boolean" and str(value).lower() in _YES_NO:
        return cause, f"Write {_YES_NO[str(value).lower()]}."
    return cause, f"Write e.g. {schema['examples'][0]}."


def _fix_of_unknown(name: str, schema: Schema) -> str:
    here = list(schema["properties"])
    elsewhere = (str(key) for key in keys() if key.path[-1] == name.lower())
    near = nearest(name, here) or next(elsewhere, None)
    if near is not None:
        return f"Did you mean {near}?"
    if name == "<<":
        return "Merge keys are not read; write the keys out."
    return f"Known here: {', '.join(here)}."


def _example(name: str, schema: Schema) -> str:
    return f"{name}: {schema['properties'][name]['examples'][0]}"
