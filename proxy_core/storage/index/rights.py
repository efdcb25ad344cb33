"""What an image may serve: the manifests saved for it, the known children of those at any depth, and all their blobs.

The rows of ``image_manifests`` and ``image_blobs`` are this closure. It grows when an image gets a manifest
(:func:`give`), for every image that holds an index when one of its children becomes known (:func:`holders`), and
shrinks when an image loses a manifest (:func:`take`). All of it happens in the transaction that changes the facts,
and one such transaction runs at a time.
"""

from sqlalchemy import CTE, ColumnElement, Connection, Select, delete, exists, func, literal, select, union

from proxy_core.storage.index import dialects
from proxy_core.storage.index.model import Kind
from proxy_core.storage.index.tables import image_blobs, image_manifests, manifest_references, manifests, tags


def just(image_id: int) -> Select[int]:
    """This image alone."""
    return select(literal(image_id).label("image_id"))


def holders(manifest_id: int, digest: str) -> Select[int]:
    """The images that have this manifest, or a parent of it and so a claim to it as soon as it is known."""
    parents = select(manifest_references.c.manifest_id).where(
        manifest_references.c.kind == Kind.MANIFEST.value, manifest_references.c.digest == digest
    )
    return (
        select(image_manifests.c.image_id)
        .where((image_manifests.c.manifest_id == manifest_id) | image_manifests.c.manifest_id.in_(parents))
        .distinct()
    )


def give(connection: Connection, image_ids: Select[int], manifest_id: int, now: float) -> None:
    """The images may serve the manifest, what it refers to, and what that refers to, as far as it is known."""
    holder = image_ids.subquery()
    tree = _tree(select(literal(manifest_id).label("id")))
    claims = (
        select(holder.c.image_id, tree.c.id, literal(False), literal(now), literal(now))
        .select_from(tree)
        .join(holder, literal(True))
        .where(literal(True))  # without a WHERE, SQLite takes ON CONFLICT for the condition of the join
    )
    connection.execute(
        dialects.insert(connection, image_manifests)
        .from_select(["image_id", "manifest_id", "saved", "cached_at", "last_read"], claims)
        .on_conflict_do_nothing()
    )
    named = (
        select(holder.c.image_id, manifest_references.c.digest, func.max(manifest_references.c.size))
        .select_from(tree)
        .join(manifest_references, manifest_references.c.manifest_id == tree.c.id)
        .join(holder, literal(True))
        .where(manifest_references.c.kind == Kind.BLOB.value)
        .group_by(holder.c.image_id, manifest_references.c.digest)
    )
    connection.execute(
        dialects.insert(connection, image_blobs)
        .from_select(["image_id", "digest", "size"], named)
        .on_conflict_do_nothing()
    )


def take(connection: Connection, image_id: int, manifest_id: int) -> int:
    """The image loses the manifest and its children, except for what another tag or manifest of the image is or
    refers to. Returns how many manifests that had been saved for it are gone."""
    of_image = image_manifests.c.image_id == image_id
    tree = _tree(select(literal(manifest_id).label("id")))
    others = union(
        select(tags.c.manifest_id.label("id")).where(tags.c.image_id == image_id),
        select(image_manifests.c.manifest_id).where(of_image, image_manifests.c.manifest_id.not_in(select(tree.c.id))),
    )
    kept = _tree(select(others.subquery().c.id), name="kept")
    lost = connection.scalars(select(tree.c.id).where(tree.c.id.not_in(select(kept.c.id)))).all()
    taken = connection.scalars(
        delete(image_manifests)
        .where(of_image, image_manifests.c.manifest_id.in_(lost))
        .returning(image_manifests.c.saved)
    ).all()
    connection.execute(
        delete(image_blobs).where(
            image_blobs.c.image_id == image_id,
            image_blobs.c.digest.in_(
                select(manifest_references.c.digest).where(
                    manifest_references.c.manifest_id.in_(lost), manifest_references.c.kind == Kind.BLOB.value
                )
            ),
            ~_still_named(image_id),
        )
    )
    return sum(taken)


def _tree(roots: Select[int], name: str = "tree") -> CTE:
    """The ids of the roots and of all known manifests below them."""
    tree = roots.cte(name, recursive=True)
    children = (
        select(manifests.c.id)
        .select_from(tree)
        .join(manifest_references, manifest_references.c.manifest_id == tree.c.id)
        .join(manifests, manifests.c.digest == manifest_references.c.digest)
        .where(manifest_references.c.kind == Kind.MANIFEST.value)
    )
    return tree.union(children)


def _still_named(image_id: int) -> ColumnElement[bool]:
    """A manifest that the image still has names this row of ``image_blobs``."""
    return exists(
        select(image_manifests.c.id)
        .join(manifest_references, manifest_references.c.manifest_id == image_manifests.c.manifest_id)
        .where(
            image_manifests.c.image_id == image_id,
            manifest_references.c.kind == Kind.BLOB.value,
            manifest_references.c.digest == image_blobs.c.digest,
        )
        .correlate(image_blobs)
    )
