"""Forgetting on request. What is purged is exactly what is named: a group's subgroups are groups of their own."""

from sqlalchemy import ColumnElement, Connection, delete, func, select

from proxy_core.reference import Image, Repository
from proxy_core.storage.index import counters, rights
from proxy_core.storage.index import images as rows
from proxy_core.storage.index.counters import Counter
from proxy_core.storage.index.model import Purged
from proxy_core.storage.index.tables import groups, image_manifests, images, tags


def purge(connection: Connection, group: str, repository: Repository | None, tag: str | None) -> Purged:
    """See :meth:`.model.Index.purge`. The generation grows even if nothing was there: workers then drop what they
    remember of it, too."""
    counters.add(connection, Counter.GENERATION, 1)
    if repository is None:
        if tag is not None:
            raise ValueError("a tag is purged from a repository")
        purged = _purge_images(connection, images.c.group_id.in_(select(groups.c.id).where(groups.c.path == group)))
        connection.execute(delete(groups).where(groups.c.path == group))
        return purged
    image_id = rows.find(connection, Image(group, repository))
    if image_id is None:
        return Purged(images=0, tags=0, manifests=0)
    if tag is None:
        return _purge_images(connection, images.c.id == image_id)
    return _purge_tag(connection, image_id, tag)


def _purge_images(connection: Connection, chosen: ColumnElement[bool]) -> Purged:
    """Deletes the rows of images; all that is theirs goes by its foreign keys."""
    of_them = select(images.c.id).where(chosen)
    tag_count = select(func.count()).select_from(tags).where(tags.c.image_id.in_(of_them))
    manifest_count = (
        select(func.count())
        .select_from(image_manifests)
        .where(image_manifests.c.image_id.in_(of_them), image_manifests.c.saved)
    )
    gone_tags = connection.scalar(tag_count) or 0
    gone_manifests = connection.scalar(manifest_count) or 0
    gone_images = connection.execute(delete(images).where(chosen)).rowcount
    return Purged(images=gone_images, tags=gone_tags, manifests=gone_manifests)


def _purge_tag(connection: Connection, image_id: int, tag: str) -> Purged:
    manifest_id = connection.scalar(
        delete(tags).where(tags.c.image_id == image_id, tags.c.name == tag).returning(tags.c.manifest_id)
    )
    if manifest_id is None:
        return Purged(images=0, tags=0, manifests=0)
    return Purged(images=0, tags=1, manifests=rights.take(connection, image_id, manifest_id))
