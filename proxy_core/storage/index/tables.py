"""The tables of the index. Their first form is the migration ``r0001_tables``; a test holds the two together.

Facts (what was saved, granted, added) and rights are kept apart: ``image_manifests`` and ``image_blobs`` hold whatever
an image may serve, children of its indexes included, so that a look-up is one probe of a key however many manifests
the image has or share the blob. :mod:`.rights` keeps them true to the facts, in the transaction that changes those.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

#: The revision that this code works with: the head of the migrations.
REVISION: Final = "0001"
#: Where the database says which revision it is of.
REVISION_TABLE: Final = "index_revision"

metadata: Final = MetaData(
    # Named as later migrations will call them, on any database.
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite makes a row id only of a column that is called INTEGER.
_ID = BigInteger().with_variant(Integer, "sqlite")


def _image_id() -> Column[int]:
    return Column("image_id", ForeignKey("images.id", ondelete="CASCADE"), nullable=False)


groups: Final = Table(
    "groups",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("path", Text, nullable=False, unique=True),
)

images: Final = Table(
    "images",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("group_id", ForeignKey("groups.id", ondelete="CASCADE"), nullable=False),
    Column("upstream", Text, nullable=False),
    Column("repository", Text, nullable=False),
    UniqueConstraint("group_id", "upstream", "repository"),
)

manifests: Final = Table(
    "manifests",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("digest", Text, nullable=False, unique=True),
    Column("media_type", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("content", LargeBinary, nullable=False),  # last: SQLite walks over it to reach what stands behind
)

#: Manifest -> the manifests and blobs that it names, whether we have them or not.
manifest_references: Final = Table(
    "manifest_references",
    metadata,
    Column("manifest_id", ForeignKey("manifests.id", ondelete="CASCADE"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("platform", Text),
    PrimaryKeyConstraint("manifest_id", "kind", "digest"),
    Index(None, "digest", "kind"),
    sqlite_with_rowid=False,
)

#: The manifests that an image has. ``saved``: for itself; else it is here as the child of one that is.
image_manifests: Final = Table(
    "image_manifests",
    metadata,
    Column("id", _ID, primary_key=True),
    _image_id(),
    Column("manifest_id", ForeignKey("manifests.id"), nullable=False, index=True),
    Column("saved", Boolean, nullable=False),
    Column("cached_at", Double, nullable=False),
    Column("last_read", Double, nullable=False),
    UniqueConstraint("image_id", "manifest_id"),
)

tags: Final = Table(
    "tags",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("image_id", _ID, nullable=False),
    Column("name", Text, nullable=False),
    Column("manifest_id", _ID, nullable=False),
    Column("confirmed_at", Double, nullable=False),
    UniqueConstraint("image_id", "name"),
    # A tag can only be a manifest that its image has.
    ForeignKeyConstraint(
        ["image_id", "manifest_id"], ["image_manifests.image_id", "image_manifests.manifest_id"], ondelete="CASCADE"
    ),
    Index(None, "image_id", "manifest_id"),
)

#: The blobs that the manifests of an image name.
image_blobs: Final = Table(
    "image_blobs",
    metadata,
    _image_id(),
    Column("digest", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    PrimaryKeyConstraint("image_id", "digest"),
    sqlite_with_rowid=False,
)

#: Blobs that the upstream gave for a repository though no manifest names them.
granted_blobs: Final = Table(
    "granted_blobs",
    metadata,
    _image_id(),
    Column("digest", Text, nullable=False, index=True),
    Column("size", BigInteger, nullable=False),
    PrimaryKeyConstraint("image_id", "digest"),
    sqlite_with_rowid=False,
)

#: Blobs whose bytes are in the blob store.
blobs: Final = Table(
    "blobs",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("added_at", Double, nullable=False),
    Column("last_read", Double, nullable=False, index=True),
    sqlite_with_rowid=False,
)

listings: Final = Table(
    "listings",
    metadata,
    _image_id(),
    Column("key", Text, nullable=False),
    Column("fetched_at", Double, nullable=False),
    Column("content", LargeBinary, nullable=False),
    PrimaryKeyConstraint("image_id", "key"),
)

pauses: Final = Table(
    "pauses",
    metadata,
    Column("upstream", Text, primary_key=True),
    Column("until", Double, nullable=False),
    Column("cause", Text, nullable=False),
    Column("strikes", Integer, nullable=False),
)

quotas: Final = Table(
    "quotas",
    metadata,
    Column("upstream", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("limit", BigInteger, nullable=False),
    Column("remaining", BigInteger, nullable=False),
    Column("window", Double, nullable=False),
    Column("source", Text, nullable=False),
    Column("observed_at", Double, nullable=False),
    PrimaryKeyConstraint("upstream", "account"),
)

#: Sums that are read too often to be counted each time; absent is 0.
counters: Final = Table(
    "counters",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)
