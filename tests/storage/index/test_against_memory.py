"""Whatever is done, in whatever order: the index answers as a few dictionaries in memory do."""

import asyncio
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from proxy_core.reference import Image, Repository
from proxy_core.storage.index.migrate import migrate
from proxy_core.storage.index.model import Descriptor, Kind
from proxy_core.storage.index.sql import open_index

from .samples import child, digest, everything, had, layer, manifest, served

pytestmark = pytest.mark.timeout(300)  # when it fails, a short example is looked for

HUB, QUAY = Repository("docker.io", "library/alpine"), Repository("quay.io", "library/alpine")
IMAGES = (Image("one", HUB), Image("one", QUAY), Image("one/below", HUB))
GROUPS = ("one", "one/below")
TAGS = ("latest", "3")
#: Manifests and what they refer to: 1 to 3 are for a platform, 4 and 5 indexes that share one, 6 an index of an index.
REFERENCES: Final[dict[int, tuple[Descriptor, ...]]] = {
    1: (layer(11), layer(10)),
    2: (layer(12), layer(10)),
    3: (layer(13), layer(12), layer(10)),
    4: (child(manifest(1)), child(manifest(2))),
    5: (child(manifest(2)), child(manifest(3))),
    6: (child(manifest(4)), layer(14)),
}
BLOBS = (10, 11, 12, 13, 14, 15)

images = st.sampled_from(IMAGES)
numbers = st.sampled_from(sorted(REFERENCES))
tags = st.sampled_from(TAGS)
blobs = st.sampled_from(BLOBS)
Saves = list[tuple[Image, int, str | None]]
SAVES = st.lists(st.tuples(images, numbers, st.none() | tags), min_size=1, max_size=6)


@dataclass
class Memory:
    """What the index should know, the plain way: rights are worked out anew whenever they are asked for."""

    known: set[int] = field(default_factory=set)
    saved: set[tuple[Image, int]] = field(default_factory=set)
    tags: dict[tuple[Image, str], int] = field(default_factory=dict)
    grants: set[tuple[Image, int]] = field(default_factory=set)
    stored: dict[int, float] = field(default_factory=dict)  # last read

    def below(self, roots: set[int]) -> set[int]:
        """The roots and all known manifests under them."""
        found: set[int] = set()
        todo = roots & self.known
        while todo:
            found |= todo
            todo = {number for root in todo for number in named(root, Kind.MANIFEST)} & self.known - found
        return found

    def manifests(self, image: Image) -> set[int]:
        return self.below({number for holder, number in self.saved if holder == image})

    def blobs(self, image: Image) -> set[int]:
        granted = {number for holder, number in self.grants if holder == image}
        return granted | {blob for number in self.manifests(image) for blob in named(number, Kind.BLOB)}

    def free(self, before: float) -> set[int]:
        """The stored blobs that nothing refers to and that nobody has read since."""
        referenced = {blob for number in self.known for blob in named(number, Kind.BLOB)}
        referenced |= {number for _, number in self.grants}
        return {number for number, read in self.stored.items() if read < before} - referenced

    def purge_tag(self, image: Image, tag: str) -> None:
        if (purged := self.tags.pop((image, tag), None)) is None:
            return
        tree = self.below({purged})
        others = self.manifests(image) - tree | {number for (holder, _), number in self.tags.items() if holder == image}
        self.saved -= {(image, number) for number in tree - self.below(others)}

    def purge_images(self, purged: set[Image]) -> None:
        self.saved = {key for key in self.saved if key[0] not in purged}
        self.grants = {key for key in self.grants if key[0] not in purged}
        self.tags = {key: number for key, number in self.tags.items() if key[0] not in purged}


def named(number: int, kind: Kind) -> set[int]:
    """What a manifest refers to."""
    return {int(reference.digest.hex, 16) for reference in REFERENCES[number] if reference.kind == kind}


