"""What the README lists is what there is."""

import json
import re
import tomllib
from collections.abc import Callable
from typing import Any

import click
import pytest
import yaml

from runner_bridge.cli import main
from tests.examples.files import EXAMPLES, ROOT
from tests.rig.images import image
from tests.rig.proxy import Proxy, path_of
from tests.rig.upstream import Upstream

README = (ROOT / "README.md").read_text()
PARSERS: dict[str, Callable[[str], Any]] = {"json": json.loads, "toml": tomllib.loads, "yaml": yaml.safe_load}


def listed(section: str) -> set[str]:
    """What stands in code style in the first column of a section's table."""
    text = README.partition(f"## {section}\n")[2].partition("\n##")[0]
    rows = re.findall(r"^\| (`.+?`) \|", text, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


def commands(group: click.Group, name: str) -> set[str]:
    """All commands below a group, by their full names."""
    context = click.Context(group)
    found = {each: group.get_command(context, each) for each in group.list_commands(context)}
    return {
        full
        for each, command in found.items()
        for full in (commands(command, f"{name} {each}") if isinstance(command, click.Group) else {f"{name} {each}"})
    }


def test_commands() -> None:
    names = {re.match(r"[a-z -]+?(?= -| [A-Z[]|$)", line) for line in listed("Commands")}
    assert {match[0] for match in names if match} == commands(main, "runner-bridge")


def test_events() -> None:
    sources = [path.read_text() for path in (ROOT / "proxy_core").rglob("*.py")]
    events = {name for text in sources for name in re.findall(r"event\(\s*\"([a-z_]+)\"", text)}
    assert listed("Logs") == events | {"request"}


def test_metrics(proxy: Proxy, upstreams: dict[str, Upstream]) -> None:
    """Of a server that has served; what has not happened in it has no value yet, and is not shown."""
    upstreams["docker.io"].add("library/measured", content := image(), "latest")
    for path in (path_of("measured", "latest"), path_of("measured", content.layers[0].digest, what="blobs")):
        assert proxy.client.get(path).status_code == 200
    page = proxy.client.http.get("/-/metrics").text
    shown = set(re.findall(r"^# TYPE (\S+)", page, re.MULTILINE))
    named = listed("Metrics")
    assert shown <= named
    assert named - shown <= {"runner_bridge_stale_answers_total", "runner_bridge_fills_total"}
    for name, labels in re.findall(r"^(runner_bridge_\w+)\{(.*)\}", page, re.MULTILINE):
        (row,) = re.findall(rf"^\| `{name}` \|([^|]*)\|", README, re.MULTILINE)
        assert set(re.findall(r"(\w+)=", labels)) == set(re.findall(r"`(\w+)`", row)), name


def test_files_that_it_leads_to_are_there_and_no_example_is_left_out() -> None:
    links = {link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link}
    assert [link for link in links if not (ROOT / link).exists()] == []
    examples = {
        path for path in EXAMPLES.rglob("*") if path.suffix in {".conf", ".json", ".py", ".toml", ".yaml", ".yml"}
    }
    assert {str(path.relative_to(ROOT)) for path in examples} <= links


def test_places_in_it_that_it_leads_to_are_there() -> None:
    headings = {
        re.sub(r"[^a-z0-9 -]", "", text.lower()).replace(" ", "-")
        for text in re.findall(r"^#+ (.+)", README, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", README)) <= headings


@pytest.mark.parametrize("language", PARSERS)
def test_what_it_shows_of_files_can_be_read(language: str) -> None:
    shown = re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert shown
    for text in shown:
        assert PARSERS[language](text)


def test_the_errors_that_it_shows_are_those_of_a_pull(proxy: Proxy) -> None:
    document = json.loads(re.findall(r"^```json\n(\{\"errors\".*?)^```", README, re.MULTILINE | re.DOTALL)[0])
    real = proxy.client.get(path_of("ghcr.io/org/app", "latest")).json()
    for each in (document, real):
        del each["errors"][0]["detail"]["request_id"]
    assert document == real
