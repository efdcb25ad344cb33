"""The first tables. See :mod:`proxy_core.storage.index.tables` for what they mean.

Revision 0001, the first.
"""

from typing import Final

from alembic import op
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Text,
    UniqueConstraint,
)

revision: Final = "0001"
down_revision: Final = None

_ID: Final = BigInteger().with_variant(Integer, "sqlite")


def upgrade() -> None:
    _create_images()
    _create_manifests()
    _create_blobs()
    _create_what_images_have()
    _create_upstreams_and_counters()


def _create_images() -> None:
    op.create_table(
        "groups",
        Column("id", _ID, nullable=False),
        Column("path", Text(), nullable=False),
        PrimaryKeyConstraint("id", name="pk_groups"),
        UniqueConstraint("path", name="uq_groups_path"),
    )
    op.create_table(
        "images",
        Column("id", _ID, nullable=False),
        Column("group_id", _ID, nullable=False),
        Column("upstream", Text(), nullable=False),
        Column("repository", Text(), nullable=False),
        ForeignKeyConstraint(["group_id"], ["groups.id"], name="fk_images_group_id", ondelete="CASCADE"),
        PrimaryKeyConstraint("id", name="pk_images"),
        UniqueConstraint("group_id", "upstream", "repository", name="uq_images_group_id_upstream_repository"),
    )
    op.create_table(
        "listings",
        Column("image_id", _ID, nullable=False),
        Column("key", Text(), nullable=False),
        Column("fetched_at", Double(), nullable=False),
        Column("content", LargeBinary(), nullable=False),
        ForeignKeyConstraint(["image_id"], ["images.id"], name="fk_listings_image_id", ondelete="CASCADE"),
        PrimaryKeyConstraint("image_id", "key", name="pk_listings"),
    )


def _create_manifests() -> None:
    op.create_table(
        "manifests",
        Column("id", _ID, nullable=False),
        Column("digest", Text(), nullable=False),
        Column("media_type", Text(), nullable=False),
        Column("size", BigInteger(), nullable=False),
        Column("content", LargeBinary(), nullable=False),
        PrimaryKeyConstraint("id", name="pk_manifests"),
        UniqueConstraint("digest", name="uq_manifests_digest"),
    )
    op.create_table(
        "manifest_references",
        Column("manifest_id", _ID, nullable=False),
        Column("kind", Text(), nullable=False),
        Column("digest", Text(), nullable=False),
        Column("size", BigInteger(), nullable=False),
        Column("platform", Text(), nullable=True),
        ForeignKeyConstraint(
            ["manifest_id"], ["manifests.id"], name="fk_manifest_references_manifest_id", ondelete="CASCADE"
        ),
        PrimaryKeyConstraint("manifest_id", "kind", "digest", name="pk_manifest_references"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_manifest_references_digest_kind", "manifest_references", ["digest", "kind"])


def _create_blobs() -> None:
    op.create_table(
        "blobs",
        Column("digest", Text(), nullable=False),
        Column("size", BigInteger(), nullable=False),
        Column("added_at", Double(), nullable=False),
        Column("last_read", Double(), nullable=False),
        PrimaryKeyConstraint("digest", name="pk_blobs"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_blobs_last_read", "blobs", ["last_read"])
    op.create_table(
        "image_blobs",
        Column("image_id", _ID, nullable=False),
        Column("digest", Text(), nullable=False),
        Column("size", BigInteger(), nullable=False),
        ForeignKeyConstraint(["image_id"], ["images.id"], name="fk_image_blobs_image_id", ondelete="CASCADE"),
        PrimaryKeyConstraint("image_id", "digest", name="pk_image_blobs"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "granted_blobs",
        Column("image_id", _ID, nullable=False),
        Column("digest", Text(), nullable=False),
        Column("size", BigInteger(), nullable=False),
        ForeignKeyConstraint(["image_id"], ["images.id"], name="fk_granted_blobs_image_id", ondelete="CASCADE"),
        PrimaryKeyConstraint("image_id", "digest", name="pk_granted_blobs"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_granted_blobs_digest", "granted_blobs", ["digest"])


def _create_what_images_have() -> None:
    op.create_table(
        "image_manifests",
        Column("id", _ID, nullable=False),
        Column("image_id", _ID, nullable=False),
        Column("manifest_id", _ID, nullable=False),
        Column("saved", Boolean(), nullable=False),
        Column("cached_at", Double(), nullable=False),
        Column("last_read", Double(), nullable=False),
        ForeignKeyConstraint(["image_id"], ["images.id"], name="fk_image_manifests_image_id", ondelete="CASCADE"),
        ForeignKeyConstraint(["manifest_id"], ["manifests.id"], name="fk_image_manifests_manifest_id"),
        PrimaryKeyConstraint("id", name="pk_image_manifests"),
        UniqueConstraint("image_id", "manifest_id", name="uq_image_manifests_image_id_manifest_id"),
    )
    op.create_index("ix_image_manifests_manifest_id", "image_manifests", ["manifest_id"])
    op.create_table(
        "tags",
        Column("id", _ID, nullable=False),
        Column("image_id", _ID, nullable=False),
        Column("name", Text(), nullable=False),
        Column("manifest_id", _ID, nullable=False),
        Column("confirmed_at", Double(), nullable=False),
        ForeignKeyConstraint(
            ["image_id", "manifest_id"],
            ["image_manifests.image_id", "image_manifests.manifest_id"],
            name="fk_tags_image_id_manifest_id",
            ondelete="CASCADE",
        ),
        PrimaryKeyConstraint("id", name="pk_tags"),
        UniqueConstraint("image_id", "name", name="uq_tags_image_id_name"),
    )
    op.create_index("ix_tags_image_id_manifest_id", "tags", ["image_id", "manifest_id"])


def _create_upstreams_and_counters() -> None:
    op.create_table(
        "pauses",
        Column("upstream", Text(), nullable=False),
        Column("until", Double(), nullable=False),
        Column("cause", Text(), nullable=False),
        Column("strikes", Integer(), nullable=False),
        PrimaryKeyConstraint("upstream", name="pk_pauses"),
    )
    op.create_table(
        "quotas",
        Column("upstream", Text(), nullable=False),
        Column("account", Text(), nullable=False),
        Column("limit", BigInteger(), nullable=False),
        Column("remaining", BigInteger(), nullable=False),
        Column("window", Double(), nullable=False),
        Column("source", Text(), nullable=False),
        Column("observed_at", Double(), nullable=False),
        PrimaryKeyConstraint("upstream", "account", name="pk_quotas"),
    )
    op.create_table(
        "counters",
        Column("name", Text(), nullable=False),
        Column("value", BigInteger(), nullable=False),
        PrimaryKeyConstraint("name", name="pk_counters"),
    )
