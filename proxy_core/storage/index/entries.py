"""What ``cache list`` shows.

The position of an entry is twice the id of its tag, or, without a tag, twice the id of its row in ``image_manifests``
and one more. It never changes, so that pages neither repeat nor skip what is there while they are read.
"""

from collections.abc import Sequence
from heapq import merge
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, and_, bindparam, exists, func, null, select

from proxy_core.reference import Image, Repository, parse_digest
from proxy_core.storage.index.model import Entry, Kind
from proxy_core.storage.index.tables import blobs, groups, image_manifests, images, manifest_references, manifests, tags

#: Entries of one page at most, whatever is asked for.
MOST: Final = 10_000

_TAG_OF_LINK = and_(tags.c.image_id == image_manifests.c.image_id, tags.c.manifest_id == image_manifests.c.manifest_id)
_ENTRY = (
    select(
        groups.c.path.label("group"),
        images.c.upstream,
        images.c.repository,
        manifests.c.id.label("manifest_id"),
        manifests.c.digest,
        manifests.c.media_type,
        manifests.c.size,
        image_manifests.c.cached_at,
        image_manifests.c.last_read,
    )
    .select_from(image_manifests)
    .join(manifests, manifests.c.id == image_manifests.c.manifest_id)
    .join(images, images.c.id == image_manifests.c.image_id)
    .join(groups, groups.c.id == images.c.group_id)
    .limit(bindparam("limit"))
)
_WITH_TAG = (
    _ENTRY.add_columns((2 * tags.c.id).label("position"), tags.c.name.label("tag"), tags.c.confirmed_at)
    .join(tags, _TAG_OF_LINK)
    .where(tags.c.id > bindparam("after"))
    .order_by(tags.c.id)
)
_WITHOUT_TAG = (
    _ENTRY.add_columns(
        (2 * image_manifests.c.id + 1).label("position"), null().label("tag"), null().label("confirmed_at")
    )
    .where(image_manifests.c.id > bindparam("after"), image_manifests.c.saved, ~exists().where(_TAG_OF_LINK))
    .order_by(image_manifests.c.id)
)


def _cached_sizes() -> Select[int, int]:
    root = select(manifests.c.id.label("root"), manifests.c.id.label("id"))
    tree = root.where(manifests.c.id.in_(bindparam("roots", expanding=True))).cte("tree", recursive=True)
    child = manifests.alias("child")
    tree = tree.union(
        select(tree.c.root, child.c.id)
        .join(manifest_references, manifest_references.c.manifest_id == tree.c.id)
        .join(child, child.c.digest == manifest_references.c.digest)
        .where(manifest_references.c.kind == Kind.MANIFEST.value)
    )
    part = (
        select(tree.c.root, blobs.c.digest, blobs.c.size)
        .join(manifest_references, manifest_references.c.manifest_id == tree.c.id)
        .join(blobs, blobs.c.digest == manifest_references.c.digest)
        .where(manifest_references.c.kind == Kind.BLOB.value)
        .distinct()  # a layer that two children share is there once
        .subquery()
    )
    return select(part.c.root, func.sum(part.c.size).label("bytes")).group_by(part.c.root)


#: For each of ``roots``: the bytes of the cached blobs that it, or a known child at any depth, refers to.
_CACHED_SIZES = _cached_sizes()


def page(connection: Connection, group: str | None, after: int, limit: int) -> tuple[Sequence[Entry], int]:
    """See :meth:`.model.Index.entries`. A page has at most :data:`MOST` entries."""
    limit = min(limit, MOST)
    with_tag = _rows(connection, _WITH_TAG, group, after // 2, limit + 1)
    without = _rows(connection, _WITHOUT_TAG, group, (after - 1) // 2, limit + 1)
    rows = list(merge(with_tag, without, key=lambda row: row.position))
    shown, more = rows[:limit], len(rows) > limit
    roots = {row.manifest_id for row in shown}
    sizes = {row.root: int(row.bytes) for row in connection.execute(_CACHED_SIZES, {"roots": list(roots)})}
    entries = [_entry(row, sizes.get(row.manifest_id, 0)) for row in shown]
    return entries, shown[-1].position if more else 0


def _rows(
    connection: Connection, statement: Select[Any], group: str | None, after: int, limit: int
) -> Sequence[Row[Any]]:
    if group is not None:
        statement = statement.where(groups.c.path == group)
    return connection.execute(statement, {"after": after, "limit": limit}).all()


def _entry(row: Row[Any], blob_bytes: int) -> Entry:
    return Entry(
        image=Image(row.group, Repository(row.upstream, row.repository)),
        tag=row.tag,
        digest=parse_digest(row.digest),
        media_type=row.media_type,
        size=row.size + blob_bytes,
        cached_at=row.cached_at,
        confirmed_at=row.confirmed_at,
        last_read=row.last_read,
    )
