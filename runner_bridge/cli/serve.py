"""``runner-bridge serve``"""

import os
from pathlib import Path

import click

from runner_bridge.cli.options import config_option


@click.command()
@config_option
@click.pass_context
def serve(context: click.Context, config: Path | None) -> None:
    """Serve the cache until told to stop."""
    from proxy_core.settings.load import examine

    loaded = examine(config, os.environ)
    for warning in loaded.warnings:
        click.echo(f"warning: {warning}", err=True)

    from proxy_core.server import serve as run  # only now: a wrong key should not wait for the server's imports

    context.exit(run(loaded.settings))