class IndexAgainstMemory(RuleBasedStateMachine):
    """Does to an index and to a :class:`Memory` the same."""

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.runner = asyncio.Runner()
        self.memory = Memory()
        self.now = 0.0
        self.generation = 0
        migrate(Path(self.folder.name))
        self.index = self.runner.run(open_index(Path(self.folder.name)))

    def teardown(self) -> None:
        self.runner.run(self.index.close())
        self.runner.close()
        self.folder.cleanup()

    @rule(saves=SAVES)
    def save_some(self, saves: Saves) -> None:
        for image, number, tag in saves:
            self.save(image, number, tag)

    @rule(image=images, tag=tags)
    def forget(self, image: Image, tag: str) -> None:
        self.runner.run(self.index.forget(image, tag))
        if self.memory.tags.pop((image, tag), None) is not None:
            self.something_was_removed()

    @rule(image=images, number=blobs)
    def grant(self, image: Image, number: int) -> None:
        self.runner.run(self.index.grant_blob(image, digest(number), 1000))
        self.memory.grants.add((image, number))

    @rule(added=st.sets(blobs), dropped=st.sets(blobs, max_size=2))
    def store(self, added: set[int], dropped: set[int]) -> None:
        self.now += 1
        for number in added:
            self.runner.run(self.index.add_blob(digest(number), 1000, self.now))
            self.memory.stored[number] = self.now
        for number in dropped:
            self.runner.run(self.index.drop_blob(digest(number)))
            self.memory.stored.pop(number, None)

    @rule(image=images, tag=tags, number=numbers, blob=blobs)
    def confirm_and_touch(self, image: Image, tag: str, number: int, blob: int) -> None:
        self.now += 1
        confirmed = self.runner.run(self.index.confirm(image, tag, digest(number), self.now))
        assert confirmed == (self.memory.tags.get((image, tag)) == number)
        self.runner.run(self.index.touch([(image, digest(number))], [digest(blob)], self.now))
        if blob in self.memory.stored:
            self.memory.stored[blob] = self.now

    @precondition(lambda self: self.memory.tags)
    @rule(data=st.data())
    def purge_tag(self, data: st.DataObject) -> None:
        image, tag = data.draw(st.sampled_from(list(self.memory.tags)))
        self.runner.run(self.index.purge(image.group, image.repository, tag))
        self.memory.purge_tag(image, tag)
        self.something_was_removed()

    @rule(purged=images | st.sampled_from(GROUPS))
    def purge_more(self, purged: Image | str) -> None:
        if isinstance(purged, Image):
            self.runner.run(self.index.purge(purged.group, purged.repository))
            self.memory.purge_images({purged})
        else:
            self.runner.run(self.index.purge(purged))
            self.memory.purge_images({image for image in IMAGES if image.group == purged})
        self.something_was_removed()

    @rule(limit=st.integers(1, 7))
    def drop_unreferenced(self, limit: int) -> None:
        before = self.known()
        dropped = self.runner.run(self.index.drop_unreferenced_manifests(limit))
        gone = before - self.known()
        orphans = self.memory.known - {number for image in IMAGES for number in self.memory.manifests(image)}
        assert gone <= orphans
        assert len(gone) == dropped == min(limit, len(orphans))
        self.memory.known -= gone
        if gone:
            self.something_was_removed()

    @rule()
    def restart(self) -> None:
        self.runner.run(self.index.close())
        self.index = self.runner.run(open_index(Path(self.folder.name)))

    @invariant()
    def answers_are_those_of_memory(self) -> None:
        self.runner.run(self._answers_are_those_of_memory())

    async def _answers_are_those_of_memory(self) -> None:
        for image in IMAGES:
            assert await had(self.index, image, REFERENCES) == self.memory.manifests(image)
            assert await served(self.index, image, BLOBS) == self.memory.blobs(image)
            for tag in TAGS:
                found = await self.index.tagged(image, tag)
                assert self.memory.tags.get((image, tag)) == (found and int(found.manifest.digest.hex, 16))
        with_tag = [(str(image), tag, number) for (image, tag), number in self.memory.tags.items()]
        untagged = self.memory.saved - {(image, number) for (image, _), number in self.memory.tags.items()}
        without = [(str(image), None, number) for image, number in untagged]
        assert sorted(await everything(self.index), key=str) == sorted([*with_tag, *without], key=str)
        stored = [(digest(number), 1000) for number in sorted(self.memory.stored)]
        assert (await self.index.blobs(), await self.index.stored_bytes()) == (stored, 1000 * len(stored))
        for before in (self.now, self.now + 1):
            collectable = await self.index.collectable(before, 100)
            assert {int(blob.hex, 16) for blob in collectable} == self.memory.free(before)

    def save(self, image: Image, number: int, tag: str | None) -> None:
        self.now += 1
        self.runner.run(self.index.save(image, manifest(number), REFERENCES[number], tag, self.now))
        self.memory.known.add(number)
        self.memory.saved.add((image, number))
        if tag is not None:
            self.memory.tags[image, tag] = number

    def something_was_removed(self) -> None:
        generation = self.runner.run(self.index.generation())
        assert generation > self.generation
        self.generation = generation

    def known(self) -> set[int]:
        return {number for number in REFERENCES if self.runner.run(self.index.known(digest(number))) is not None}


IndexAgainstMemory.TestCase.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestIndexAgainstMemory = IndexAgainstMemory.TestCase
