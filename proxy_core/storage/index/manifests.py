"""Manifests and the tags that name them."""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, bindparam, delete, exists, insert, select, update

from proxy_core.reference import Digest, Image, parse_digest
from proxy_core.storage.index import counters, dialects, images, rights
from proxy_core.storage.index.counters import Counter
from proxy_core.storage.index.images import IMAGE_ID
from proxy_core.storage.index.model import Descriptor, Manifest, TaggedManifest
from proxy_core.storage.index.portions import portions
from proxy_core.storage.index.tables import image_manifests, manifest_references, manifests, tags

_MANIFEST = select(manifests.c.digest, manifests.c.media_type, manifests.c.content)
_KNOWN = _MANIFEST.where(manifests.c.digest == bindparam("wanted"))
_MANIFEST_ID = select(manifests.c.id).where(manifests.c.digest == bindparam("wanted"))
_HELD = _KNOWN.where(
    exists().where(image_manifests.c.image_id == IMAGE_ID, image_manifests.c.manifest_id == manifests.c.id)
)
_TAGGED = (
    _MANIFEST.add_columns(tags.c.confirmed_at)
    .join(tags, tags.c.manifest_id == manifests.c.id)
    .where(tags.c.image_id == IMAGE_ID, tags.c.name == bindparam("tag"))
)
_CONFIRM = (
    update(tags)
    .where(
        tags.c.image_id == IMAGE_ID,
        tags.c.name == bindparam("tag"),
        tags.c.manifest_id == _MANIFEST_ID.scalar_subquery(),
    )
    .values(confirmed_at=bindparam("now"))
)
_FORGET = delete(tags).where(tags.c.image_id == IMAGE_ID, tags.c.name == bindparam("tag"))
_TOUCH = (
    update(image_manifests)
    .where(
        image_manifests.c.image_id == IMAGE_ID,
        image_manifests.c.manifest_id == _MANIFEST_ID.scalar_subquery(),
        image_manifests.c.last_read < bindparam("now"),
    )
    .values(last_read=bindparam("now"))
)
_REFERENCES = select(manifest_references.c.kind, manifest_references.c.digest).where(
    manifest_references.c.manifest_id == bindparam("of")
)
_REFER = insert(manifest_references)
_UNREFERENCED = manifests.alias("unreferenced")
_DROP_UNREFERENCED = delete(manifests).where(
    manifests.c.id.in_(
        select(_UNREFERENCED.c.id)
        .where(~exists().where(image_manifests.c.manifest_id == _UNREFERENCED.c.id))
        .limit(bindparam("limit"))
    )
)


def tagged(connection: Connection, image: Image, tag: str) -> TaggedManifest | None:
    """See :meth:`.model.Index.tagged`."""
    row = connection.execute(_TAGGED, {**images.named(image), "tag": tag}).one_or_none()
    if row is None:
        return None
    return TaggedManifest(_manifest(row.digest, row.media_type, row.content), row.confirmed_at)


def manifest(connection: Connection, image: Image, digest: Digest) -> Manifest | None:
    """See :meth:`.model.Index.manifest`."""
    row = connection.execute(_HELD, {**images.named(image), "wanted": str(digest)}).one_or_none()
    return _manifest(*row) if row else None


def known(connection: Connection, digest: Digest) -> Manifest | None:
    """See :meth:`.model.Index.known`."""
    row = connection.execute(_KNOWN, {"wanted": str(digest)}).one_or_none()
    return _manifest(*row) if row else None


def save(
    connection: Connection,
    image: Image,
    saved: Manifest,
    references: Sequence[Descriptor],
    tag: str | None,
    now: float,
) -> None:
    """See :meth:`.model.Index.save`."""
    image_id = images.ensure(connection, image)
    manifest_id, grown = _keep(connection, saved, references)
    dialect = connection.dialect.name
    connection.execute(
        dialects.upsert(dialect, image_manifests, ("image_id", "manifest_id"), keep=("cached_at",)),
        {"image_id": image_id, "manifest_id": manifest_id, "saved": True, "cached_at": now, "last_read": now},
    )
    rights.give(connection, image_id, manifest_id, str(saved.digest), now, grown=grown)
    if tag is not None:
        connection.execute(
            dialects.upsert(dialect, tags, ("image_id", "name")),
            {"image_id": image_id, "name": tag, "manifest_id": manifest_id, "confirmed_at": now},
        )


def confirm(connection: Connection, image: Image, tag: str, digest: Digest, now: float) -> bool:
    """See :meth:`.model.Index.confirm`."""
    values = {**images.named(image), "tag": tag, "wanted": str(digest), "now": now}
    return connection.execute(_CONFIRM, values).rowcount == 1


def forget(connection: Connection, image: Image, tag: str) -> None:
    """See :meth:`.model.Index.forget`."""
    if connection.execute(_FORGET, {**images.named(image), "tag": tag}).rowcount:
        counters.add(connection, Counter.GENERATION, 1)


def touch(connection: Connection, read: Collection[tuple[Image, Digest]], now: float) -> None:
    """These were read by these images; what is gone is passed over, and no time goes back."""
    for portion in portions(read):
        connection.execute(
            _TOUCH, [{**images.named(image), "wanted": str(digest), "now": now} for image, digest in portion]
        )


def drop_unreferenced(connection: Connection, limit: int) -> int:
    """See :meth:`.model.Index.drop_unreferenced_manifests`."""
    dropped = connection.execute(_DROP_UNREFERENCED, {"limit": limit}).rowcount
    if dropped:
        counters.add(connection, Counter.GENERATION, 1)
    return dropped


def _keep(connection: Connection, saved: Manifest, references: Sequence[Descriptor]) -> tuple[int, bool]:
    """Have the manifest and its references. Returns its id, and whether anything of that is new."""
    digest = str(saved.digest)
    inserted = connection.execute(
        dialects.insert_new(connection.dialect.name, manifests),
        {
            "digest": digest,
            "media_type": saved.media_type,
            "size": len(saved.content),
            "content": saved.content,
        },
    )
    manifest_id = connection.execute(_MANIFEST_ID, {"wanted": digest}).scalar_one()
    missing = {(reference.kind.value, str(reference.digest)): reference for reference in references}
    for kind, named in connection.execute(_REFERENCES, {"of": manifest_id}):
        missing.pop((kind, named), None)
    if missing:
        connection.execute(_REFER, [_reference(manifest_id, reference) for reference in missing.values()])
    return manifest_id, inserted.rowcount > 0 or bool(missing)


def _reference(manifest_id: int, reference: Descriptor) -> dict[str, object]:
    return {
        "manifest_id": manifest_id,
        "kind": reference.kind.value,
        "digest": str(reference.digest),
        "size": reference.size,
        "platform": reference.platform,
    }


def _manifest(digest: str, media_type: str, content: bytes) -> Manifest:
    return Manifest(parse_digest(digest), media_type, content)
