"""``runner-bridge cache``: what the cache holds, and to have it hold less."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from proxy_core.errors import NameInvalid
from proxy_core.reference import Repository, Tag, parse_group, parse_reference, parse_repository
from runner_bridge.cli.commands import WrongUse
from runner_bridge.cli.options import config_option, format_option

if TYPE_CHECKING:
    from proxy_core.cache.upkeep import Finding
    from proxy_core.storage.folder import Folder
    from proxy_core.storage.index.model import Entry, Index

T = TypeVar("T")

_PAGE = 500


@click.group()
def cache() -> None:
    """The cache of a configuration, beside a running server or without one."""


@cache.command("list")
@click.argument("group", required=False)
@config_option
@format_option
def list_(group: str | None, config: Path | None, format_: str) -> None:
    """List the cached images: of one GROUP, or all."""
    rows = [_row(entry) for entry in _run(config, lambda _, index: _entries(index, group))]
    if format_ == "json":
        click.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        click.echo("The cache holds no images.", err=True)
    for row in rows:
        what = f"{row['image']}:{row['tag']}" if row["tag"] else f"{row['image']}@{row['digest']}"
        click.echo(f"{row['group']}\t{what}\t{_readable(row['size'])}\tread {row['last_read']}")


@cache.command()
@click.argument("group")
@click.argument("image", required=False, metavar="[IMAGE[:TAG]]")
@config_option
@format_option
def purge(group: str, image: str | None, config: Path | None, format_: str) -> None:
    """Forget a GROUP, an image of it, or one tag; a running server knows within a second.

    The bytes go with the next `cache collect`, unless something else refers to them.
    """
    repository, tag = _image(image)
    path = parse_group(group.lower())
    purged = _run(config, lambda _, index: index.purge(path, repository, tag))
    if format_ == "json":
        click.echo(json.dumps({"images": purged.images, "tags": purged.tags, "manifests": purged.manifests}))
    else:
        click.echo(f"Forgot {purged.tags} tags and {purged.manifests} manifests of {purged.images} images.")
        click.echo("Free their space with: runner-bridge cache collect", err=True)


@cache.command()
@config_option
@format_option
@click.pass_context
def verify(context: click.Context, config: Path | None, format_: str) -> None:
    """Read and hash every blob, and remove what is damaged. Exit code 1: something was."""
    from proxy_core.cache import upkeep

    findings = _run(config, lambda folder, index: _gather(upkeep.verify(folder, index)))
    _report(findings, format_, "Every blob is as it should be.")
    context.exit(1 if findings else 0)


@cache.command()
@config_option
@format_option
def collect(config: Path | None, format_: str) -> None:
    """Remove the blobs that nothing refers to, but none that is being read or filled."""
    from proxy_core.cache import upkeep

    findings = _run(config, lambda folder, index: _gather(upkeep.collect(folder, index)))
    _report(findings, format_, "There is nothing to remove.")


def _run(config: Path | None, task: "Callable[[Folder, Index], Awaitable[T]]") -> T:
    """Do something with the storage folder and the index of a configuration."""
    from proxy_core.settings.load import load

    settings = load(config, os.environ)

    async def run() -> T:
        async with _opened(settings.storage.directory) as (folder, index):
            return await task(folder, index)

    return asyncio.run(run())


@asynccontextmanager
async def _opened(directory: Path) -> "AsyncIterator[tuple[Folder, Index]]":
    from proxy_core.storage.folder import Folder
    from proxy_core.storage.index.migrate import migrate
    from proxy_core.storage.index.sql import open_index

    folder = Folder(directory)
    folder.prepare()
    migrate(directory)
    index = await open_index(directory)
    try:
        yield folder, index
    finally:
        await index.close()


async def _entries(index: "Index", group: str | None) -> "list[Entry]":
    path = parse_group(group.lower()) if group else None
    entries: list[Entry] = []
    after = -1
    while after:
        page, after = await index.entries(path, after=max(after, 0), limit=_PAGE)
        entries += page
    return entries


async def _gather(findings: "AsyncIterator[Finding]") -> "list[Finding]":
    return [finding async for finding in findings]


def _report(findings: "list[Finding]", format_: str, nothing: str) -> None:
    if format_ == "json":
        click.echo(json.dumps([{"digest": str(one.digest), "what": one.what} for one in findings], indent=2))
    elif not findings:
        click.echo(nothing)
    else:
        for finding in findings:
            click.echo(f"{finding.digest}: {finding.what}")


def _image(text: str | None) -> tuple[Repository | None, str | None]:
    if text is None:
        return None, None
    name, colon, tag = text.rpartition(":")
    if not colon or "/" in tag:
        return parse_repository(text), None
    try:
        reference = parse_reference(tag)
    except NameInvalid as error:
        raise WrongUse(error.cause, error.fix) from error
    if not isinstance(reference, Tag):
        raise WrongUse("A digest is not purged by itself.", "Purge its image, or one of its tags.")
    return parse_repository(name), reference.name


def _row(entry: "Entry") -> dict[str, Any]:
    return {
        "group": entry.image.group,
        "image": str(entry.image.repository),
        "tag": entry.tag,
        "digest": str(entry.digest),
        "media_type": entry.media_type,
        "size": entry.size,
        "cached_at": _moment(entry.cached_at),
        "confirmed_at": _moment(entry.confirmed_at) if entry.confirmed_at is not None else None,
        "last_read": _moment(entry.last_read),
    }


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _readable(size: int) -> str:
    amount = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"
