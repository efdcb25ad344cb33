"""Listings, pauses and quotas, for any index."""

from proxy_core.storage.index.listings import MOST
from proxy_core.storage.index.model import Index, Listing, Pause, Quota

from .samples import ALPINE, BUSYBOX


async def test_a_listing_is_kept_by_image_and_key_until_the_next_one(index: Index) -> None:
    await index.save_listing(ALPINE, "tags", Listing(b'{"tags": []}', 1.5))
    await index.save_listing(ALPINE, "tags", Listing(b'{"tags": ["3"]}', 2.5))
    await index.save_listing(ALPINE, "referrers/1", Listing(b"{}", 3))

    assert await index.listing(ALPINE, "tags") == Listing(b'{"tags": ["3"]}', 2.5)
    assert await index.listing(ALPINE, "referrers/1") == Listing(b"{}", 3)
    assert await index.listing(ALPINE, "referrers/2") is None
    assert await index.listing(BUSYBOX, "tags") is None


async def test_the_listings_of_an_image_are_bounded(index: Index) -> None:
    await index.save_listing(BUSYBOX, "tags", Listing(b"old", 0))
    for number in range(MOST + 20):
        await index.save_listing(ALPINE, f"referrers/{number}", Listing(b"{}", number))

    there = [number for number in range(MOST + 20) if await index.listing(ALPINE, f"referrers/{number}") is not None]

    assert there == list(range(20, MOST + 20))
    assert await index.listing(BUSYBOX, "tags") is not None


async def test_a_listing_older_than_all_others_is_still_kept_when_saved(index: Index) -> None:
    for number in range(MOST):
        await index.save_listing(ALPINE, f"referrers/{number}", Listing(b"{}", 100 + number))

    await index.save_listing(ALPINE, "tags", Listing(b"[]", 1))

    assert await index.listing(ALPINE, "tags") == Listing(b"[]", 1)


async def test_a_pause_stays_until_it_is_replaced_or_cleared(index: Index) -> None:
    await index.save_pause("docker.io", Pause(100.5, "429 Too Many Requests", 1))
    await index.save_pause("docker.io", Pause(200.5, "it did not answer", 2))

    assert await index.pause("docker.io") == Pause(200.5, "it did not answer", 2)
    assert await index.pause("quay.io") is None

    await index.save_pause("docker.io", None)
    await index.save_pause("quay.io", None)
    assert await index.pause("docker.io") is None


async def test_quotas_are_kept_by_upstream_and_account(index: Index) -> None:
    anonymous = Quota("docker.io", "", 100, 76, 21600, "192.0.2.1", 10)
    robot = Quota("docker.io", "robot", 200, 199, 21600, "d5f6", 11)
    later = Quota("docker.io", "", 100, 75, 21600, "192.0.2.1", 12)

    for quota in (robot, anonymous, later):
        await index.save_quota(quota)

    assert list(await index.quotas()) == [later, robot]
