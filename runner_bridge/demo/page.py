"""A demo's page of text: each request of the client, and beside it what the proxy asked for its sake."""

import io
import re
import sys
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

import click
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from runner_bridge.demo.acts import IMAGE, Act, Play
from runner_bridge.demo.checks import Check, reference
from runner_bridge.demo.exchange import Exchange
from runner_bridge.demo.proxy import GROUP
from runner_bridge.demo.upstream import PULLS, REPOSITORY

WIDTH = 100  # columns

_COLORS = {"miss": "yellow", "hit": "green", "confirmed": "green", "stale": "magenta"}
_INTRODUCTION = (
    "All on this machine: an image made on the spot, a registry that stands for Docker Hub, the proxy before it, and "
    "a client that asks as dockerd does. Bytes are those of bodies, digests are cut to 8 digits, and paths are below "
    f"/v2/{GROUP}/dependency_proxy/containers/{IMAGE}/ at the proxy and /v2/{REPOSITORY}/ at the upstream."
)
_AS_IS: dict[str, Any] = {"markup": False, "emoji": False, "highlight": False}


def show(play: Play, checks: Sequence[Check]) -> None:
    """Print the page: as wide and colourful as a terminal is, and plain for files and pipes."""
    if sys.stdout.isatty():
        _print(play, checks, Console(**_AS_IS))
    else:
        click.echo(plain(play, checks))


def plain(play: Play, checks: Sequence[Check]) -> str:
    """The page without colours, and no wider than it has to be."""
    console = Console(file=io.StringIO(), width=WIDTH, color_system=None, force_terminal=False, **_AS_IS)
    with console.capture() as captured:
        _print(play, checks, console)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def _print(play: Play, checks: Sequence[Check], console: Console) -> None:
    console.print(Text(f"docker pull {play.pulled}", style="bold"))
    console.print(_INTRODUCTION)
    for number, act in enumerate(play.acts, start=1):
        console.print()
        console.print(Text(f"{number}. {act.title}", style="bold"))
        console.print(_wires(act, console.width))
        for remark in _remarks(play, act):
            console.print(remark)
    console.print()
    console.print(_summary(play))
    console.print()
    console.print(_claims(checks))
    console.print()
    console.print(
        f"The upstream's quota: {PULLS} pulls, of which {play.pulls_left} are left. Took {play.seconds:.1f} s."
    )


def _wires(act: Act, width: int) -> Table:
    return _side_by_side(act) if width >= WIDTH else _one_below_the_other(act)


def _side_by_side(act: Act) -> Table:
    table = _table()
    _add_columns(table, "client to proxy")
    table.add_column("cache", width=9)
    table.add_column("  ")
    _add_columns(table, "proxy to upstream")
    for asked, caused in _caused(act):
        for left, right in zip_longest([asked], caused):
            table.add_row(*(_left(left) if left else [""] * 5), "", *(_cells(right) if right else ()))
    table.add_row(*_total(act.client, act.seconds), "", "", *_total(act.upstream), style="bold")
    return table


def _one_below_the_other(act: Act) -> Table:
    """For narrow terminals."""
    table = _table()
    _add_columns(table, "client to proxy, > proxy to upstream")
    table.add_column("cache", width=9)
    for asked, caused in _caused(act):
        table.add_row(*_left(asked))
        for other in caused:
            request, *numbers = _cells(other)
            table.add_row(f"  > {request}", *numbers)
    table.add_row(*_total(act.client, act.seconds), style="bold")
    request, *numbers = _total(act.upstream)
    table.add_row(f"  > {request}", *numbers, style="bold")
    return table


def _table() -> Table:
    return Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="underline")


def _add_columns(table: Table, title: str) -> None:
    table.add_column(title, min_width=23, no_wrap=True)
    table.add_column("code", width=4, justify="right")
    table.add_column("bytes", width=7, justify="right")
    table.add_column("ms", width=5, justify="right")


def _caused(act: Act) -> Iterator[tuple[Exchange, list[Exchange]]]:
    """Each of the client's requests, with those of the proxy that came before the client's next one."""
    ends = [one.started for one in act.client[1:]]
    begins = [float("-inf"), *ends]
    for one, begin, end in zip(act.client, begins, [*ends, float("inf")], strict=True):
        yield one, [other for other in act.upstream if begin <= other.started < end]


def _left(exchange: Exchange) -> list[RenderableType]:
    return [*_cells(exchange), Text(exchange.cache, style=_COLORS.get(exchange.cache, ""))]


def _cells(exchange: Exchange) -> list[str]:
    request = f"{exchange.method:4} {_short(exchange.path)}"
    return [request, str(exchange.status), str(exchange.size), f"{exchange.milliseconds:.1f}"]


def _short(path: str) -> str:
    found = re.search(r"/((?:manifests|blobs)/)(?:sha256:([0-9a-f]{8})[0-9a-f]*|(.+))$", path)
    return found[1] + (found[2] or found[3]) if found else path


def _total(exchanges: Sequence[Exchange], seconds: float | None = None) -> list[str]:
    many = "" if len(exchanges) == 1 else "s"
    size = sum(one.size for one in exchanges)
    return [f"{len(exchanges)} request{many}", "", str(size), "" if seconds is None else f"{seconds * 1000:.1f}"]


def _remarks(play: Play, act: Act) -> Iterator[Text]:
    if act.name == "cold":
        for one in act.client:
            if reference(one) in play.layers and one.first_byte is not None:
                milliseconds = (one.first_byte - one.started) * 1000
                yield Text(
                    f"{_short(one.path)}: bytes reached the client after {milliseconds:.1f} ms; "
                    "the upstream had sent only half."
                )
    for warning in act.warnings:
        yield Text(f"Warning: {warning}", style="magenta")


def _summary(play: Play) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="underline")
    table.add_column("pull")
    for title in ("bytes to the client", "bytes from upstream", "GETs of content upstream", "ms"):
        table.add_column(title, justify="right")
    for act in play.acts:
        numbers = (act.client_bytes, act.upstream_bytes, act.upstream_gets)
        table.add_row(act.name, *(f"{number:,}" for number in numbers), f"{act.seconds * 1000:.0f}")
    return table


def _claims(checks: Sequence[Check]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for one in checks:
        mark = Text("ok", style="green") if one.ok else Text("WRONG", style="bold red")
        table.add_row(mark, one.claim if one.ok else f"{one.claim}\n{one.cause}")
    return table
