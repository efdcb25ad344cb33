"""Manifests and tags, for any index."""

from proxy_core.storage.index.model import Index, Manifest

from .samples import ALPINE, BUSYBOX, OTHER_ALPINE, child, digest, layer, manifest

LATEST, NEXT = manifest(1), manifest(2)


async def test_a_tag_is_the_manifest_that_was_saved_byte_for_byte(index: Index) -> None:
    saved = Manifest(digest(1), "application/vnd.docker.distribution.manifest.v2+json", b'{"\x00\xff": 1}\r\n')

    await index.save(ALPINE, saved, [layer(10)], "latest", now=50.5)

    found = await index.tagged(ALPINE, "latest")
    assert found is not None
    assert found.manifest == saved
    assert found.confirmed_at == 50.5
    assert await index.manifest(ALPINE, saved.digest) == saved


async def test_a_manifest_of_the_largest_size_is_kept(index: Index) -> None:
    largest = manifest(7, size=10 * 2**20)

    await index.save(ALPINE, largest, [], None, now=1)

    assert await index.manifest(ALPINE, largest.digest) == largest


async def test_what_was_never_saved_is_not_there(index: Index) -> None:
    await index.save(ALPINE, LATEST, [], "latest", now=1)

    assert await index.tagged(ALPINE, "3.20") is None
    assert await index.tagged(BUSYBOX, "latest") is None
    assert await index.manifest(ALPINE, NEXT.digest) is None
    assert await index.known(NEXT.digest) is None


async def test_a_manifest_is_known_to_all_and_had_by_one(index: Index) -> None:
    await index.save(ALPINE, LATEST, [], "latest", now=1)

    assert await index.known(LATEST.digest) == LATEST
    assert await index.manifest(BUSYBOX, LATEST.digest) is None
    assert await index.manifest(OTHER_ALPINE, LATEST.digest) is None


async def test_saving_again_changes_nothing_but_the_time(index: Index) -> None:
    for now in (1.0, 2.0):
        await index.save(ALPINE, LATEST, [layer(10), layer(10)], "latest", now)

    found = await index.tagged(ALPINE, "latest")
    assert found is not None
    assert found.confirmed_at == 2
    (entry,), _ = await index.entries()
    assert (entry.cached_at, entry.last_read) == (1, 2)


async def test_a_tag_moves_and_the_old_manifest_stays_for_who_asks_by_digest(index: Index) -> None:
    await index.save(ALPINE, LATEST, [], "latest", now=1)
    await index.save(ALPINE, NEXT, [], "latest", now=2)

    found = await index.tagged(ALPINE, "latest")
    assert found is not None
    assert found.manifest == NEXT
    assert await index.manifest(ALPINE, LATEST.digest) == LATEST


async def test_a_tag_is_confirmed_only_as_what_it_is(index: Index) -> None:
    await index.save(ALPINE, LATEST, [], "latest", now=1)

    assert await index.confirm(ALPINE, "latest", LATEST.digest, now=5)
    assert not await index.confirm(ALPINE, "latest", NEXT.digest, now=6)
    assert not await index.confirm(BUSYBOX, "latest", LATEST.digest, now=7)

    found = await index.tagged(ALPINE, "latest")
    assert found is not None
    assert found.confirmed_at == 5


async def test_a_forgotten_tag_is_gone_and_its_manifest_stays(index: Index) -> None:
    await index.save(ALPINE, LATEST, [layer(10)], "latest", now=1)
    before = await index.generation()

    await index.forget(ALPINE, "latest")

    assert await index.tagged(ALPINE, "latest") is None
    assert await index.manifest(ALPINE, LATEST.digest) == LATEST
    assert await index.blob_size(ALPINE, digest(10)) == 1000
    assert await index.generation() > before


async def test_forgetting_what_is_not_there_disturbs_nobody(index: Index) -> None:
    before = await index.generation()

    await index.forget(ALPINE, "latest")

    assert await index.generation() == before


async def test_saving_and_confirming_do_not_make_workers_forget(index: Index) -> None:
    before = await index.generation()

    await index.save(ALPINE, LATEST, [layer(10)], "latest", now=1)
    await index.save(ALPINE, NEXT, [child(LATEST)], "latest", now=2)
    await index.confirm(ALPINE, "latest", NEXT.digest, now=3)
    await index.touch([(ALPINE, NEXT.digest)], [], now=4)

    assert await index.generation() == before


async def test_tags_and_paths_are_told_apart_by_every_letter(index: Index) -> None:
    await index.save(ALPINE, LATEST, [], "v1", now=1)
    await index.save(ALPINE, NEXT, [], "V1", now=1)

    found = await index.tagged(ALPINE, "V1")
    assert found is not None
    assert found.manifest == NEXT
    assert await index.tagged(ALPINE, "v%") is None
