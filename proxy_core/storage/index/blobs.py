"""Blobs: who may have them, which are in the blob store, and which of those nobody needs."""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, bindparam, delete, exists, or_, select, update

from proxy_core.reference import Digest, Image, parse_digest
from proxy_core.storage.index import counters, dialects, images
from proxy_core.storage.index.counters import Counter
from proxy_core.storage.index.images import IMAGE_ID
from proxy_core.storage.index.portions import portions
from proxy_core.storage.index.tables import blobs, granted_blobs, image_blobs, manifest_references

_STORED = select(blobs.c.size).where(blobs.c.digest == bindparam("wanted"))
_SIZES = select(
    select(image_blobs.c.size)
    .where(image_blobs.c.image_id == IMAGE_ID, image_blobs.c.digest == bindparam("wanted"))
    .scalar_subquery()
    .label("named"),
    select(granted_blobs.c.size)
    .where(granted_blobs.c.image_id == IMAGE_ID, granted_blobs.c.digest == bindparam("wanted"))
    .scalar_subquery()
    .label("granted"),
    _STORED.scalar_subquery().label("stored"),
)
_KNOWN = select(blobs.c.digest).where(blobs.c.digest.in_(bindparam("wanted", expanding=True)))
_DROP = delete(blobs).where(blobs.c.digest == bindparam("wanted")).returning(blobs.c.size)
_TOUCH = (
    update(blobs)
    .where(blobs.c.digest == bindparam("wanted"), blobs.c.last_read < bindparam("now"))
    .values(last_read=bindparam("now"))
)
_PAGE = (
    select(blobs.c.digest, blobs.c.size)
    .where(blobs.c.digest > bindparam("after"))
    .order_by(blobs.c.digest)
    .limit(bindparam("limit"))
)
_COLLECTABLE = (
    select(blobs.c.digest)
    .where(
        blobs.c.last_read < bindparam("before"),  # never before it was added
        ~or_(
            exists().where(manifest_references.c.digest == blobs.c.digest),
            exists().where(granted_blobs.c.digest == blobs.c.digest),
        ),
    )
    .order_by(blobs.c.last_read)
    .limit(bindparam("limit"))
)


def size(connection: Connection, image: Image, digest: Digest) -> int | None:
    """See :meth:`.model.Index.blob_size`."""
    row = connection.execute(_SIZES, {**images.named(image), "wanted": str(digest)}).one()
    claimed: int | None = row.named if row.named is not None else row.granted
    if claimed is None:
        return None
    # Bytes that are here were verified; what a manifest says of their number was not.
    stored: int | None = row.stored
    return claimed if stored is None else stored


def grant(connection: Connection, image: Image, digest: Digest, size: int) -> None:
    """See :meth:`.model.Index.grant_blob`."""
    image_id = images.ensure(connection, image)
    connection.execute(
        dialects.upsert(connection.dialect.name, granted_blobs, ("image_id", "digest")),
        {"image_id": image_id, "digest": str(digest), "size": size},
    )


def add(connection: Connection, digest: Digest, size: int, now: float) -> None:
    """See :meth:`.model.Index.add_blob`."""
    before = connection.execute(_STORED, {"wanted": str(digest)}).scalar_one_or_none() or 0
    connection.execute(
        dialects.upsert(connection.dialect.name, blobs, ("digest",)),
        {"digest": str(digest), "size": size, "added_at": now, "last_read": now},
    )
    counters.add(connection, Counter.STORED_BYTES, size - before)


def drop(connection: Connection, digest: Digest) -> None:
    """See :meth:`.model.Index.drop_blob`."""
    dropped = connection.execute(_DROP, {"wanted": str(digest)}).scalar_one_or_none()
    if dropped is not None:
        counters.add(connection, Counter.STORED_BYTES, -dropped)


def touch(connection: Connection, read: Collection[Digest], now: float) -> None:
    """These were read; what is gone is passed over, and no time goes back."""
    for portion in portions(read):
        connection.execute(_TOUCH, [{"wanted": str(digest), "now": now} for digest in portion])


def page(connection: Connection, after: str, limit: int) -> Sequence[tuple[Digest, int]]:
    """See :meth:`.model.Index.blobs`."""
    rows = connection.execute(_PAGE, {"after": after, "limit": limit})
    return [(parse_digest(row.digest), row.size) for row in rows]


def collectable(connection: Connection, before: float, limit: int) -> Sequence[Digest]:
    """See :meth:`.model.Index.collectable`. The least recently read come first."""
    return [parse_digest(digest) for digest in connection.scalars(_COLLECTABLE, {"before": before, "limit": limit})]


def unknown(connection: Connection, digests: Collection[Digest]) -> Collection[Digest]:
    """See :meth:`.model.Index.unknown`."""
    missing = {str(digest): digest for digest in digests}
    for portion in portions(digests):
        for known in connection.scalars(_KNOWN, {"wanted": [str(digest) for digest in portion]}):
            del missing[known]
    return list(missing.values())
