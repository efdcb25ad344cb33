"""What an image may serve: the manifests saved for it, the known children of those at any depth, and all their blobs.

The rows of ``image_manifests`` and ``image_blobs`` are this closure. It grows when an image gets a manifest, and for
every image that holds an index when one of its children becomes known (:func:`give`); it shrinks when an image loses
a manifest (:func:`take`). All of it happens in the transaction that changes the facts, and one such transaction runs
at a time.
"""

from functools import cache
from typing import TYPE_CHECKING

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Connection,
    Double,
    Select,
    bindparam,
    delete,
    exists,
    func,
    literal,
    select,
    union,
)

from proxy_core.storage.index import dialects
from proxy_core.storage.index.model import Kind
from proxy_core.storage.index.tables import image_blobs, image_manifests, manifest_references, manifests, tags

if TYPE_CHECKING:
    from sqlalchemy.dialects.sqlite import Insert


def give(connection: Connection, image_id: int, manifest_id: int, digest: str, now: float, *, grown: bool) -> None:
    """The image may serve the manifest, what it refers to, and what that refers to, as far as it is known.

    :param grown: something about the manifest is new: so may all images that have it, or a parent of it.
    """
    links, blobs = _gifts(connection.dialect.name, everyone=grown)
    values = {"image_id": image_id, "manifest_id": manifest_id, "digest": digest, "now": now}
    connection.execute(links, values)
    connection.execute(blobs, values)


def take(connection: Connection, image_id: int, manifest_id: int) -> int:
    """The image loses the manifest and its children, except for what another tag or manifest of the image is or
    refers to. Returns how many manifests that had been saved for it are gone."""
    lost = connection.scalars(_LOST, {"image_id": image_id, "manifest_id": manifest_id}).all()
    taken = connection.scalars(_TAKE_MANIFESTS, {"of_image": image_id, "lost": lost}).all()
    connection.execute(_TAKE_BLOBS, {"of_image": image_id, "lost": lost})
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


_THIS_IMAGE = bindparam("image_id", type_=BigInteger)
_THIS_MANIFEST = bindparam("manifest_id", type_=BigInteger)
_TREE = _tree(select(_THIS_MANIFEST.label("id")))


@cache
def _gifts(dialect: str, *, everyone: bool) -> "tuple[Insert, Insert]":
    """Statements that give the manifests and the blobs of the tree, to one image or to all with a claim to it."""
    holder = (_holders() if everyone else select(_THIS_IMAGE.label("image_id"))).subquery()
    now = bindparam("now", type_=Double)
    links = (
        select(holder.c.image_id, _TREE.c.id, literal(False), now, now)
        .select_from(_TREE)
        .join(holder, literal(True))
        .where(literal(True))  # without a WHERE, SQLite reads ON CONFLICT as the condition of the join
    )
    blobs = (
        select(holder.c.image_id, manifest_references.c.digest, func.max(manifest_references.c.size))
        .select_from(_TREE)
        .join(manifest_references, manifest_references.c.manifest_id == _TREE.c.id)
        .join(holder, literal(True))
        .where(manifest_references.c.kind == Kind.BLOB.value)
        .group_by(holder.c.image_id, manifest_references.c.digest)
    )
    return (
        dialects.insert(dialect, image_manifests)
        .from_select(["image_id", "manifest_id", "saved", "cached_at", "last_read"], links)
        .on_conflict_do_nothing(),
        dialects.insert(dialect, image_blobs)
        .from_select(["image_id", "digest", "size"], blobs)
        .on_conflict_do_nothing(),
    )


def _holders() -> Select[int]:
    """The images that have the manifest, or a parent of it and so a claim to it as soon as it is known."""
    parents = select(manifest_references.c.manifest_id).where(
        manifest_references.c.kind == Kind.MANIFEST.value, manifest_references.c.digest == bindparam("digest")
    )
    has_it = image_manifests.c.manifest_id == _THIS_MANIFEST
    return select(image_manifests.c.image_id).where(has_it | image_manifests.c.manifest_id.in_(parents)).distinct()


def _lost() -> Select[int]:
    """What the image loses with the manifest: its tree without what the image has otherwise."""
    others = union(
        select(tags.c.manifest_id.label("id")).where(tags.c.image_id == _THIS_IMAGE),
        select(image_manifests.c.manifest_id).where(
            image_manifests.c.image_id == _THIS_IMAGE, image_manifests.c.manifest_id.not_in(select(_TREE.c.id))
        ),
    )
    kept = _tree(select(others.subquery().c.id), name="kept")
    return select(_TREE.c.id).where(_TREE.c.id.not_in(select(kept.c.id)))


def _still_named() -> ColumnElement[bool]:
    """A manifest that the image still has names this row of ``image_blobs``."""
    return exists(
        select(image_manifests.c.id)
        .join(manifest_references, manifest_references.c.manifest_id == image_manifests.c.manifest_id)
        .where(
            image_manifests.c.image_id == bindparam("of_image"),
            manifest_references.c.kind == Kind.BLOB.value,
            manifest_references.c.digest == image_blobs.c.digest,
        )
        .correlate(image_blobs)
    )


_ARE_LOST = bindparam("lost", expanding=True, type_=BigInteger)
_LOST = _lost()
_TAKE_MANIFESTS = (
    delete(image_manifests)
    .where(image_manifests.c.image_id == bindparam("of_image"), image_manifests.c.manifest_id.in_(_ARE_LOST))
    .returning(image_manifests.c.saved)
)
_TAKE_BLOBS = delete(image_blobs).where(
    image_blobs.c.image_id == bindparam("of_image"),
    image_blobs.c.digest.in_(
        select(manifest_references.c.digest).where(
            manifest_references.c.manifest_id.in_(_ARE_LOST), manifest_references.c.kind == Kind.BLOB.value
        )
    ),
    ~_still_named(),
)
