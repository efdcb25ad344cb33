"""``runner-bridge check-config``"""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner_bridge.cli.options import config_option, format_option

if TYPE_CHECKING:
    from proxy_core.settings.load import Entry, Loaded
    from proxy_core.settings.problems import Origin, Problem


@click.command("check-config")
@config_option
@format_option
def check_config(config: Path | None, format_: str) -> None:
    """Check the configuration, and print what holds and where it comes from. Secrets are not shown."""
    from proxy_core.settings.load import examine
    from proxy_core.settings.problems import InvalidSettings

    try:
        loaded = examine(config, os.environ)
    except InvalidSettings as error:
        if format_ == "json":
            _print_json(ok=False, problems=[_problem(problem) for problem in error.problems])
        raise
    if format_ == "json":
        entries = [{"key": e.key, "value": e.value, "hidden": e.hidden, **_origin(e.origin)} for e in loaded.entries]
        _print_json(ok=True, settings=entries, warnings=[_problem(warning) for warning in loaded.warnings])
    else:
        _print_text(loaded)


def _print_text(loaded: "Loaded") -> None:
    rows = [(entry.key, _shown(entry), str(entry.origin)) for entry in loaded.entries]
    wide_key, wide_value = (max(len(row[column]) for row in rows) for column in (0, 1))
    for key, value, origin in rows:
        click.echo(f"{key:{wide_key}}  {value:{wide_value}}  {origin}")
    for warning in loaded.warnings:
        click.echo(f"warning: {warning}", err=True)


def _shown(entry: "Entry") -> str:
    match entry.value:
        case _ if entry.hidden:
            return "(not shown)"
        case bool(value):
            return str(value).lower()
        case list(values):
            return f"[{', '.join(values)}]"
        case value:
            return str(value)


def _print_json(**answer: Any) -> None:
    click.echo(json.dumps(answer, indent=2))


def _problem(problem: "Problem") -> dict[str, Any]:
    return {"key": problem.key, "cause": problem.cause, "fix": problem.fix, **_origin(problem.origin)}


def _origin(origin: "Origin") -> dict[str, Any]:
    return {"file": origin.file, "line": origin.line, "variable": origin.variable}
