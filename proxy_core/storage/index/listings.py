"""Cached answers about a repository: its tags, the referrers of a digest."""

from typing import Final

from sqlalchemy import Connection, bindparam, delete, select

from proxy_core.reference import Image
from proxy_core.storage.index import dialects, images
from proxy_core.storage.index.images import IMAGE_ID
from proxy_core.storage.index.model import Listing
from proxy_core.storage.index.tables import listings

#: Of one image. An upstream answers for any digest that a client thinks of; the oldest answers give way.
MOST: Final = 256

_LISTING = select(listings.c.content, listings.c.fetched_at).where(
    listings.c.image_id == IMAGE_ID, listings.c.key == bindparam("key")
)
_OLDEST = (
    select(listings.c.key)
    .where(listings.c.image_id == bindparam("of_image"), listings.c.key != bindparam("saved"))
    .order_by(listings.c.fetched_at.desc(), listings.c.key)
    .offset(MOST - 1)
)
_FORGET_OLDEST = delete(listings).where(listings.c.image_id == bindparam("of_image"), listings.c.key.in_(_OLDEST))


def listing(connection: Connection, image: Image, key: str) -> Listing | None:
    """See :meth:`.model.Index.listing`."""
    row = connection.execute(_LISTING, {**images.named(image), "key": key}).one_or_none()
    return Listing(row.content, row.fetched_at) if row else None


def save(connection: Connection, image: Image, key: str, saved: Listing) -> None:
    """See :meth:`.model.Index.save_listing`. More than :data:`MOST` are not kept."""
    image_id = images.ensure(connection, image)
    connection.execute(
        dialects.upsert(connection.dialect.name, listings, ("image_id", "key")),
        {"image_id": image_id, "key": key, "content": saved.content, "fetched_at": saved.fetched_at},
    )
    connection.execute(_FORGET_OLDEST, {"of_image": image_id, "saved": key})
