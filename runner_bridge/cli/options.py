"""Options that several commands have."""

from pathlib import Path

import click

config_option = click.option(
    "--config",
    "config",
    type=click.Path(path_type=Path),
    envvar="RUNNER_BRIDGE_CONFIG",
    show_envvar=True,
    metavar="FILE",
    help="The configuration. Without it the environment (RUNNER_BRIDGE_...) and the defaults hold.",
)

format_option = click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="For people, or for programs.",
)
