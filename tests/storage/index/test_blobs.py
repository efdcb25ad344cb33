"""Blobs in the store, and what may be collected, for any index."""

from proxy_core.storage.index.model import Index

from .samples import ALPINE, OTHER_ALPINE, child, digest, layer, manifest

AMD, BOTH = manifest(1), manifest(2)


async def test_stored_bytes_follow_what_is_added_and_dropped(index: Index) -> None:
    assert await index.stored_bytes() == 0
    await index.add_blob(digest(10), 100, now=1)
    await index.add_blob(digest(11), 20, now=1)
    await index.add_blob(digest(10), 100, now=2)
    assert await index.stored_bytes() == 120

    await index.drop_blob(digest(10))
    await index.drop_blob(digest(10))

    assert await index.stored_bytes() == 20
    assert await index.blobs() == [(digest(11), 20)]


async def test_a_blob_added_with_another_size_is_counted_once(index: Index) -> None:
    await index.add_blob(digest(10), 100, now=1)
    await index.add_blob(digest(10), 30, now=2)

    assert await index.stored_bytes() == 30


async def test_sizes_beyond_32_bits(index: Index) -> None:
    await index.add_blob(digest(10), 2**42, now=1)
    await index.add_blob(digest(11), 2**42, now=1)

    assert await index.stored_bytes() == 2**43


async def test_blobs_come_in_pages_in_the_order_of_their_digests(index: Index) -> None:
    for number in (5, 3, 9, 1, 7):
        await index.add_blob(digest(number), number, now=1)

    first = await index.blobs(limit=2)
    second = await index.blobs(after=str(first[-1][0]), limit=2)
    third = await index.blobs(after=str(second[-1][0]), limit=2)

    assert [size for _, size in (*first, *second, *third)] == [1, 3, 5, 7, 9]
    assert await index.blobs(after=str(third[-1][0])) == []


async def test_what_the_index_does_not_know_to_be_in_the_store(index: Index) -> None:
    await index.save(ALPINE, AMD, [layer(4000)], "latest", now=1)
    for number in (1, 2, 700):
        await index.add_blob(digest(number), 1, now=1)

    unknown = await index.unknown([digest(number) for number in range(1, 1500)])

    assert set(unknown) == {digest(number) for number in range(1, 1500)} - {digest(1), digest(2), digest(700)}
    assert await index.unknown([digest(4000)]) == [digest(4000)]
    assert await index.unknown({}) == []


async def test_what_a_manifest_or_a_grant_refers_to_is_never_collectable(index: Index) -> None:
    await index.save(ALPINE, AMD, [layer(10)], "latest", now=1)
    await index.grant_blob(ALPINE, digest(11), 1000)
    for number in (10, 11, 12):
        await index.add_blob(digest(number), 1000, now=1)

    assert await index.collectable(before=1e9, limit=10) == [digest(12)]


async def test_a_blob_is_collectable_once_the_last_image_lost_it(index: Index) -> None:
    await index.add_blob(digest(10), 1000, now=1)
    for image in (ALPINE, OTHER_ALPINE):
        await index.save(image, BOTH, [child(AMD)], "latest", now=1)
    await index.save(ALPINE, AMD, [layer(10)], None, now=1)

    await index.purge("group")
    assert await index.drop_unreferenced_manifests(100) == 0
    assert await index.collectable(before=1e9, limit=10) == []

    await index.purge("other", OTHER_ALPINE.repository, "latest")
    assert await index.drop_unreferenced_manifests(100) == 2
    assert await index.collectable(before=1e9, limit=10) == [digest(10)]


async def test_what_was_added_or_read_lately_is_not_collectable_and_the_longest_unread_comes_first(
    index: Index,
) -> None:
    for number, added in ((10, 30.0), (11, 20.0), (12, 100.0), (13, 10.0), (14, 90.0)):
        await index.add_blob(digest(number), 1, now=added)
    await index.touch([], [digest(13)], now=95)

    assert await index.collectable(before=90, limit=10) == [digest(11), digest(10)]
    assert await index.collectable(before=90, limit=1) == [digest(11)]


async def test_reading_never_makes_a_blob_look_older(index: Index) -> None:
    await index.add_blob(digest(10), 1, now=100)
    await index.touch([], [digest(10)], now=50)

    assert await index.collectable(before=100, limit=10) == []
    assert await index.collectable(before=101, limit=10) == [digest(10)]


async def test_unreferenced_manifests_go_in_portions_and_the_rest_stays(index: Index) -> None:
    for number in range(1, 6):
        await index.save(OTHER_ALPINE, manifest(number), [], f"v{number}", now=1)
    await index.save(ALPINE, manifest(3), [], "latest", now=1)
    await index.purge("other")
    before = await index.generation()

    assert [await index.drop_unreferenced_manifests(3) for _ in range(3)] == [3, 1, 0]

    assert await index.known(digest(3)) == manifest(3)
    assert await index.known(digest(1)) is None
    assert await index.generation() > before


async def test_a_child_that_only_an_index_holds_is_referenced(index: Index) -> None:
    await index.save(OTHER_ALPINE, AMD, [layer(10)], None, now=1)
    await index.save(ALPINE, BOTH, [child(AMD)], "latest", now=1)
    await index.purge("other")

    assert await index.drop_unreferenced_manifests(100) == 0
    assert await index.manifest(ALPINE, AMD.digest) == AMD


async def test_thousands_are_touched_at_once_and_what_has_gone_is_passed_over(index: Index) -> None:
    read = []
    for number in range(50):
        await index.save(ALPINE, manifest(number), [], f"v{number}", now=1)
        await index.add_blob(digest(number), 1, now=1)
        read.append((ALPINE, digest(number)))
    gone = [(OTHER_ALPINE, digest(number)) for number in range(2000)]
    await index.purge("group", ALPINE.repository, "v0")

    await index.touch(read + gone, [digest(number) for number in range(3000)], now=7)

    entries, _ = await index.entries()
    assert {entry.last_read for entry in entries} == {7}
    assert len(entries) == 49
    assert await index.collectable(before=7, limit=10) == []


async def test_touching_nothing_is_nothing(index: Index) -> None:
    await index.touch([], [], now=1)
