"""``runner-bridge demo``"""

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import click

from runner_bridge.cli.commands import Failure
from runner_bridge.cli.options import format_option


@click.command()
@format_option
def demo(format_: str) -> None:
    """Pull an image through the cache on this machine alone, and show what went over which wire.

    An image is made on the spot, with a small registry that holds it and the proxy before that. The image is pulled
    cold, warm, and once more when the registry is gone. Nothing is left behind. Exit code 1: something was not as
    claimed.
    """
    from runner_bridge.demo.acts import play
    from runner_bridge.demo.checks import FIX, check
    from runner_bridge.demo.document import document
    from runner_bridge.demo.page import show

    click.echo("Nothing leaves this machine; this takes a few seconds.", err=True)
    with _cleaning_up_when_ended():
        played = play()
    checks = check(played)
    if format_ == "json":
        click.echo(json.dumps(document(played, checks), indent=2))
    else:
        show(played, checks)
    if causes := [one.cause for one in checks if not one.ok]:
        raise Failure(f"The demo did not go as it claims. {' '.join(causes)}", FIX)


@contextmanager
def _cleaning_up_when_ended() -> Iterator[None]:
    """Make SIGTERM and SIGHUP unwind like Ctrl-C, so that the proxy is ended and the folder removed."""

    def unwind(number: int, _: FrameType | None) -> None:
        sys.exit(128 + number)

    before = {number: signal.signal(number, unwind) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
