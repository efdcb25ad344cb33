"""Who may have which manifest and which blob, for any index: bytes are shared, rights are not."""

from proxy_core.reference import Image, Repository
from proxy_core.storage.index.model import Descriptor, Index, Kind

from .samples import ALPINE, BUSYBOX, IMAGES, OTHER_ALPINE, child, digest, had, layer, manifest, served

AMD, ARM = manifest(1), manifest(2)
BOTH = manifest(3)  # an index of the two
NESTED = manifest(4)  # an index of that index
CHILDREN = [child(AMD, "linux/amd64"), child(ARM, "linux/arm64/v8")]


async def test_the_child_of_an_index_is_had_once_its_bytes_are_known(index: Index) -> None:
    await index.save(ALPINE, BOTH, CHILDREN, "latest", now=1)
    assert await index.manifest(ALPINE, AMD.digest) is None

    await index.save(ALPINE, AMD, [layer(10)], None, now=2)

    assert await index.manifest(ALPINE, AMD.digest) == AMD
    assert await index.manifest(ALPINE, ARM.digest) is None


async def test_a_child_that_one_image_fetched_serves_every_image_that_has_the_index(index: Index) -> None:
    await index.save(ALPINE, BOTH, CHILDREN, "latest", now=1)
    await index.save(OTHER_ALPINE, BOTH, CHILDREN, "latest", now=1)

    await index.save(ALPINE, AMD, [layer(10)], None, now=2)

    assert await index.manifest(OTHER_ALPINE, AMD.digest) == AMD
    assert await index.blob_size(OTHER_ALPINE, digest(10)) == 1000
    assert await index.manifest(BUSYBOX, AMD.digest) is None
    assert await index.blob_size(BUSYBOX, digest(10)) is None


async def test_an_index_saved_after_its_children_has_them(index: Index) -> None:
    await index.save(ALPINE, AMD, [layer(10)], None, now=1)

    await index.save(OTHER_ALPINE, BOTH, CHILDREN, "latest", now=2)

    assert await had(index, OTHER_ALPINE, [1, 2, 3]) == {1, 3}
    assert await served(index, OTHER_ALPINE, [10]) == {10}


async def test_indexes_nest_in_whatever_order_they_come(index: Index) -> None:
    await index.save(ALPINE, AMD, [layer(10)], None, now=1)
    await index.save(OTHER_ALPINE, NESTED, [child(BOTH)], "latest", now=2)
    assert await had(index, OTHER_ALPINE, [1, 3, 4]) == {4}

    await index.save(ALPINE, BOTH, CHILDREN, None, now=3)

    assert await had(index, OTHER_ALPINE, [1, 3, 4]) == {1, 3, 4}
    assert await served(index, OTHER_ALPINE, [10]) == {10}


async def test_the_parent_of_what_an_image_has_is_not_the_images(index: Index) -> None:
    await index.save(ALPINE, BOTH, CHILDREN, "latest", now=1)
    await index.save(BUSYBOX, AMD, [layer(10)], "latest", now=1)

    assert await had(index, BUSYBOX, [1, 2, 3]) == {1}


async def test_a_blob_of_the_same_digest_as_a_manifest_gives_no_right_to_it(index: Index) -> None:
    await index.save(ALPINE, AMD, [layer(10)], "latest", now=1)
    await index.save(BUSYBOX, BOTH, [Descriptor(AMD.digest, Kind.BLOB, 100)], "latest", now=1)

    assert await index.manifest(BUSYBOX, AMD.digest) is None
    assert await index.blob_size(BUSYBOX, digest(10)) is None
    assert await index.blob_size(BUSYBOX, AMD.digest) == 100


async def test_references_that_were_missed_are_added_for_everyone(index: Index) -> None:
    await index.save(ALPINE, AMD, [], "latest", now=1)
    await index.save(OTHER_ALPINE, AMD, [layer(10)], "latest", now=2)

    assert await served(index, ALPINE, [10]) == {10}


async def test_a_granted_blob_is_this_images_alone(index: Index) -> None:
    await index.grant_blob(ALPINE, digest(20), 7)
    await index.grant_blob(ALPINE, digest(20), 8)

    assert await index.blob_size(ALPINE, digest(20)) == 8
    assert [image for image in IMAGES if await index.blob_size(image, digest(20)) is not None] == [ALPINE]


async def test_the_size_of_verified_bytes_counts_more_than_what_a_manifest_says(index: Index) -> None:
    await index.save(ALPINE, AMD, [layer(10, size=5)], "latest", now=1)
    assert await index.blob_size(ALPINE, digest(10)) == 5

    await index.add_blob(digest(10), 1000, now=2)

    assert await index.blob_size(ALPINE, digest(10)) == 1000
    assert await index.blob_size(BUSYBOX, digest(10)) is None


async def test_one_path_at_two_upstreams_is_two_images(index: Index) -> None:
    quay = Image("group", Repository("quay.io", "library/alpine"))
    await index.save(ALPINE, AMD, [layer(10)], "latest", now=1)

    assert await index.tagged(quay, "latest") is None
    assert await index.manifest(quay, AMD.digest) is None
    assert await index.blob_size(quay, digest(10)) is None
