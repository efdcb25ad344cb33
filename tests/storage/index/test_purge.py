"""Purging, for any index: exactly what is named, and everything of it."""

import pytest

from proxy_core.storage.index.model import Index, Listing, Purged

from .samples import (
    ALPINE,
    BUSYBOX,
    IMAGES,
    OTHER_ALPINE,
    SUBGROUP_ALPINE,
    child,
    digest,
    everything,
    had,
    layer,
    manifest,
    served,
)

AMD, ARM, BOTH, NEXT = manifest(1), manifest(2), manifest(3), manifest(4)


async def save_latest(index: Index) -> None:
    """``alpine:latest`` is an index of two manifests, each with a layer of its own and one that they share."""
    await index.save(ALPINE, BOTH, [child(AMD), child(ARM)], "latest", now=1)
    await index.save(ALPINE, AMD, [layer(10), layer(12)], None, now=1)
    await index.save(ALPINE, ARM, [layer(11), layer(12)], None, now=1)


async def test_a_group_is_purged_without_its_subgroups(index: Index) -> None:
    for image in IMAGES:
        await index.save(image, AMD, [layer(10)], "latest", now=1)
        await index.grant_blob(image, digest(20), 5)
        await index.save_listing(image, "tags", Listing(b"[]", 1))

    purged = await index.purge("group")

    assert purged == Purged(images=2, tags=2, manifests=2)
    for image in (ALPINE, BUSYBOX):
        assert await index.tagged(image, "latest") is None
        assert await had(index, image, [1]) == set()
        assert await served(index, image, [10, 20]) == set()
        assert await index.listing(image, "tags") is None
    for image in (SUBGROUP_ALPINE, OTHER_ALPINE):
        assert await index.tagged(image, "latest") is not None
        assert await served(index, image, [10, 20]) == {10, 20}
        assert await index.listing(image, "tags") is not None


async def test_an_image_is_purged_from_one_group(index: Index) -> None:
    for image in IMAGES:
        await index.save(image, AMD, [layer(10)], "latest", now=1)
    await index.save(ALPINE, NEXT, [], "next", now=1)

    purged = await index.purge("group", ALPINE.repository)

    assert purged == Purged(images=1, tags=2, manifests=2)
    assert sorted(await everything(index)) == sorted((str(image), "latest", 1) for image in IMAGES if image != ALPINE)


async def test_a_tag_is_purged_with_its_manifest_and_the_children_that_only_it_has(index: Index) -> None:
    await save_latest(index)

    purged = await index.purge("group", ALPINE.repository, "latest")

    assert purged == Purged(images=0, tags=1, manifests=3)
    assert await had(index, ALPINE, [1, 2, 3]) == set()
    assert await served(index, ALPINE, [10, 11, 12]) == set()


async def test_a_manifest_stays_as_long_as_another_tag_is_it(index: Index) -> None:
    await save_latest(index)
    await index.save(ALPINE, BOTH, [child(AMD), child(ARM)], "3", now=1)

    purged = await index.purge("group", ALPINE.repository, "latest")

    assert purged == Purged(images=0, tags=1, manifests=0)
    assert await index.tagged(ALPINE, "latest") is None
    assert await index.tagged(ALPINE, "3") is not None
    assert await had(index, ALPINE, [1, 2, 3]) == {1, 2, 3}


async def test_a_child_stays_as_long_as_another_tag_is_it_or_refers_to_it(index: Index) -> None:
    await save_latest(index)
    await index.save(ALPINE, NEXT, [child(ARM)], "next", now=1)

    purged = await index.purge("group", ALPINE.repository, "latest")

    assert purged == Purged(images=0, tags=1, manifests=2)
    assert await had(index, ALPINE, [1, 2, 3, 4]) == {2, 4}
    assert await served(index, ALPINE, [10, 11, 12]) == {11, 12}


async def test_a_tag_whose_manifest_another_tag_refers_to_leaves_it(index: Index) -> None:
    await save_latest(index)
    await index.save(ALPINE, AMD, [layer(10), layer(12)], "amd64", now=1)

    assert await index.purge("group", ALPINE.repository, "amd64") == Purged(images=0, tags=1, manifests=0)
    assert await had(index, ALPINE, [1, 2, 3]) == {1, 2, 3}


async def test_purging_a_tag_leaves_other_images_and_grants_alone(index: Index) -> None:
    await save_latest(index)
    await index.save(OTHER_ALPINE, BOTH, [child(AMD), child(ARM)], "latest", now=1)
    await index.grant_blob(ALPINE, digest(10), 1000)

    await index.purge("group", ALPINE.repository, "latest")

    assert await had(index, OTHER_ALPINE, [1, 2, 3]) == {1, 2, 3}
    assert await served(index, OTHER_ALPINE, [10, 11, 12]) == {10, 11, 12}
    assert await served(index, ALPINE, [10, 11, 12]) == {10}


async def test_every_purge_makes_workers_forget_even_of_what_was_not_there(index: Index) -> None:
    await index.save(ALPINE, AMD, [], "latest", now=1)
    generations = [await index.generation()]
    for repository, tag in ((ALPINE.repository, "latest"), (ALPINE.repository, None), (None, None), (None, None)):
        await index.purge("group", repository, tag)
        generations.append(await index.generation())

    assert generations == sorted(set(generations))
    assert await index.purge("none", ALPINE.repository, "x") == Purged(images=0, tags=0, manifests=0)


async def test_a_tag_of_no_image_is_not_a_way_to_purge_a_group(index: Index) -> None:
    await index.save(ALPINE, AMD, [], "latest", now=1)
    before = await index.generation()

    with pytest.raises(ValueError, match="repository"):
        await index.purge("group", None, "latest")

    assert await index.tagged(ALPINE, "latest") is not None
    assert await index.generation() == before


async def test_what_was_purged_can_be_saved_again(index: Index) -> None:
    await save_latest(index)
    await index.purge("group")

    await save_latest(index)

    assert await had(index, ALPINE, [1, 2, 3]) == {1, 2, 3}
    assert await served(index, ALPINE, [10, 11, 12]) == {10, 11, 12}
