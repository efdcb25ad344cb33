"""minimal.yaml and full.yaml"""

from pathlib import Path

import yaml

from proxy_core.settings.problems import dotted
from proxy_core.settings.schema import keys, leaves
from tests.cli.command import runner_bridge
from tests.examples.files import EXAMPLES, with_secrets, write

FULL = yaml.safe_load((EXAMPLES / "full.yaml").read_text())

SHOWN = {
    "server.listen",
    "server.trusted_proxies",
    "upstreams.docker.io.freshness",
    "upstreams.harbor.internal.private_redirects",
    "groups.my-group/archive.enabled",
}
"""Where full.yaml has something else than the default, to show what it is good for."""


def test_minimal_is_good_as_it_stands(tmp_path: Path) -> None:
    file = write(tmp_path / "minimal.yaml", (EXAMPLES / "minimal.yaml").read_text())
    assert runner_bridge("check-config", "--config", file).check().stderr == ""


def test_full_is_good_once_its_files_are_there(tmp_path: Path) -> None:
    file = with_secrets("full.yaml", tmp_path)
    assert runner_bridge("check-config", "--config", file).check().stderr == ""


def test_full_has_every_key_there_is() -> None:
    stated = [schema for _, _, schema in leaves(FULL)]
    missing = [str(key) for key in keys() if key.leaf and not any(schema is key.schema for schema in stated)]
    assert missing == []


def test_full_has_the_defaults_but_where_it_shows_something() -> None:
    """Who copies a line must not change more than he means to."""
    differ = {dotted(path) for path, value, schema in leaves(FULL) if schema.get("default", value) != value}
    assert differ == SHOWN
