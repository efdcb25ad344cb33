"""The command ``runner-bridge``."""

import click

from proxy_core import __version__
from runner_bridge.cli.commands import Commands

# A command is one line here and one module, which is imported when the command is used or listed. Such a module
# imports click and little more; what is heavy it imports where it is needed.
COMMANDS = {
    "cache": "runner_bridge.cli.cache:cache",
    "check-config": "runner_bridge.cli.check_config:check_config",
    "demo": "runner_bridge.cli.demo:demo",
    "init": "runner_bridge.cli.init:init",
    "serve": "runner_bridge.cli.serve:serve",
    "users": "runner_bridge.cli.users:users",
}


@click.group(cls=Commands, places=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, help="Show where an unexpected error comes from.")
def main(debug: bool) -> None:
    """A pull-through cache for container images beside GitLab runners.

    Results go to standard output, all else to standard error. Exit codes: 0 done, 1 findings or failure, 2 wrong use.
    """
