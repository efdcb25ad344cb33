"""What ``cache list`` shows, for any index."""

from proxy_core.storage.index.model import Entry, Index

from .samples import ALPINE, BUSYBOX, IMAGES, OTHER_ALPINE, child, digest, everything, layer, manifest

AMD, ARM, BOTH, NEXT = manifest(1, size=10), manifest(2, size=10), manifest(3, size=10), manifest(4, size=10)


async def test_an_entry_tells_what_is_cached_since_when_and_how_much(index: Index) -> None:
    await index.save(ALPINE, AMD, [layer(10, 500), layer(11, 70)], "latest", now=1)
    await index.add_blob(digest(10), 500, now=1)
    await index.confirm(ALPINE, "latest", AMD.digest, now=2)
    await index.touch([(ALPINE, AMD.digest)], [], now=3)

    assert await index.entries() == (
        [
            Entry(
                image=ALPINE,
                tag="latest",
                digest=AMD.digest,
                media_type=AMD.media_type,
                size=510,  # the second layer is not here
                cached_at=1,
                confirmed_at=2,
                last_read=3,
            )
        ],
        0,
    )


async def test_an_index_counts_the_blobs_of_its_cached_children_each_once(index: Index) -> None:
    await index.save(ALPINE, BOTH, [child(AMD), child(ARM), child(NEXT)], "latest", now=1)
    await index.save(ALPINE, AMD, [layer(10, 500), layer(12, 1)], "amd64", now=1)
    await index.save(OTHER_ALPINE, ARM, [layer(11, 70), layer(12, 1)], "arm64", now=1)
    for number, size in ((10, 500), (11, 70), (12, 1)):
        await index.add_blob(digest(number), size, now=1)

    entries, _ = await index.entries("group")

    assert {entry.tag: entry.size for entry in entries} == {"latest": 581, "amd64": 511}


async def test_a_manifest_without_a_tag_has_its_own_line(index: Index) -> None:
    await index.save(ALPINE, AMD, [], "latest", now=1)
    await index.save(ALPINE, NEXT, [], "latest", now=2)

    assert sorted(await everything(index), key=str) == [
        ("group: docker.io/library/alpine", "latest", 4),
        ("group: docker.io/library/alpine", None, 1),
    ]


async def test_a_child_that_the_image_never_asked_for_has_no_line(index: Index) -> None:
    await index.save(ALPINE, AMD, [], None, now=1)
    await index.save(OTHER_ALPINE, BOTH, [child(AMD)], "latest", now=1)

    entries, _ = await index.entries("other")

    assert [entry.tag for entry in entries] == ["latest"]


async def test_entries_of_a_group_are_not_those_of_its_subgroups(index: Index) -> None:
    for image in IMAGES:
        await index.save(image, AMD, [], "latest", now=1)

    entries, _ = await index.entries("group")

    assert {entry.image for entry in entries} == {ALPINE, BUSYBOX}
    assert await index.entries("absent") == ([], 0)


async def test_pages_of_every_size_show_each_entry_once_in_one_order(index: Index) -> None:
    for number in range(1, 12):
        await index.save(IMAGES[number % 4], manifest(number), [], f"v{number}" if number % 3 else None, now=1)
    await index.save(ALPINE, manifest(4), [], "another", now=1)
    whole = await everything(index)

    assert len(whole) == len(set(whole)) == 12
    for limit in range(1, 14):
        assert await everything(index, limit) == whole


async def test_pages_neither_repeat_nor_skip_while_others_write(index: Index) -> None:
    for number in range(1, 9):
        await index.save(ALPINE, manifest(number), [], f"v{number}", now=1)
    whole = await everything(index)

    first, after = await index.entries(limit=4)
    await index.purge("group", ALPINE.repository, first[1].tag)
    await index.save(ALPINE, manifest(20), [], first[2].tag, now=2)
    await index.save(BUSYBOX, manifest(21), [], "new", now=2)
    second, _ = await index.entries(after=after, limit=100)

    stayed = [(str(entry.image), entry.tag, int(entry.digest.hex, 16)) for entry in second]
    assert [entry for entry in stayed if entry in whole] == whole[4:]
