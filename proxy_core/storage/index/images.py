"""The rows of groups and images: found by name, made when first needed."""

from sqlalchemy import Connection, Select, bindparam, select

from proxy_core.reference import Image
from proxy_core.storage.index import dialects
from proxy_core.storage.index.tables import groups, images

_GROUP = select(groups.c.id).where(groups.c.path == bindparam("group"))
_IMAGE: Select[int] = select(images.c.id).where(
    images.c.group_id == _GROUP.scalar_subquery(),
    images.c.upstream == bindparam("upstream"),
    images.c.repository == bindparam("repository"),
)
#: The id of the image that :func:`named` names, for use in any statement.
IMAGE_ID = _IMAGE.scalar_subquery()


def named(image: Image) -> dict[str, str]:
    """The parameters of :data:`IMAGE_ID`."""
    return {"group": image.group, "upstream": image.repository.upstream, "repository": image.repository.path}


def find(connection: Connection, image: Image) -> int | None:
    """The id of the image, or ``None`` if nothing was ever kept for it."""
    return connection.execute(_IMAGE, named(image)).scalar_one_or_none()


def ensure(connection: Connection, image: Image) -> int:
    """The id of the image, whose row and whose group's row are made if need be."""
    if (image_id := find(connection, image)) is not None:
        return image_id
    connection.execute(dialects.insert_new(connection.dialect.name, groups), {"path": image.group})
    group_id = connection.execute(_GROUP, {"group": image.group}).scalar_one()
    connection.execute(
        dialects.insert_new(connection.dialect.name, images),
        {"group_id": group_id, "upstream": image.repository.upstream, "repository": image.repository.path},
    )
    return connection.execute(_IMAGE, named(image)).scalar_one()
