"""Blob store, spool and index together: whatever was done, in whatever order, by two processes beside each other, with
crashes in between, nothing is served that has a hole, nothing that is needed is removed, and `verify` makes all agree.
"""

import asyncio
import atexit
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import cache
from itertools import combinations
from pathlib import Path

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from proxy_core.cache import upkeep
from proxy_core.reference import Digest, Image, Repository
from proxy_core.storage.blobs.filesystem import FileBlob
from proxy_core.storage.blobs.spool import Partial
from proxy_core.storage.folder import Folder
from proxy_core.storage.index.migrate import migrate
from proxy_core.storage.index.model import Descriptor, Kind, Manifest
from proxy_core.storage.index.sql import SqlIndex, open_index
from proxy_core.storage.locks import Lock
from tests.storage.blobs.conformance import digest_of

CONTENTS = {digest_of(content): content for content in (b"", b"layer" * 1000, bytes(range(256)) * 300)}
DIGESTS = list(CONTENTS)
#: Manifests that refer to two blobs each, so that each blob is in several.
MANIFESTS = {Digest("sha256", f"{number:064x}"): pair for number, pair in enumerate(combinations(DIGESTS, 2), start=1)}
IMAGES = [
    Image("a", Repository("docker.io", "x")),
    Image("b", Repository("docker.io", "x")),
    Image("a", Repository("quay.io", "y")),
]

blobs = st.sampled_from(DIGESTS)
images = st.sampled_from(IMAGES)
manifests = st.sampled_from(list(MANIFESTS))
tags = st.sampled_from(["latest", "3"])
processes = st.sampled_from([0, 1])


@dataclass
class Process:
    """What one process has open on the storage folder."""

    folder: Folder
    index: SqlIndex
    fills: dict[Digest, tuple[Lock, Partial]] = field(default_factory=dict)
    readers: list[tuple[Digest, FileBlob, int]] = field(default_factory=list)  # with the inode that they read

    def lose(self) -> None:
        """What the kernel does for a process that died: locks are free, files are closed, bytes stay."""
        for lock, partial in self.fills.values():
            partial.close()
            lock.release()
        for _, blob, _ in self.readers:
            blob.close()
        self.fills.clear()
        self.readers.clear()


@cache
def empty_storage() -> Path:
    """A prepared folder to copy: to migrate anew for each example would take most of the time."""
    directory = Path(tempfile.mkdtemp(prefix="together-"))
    atexit.register(shutil.rmtree, directory)
    Folder(directory).prepare()
    migrate(directory)
    return directory


class Storage(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.directory = Path(tempfile.mkdtemp(prefix="together-"))
        shutil.copytree(empty_storage(), self.directory, dirs_exist_ok=True)
        self.processes = [self.start(), self.start()]
        self.whole: set[Digest] = set()  # in the store, and right
        self.spoilt: set[Digest] = set()  # in the store, and not right
        self.noted: set[Digest] = set()  # in the index
        self.held: dict[Image, dict[Digest, set[str]]] = {image: {} for image in IMAGES}  # manifests, with their tags

    def start(self) -> Process:
        return Process(Folder(self.directory), self.runner.run(open_index(self.directory)))

    def teardown(self) -> None:
        for process in self.processes:
            process.lose()
            self.runner.run(process.index.close())
        self.runner.close()
        shutil.rmtree(self.directory)

    @property
    def needed(self) -> set[Digest]:
        return {blob for held in self.held.values() for manifest in held for blob in MANIFESTS[manifest]}

    @property
    def filling(self) -> set[Digest]:
        return {digest for process in self.processes for digest in process.fills}

    @property
    def read(self) -> set[Digest]:
        return {digest for process in self.processes for digest, _, _ in process.readers}

    @property
    def inodes_read(self) -> set[int]:
        return {inode for process in self.processes for _, _, inode in process.readers}

    def inode(self, digest: Digest) -> int:
        """Of the file that is in the store now: readers may have one open that was there before."""
        return self.processes[0].folder.blobs.path(digest).stat().st_ino

    # -- filling

    @initialize(put=st.sets(blobs, min_size=1))
    def fill_some(self, put: set[Digest]) -> None:
        for digest in put:
            self.pull(0, digest)

    @rule(by=processes, digest=blobs, share=st.floats(0, 1))
    def fill(self, by: int, digest: Digest, share: float) -> None:
        """Begin to fill, or go on; one process at a time."""
        process, content = self.processes[by], CONTENTS[digest]
        if digest not in process.fills:
            lock = process.folder.spool.lead(digest)
            assert (lock is None) == (digest in self.filling)
            if lock is None:
                return
            partial = process.folder.spool.resume(digest) or process.folder.spool.create(digest, len(content))
            process.fills[digest] = lock, partial
        _, partial = process.fills[digest]
        size = partial.look().size
        more = content[size : size + round(share * len(content))]
        if not partial.look().sealed:
            os.pwrite(partial.fd, more, size)

    @rule(by=processes, digest=blobs, died_before=st.sampled_from(["", "the index knew", "it was renamed"]))
    def finish(self, by: int, digest: Digest, died_before: str) -> None:
        """Seal and adopt; or die in between: then whoever comes next finds a sealed partial, or a blob."""
        process, content = self.processes[by], CONTENTS[digest]
        if digest not in process.fills:
            return
        lock, partial = process.fills.pop(digest)
        size = partial.look().size
        os.pwrite(partial.fd, content[size:], size)
        partial.seal()
        if died_before != "it was renamed":
            self.runner.run(process.folder.blobs.adopt(digest, process.folder.spool.path(digest)))
            process.folder.spool.committed(digest)
            self.whole.add(digest)
            self.spoilt.discard(digest)
            if not died_before:
                self.runner.run(process.index.add_blob(digest, len(content), 1.0))
                self.noted.add(digest)
        partial.close()
        lock.release()

    @rule(by=processes, digest=blobs)
    def pull(self, by: int, digest: Digest) -> None:
        self.fill(by, digest, 1.0)
        self.finish(by, digest, "")

    @rule(by=processes)
    def crash(self, by: int) -> None:
        process = self.processes[by]
        process.lose()
        self.runner.run(process.index.close())
        self.processes[by] = self.start()

    # -- reading

    @rule(by=processes, digest=blobs)
    def open(self, by: int, digest: Digest) -> None:
        """Given out is what is right; what is not is removed, so that it is fetched anew."""
        blob = self.runner.run(self.processes[by].folder.blobs.open(digest))
        assert (blob is not None) == (digest in self.whole)
        self.spoilt.discard(digest)
        if blob is not None:
            self.processes[by].readers.append((digest, blob, self.inode(digest)))

    @rule()
    def all_leave(self) -> None:
        for process in self.processes:
            for _, blob, _ in process.readers:
                blob.close()
            process.readers.clear()

    # -- what happens beneath

    @rule(digest=blobs, whole=st.booleans())
    def lose_file(self, digest: Digest, whole: bool) -> None:
        """A file is removed, or another one, which is not right, is in its place."""
        if digest not in self.whole:
            return
        path = self.processes[0].folder.blobs.path(digest)
        path.unlink()
        self.whole.discard(digest)
        if not whole:
            path.write_bytes(CONTENTS[digest] + b"x")
            self.spoilt.add(digest)

    # -- rights

    @rule(by=processes, image=images, manifest=manifests, tag=tags | st.none())
    def save(self, by: int, image: Image, manifest: Digest, tag: str | None) -> None:
        references = [Descriptor(blob, Kind.BLOB, len(CONTENTS[blob])) for blob in MANIFESTS[manifest]]
        saved = Manifest(manifest, "application/vnd.oci.image.manifest.v1+json", b"{}")
        self.runner.run(self.processes[by].index.save(image, saved, references, tag, 1.0))
        if tag is not None:
            for named in self.held[image].values():
                named.discard(tag)
        self.held[image].setdefault(manifest, set()).update({tag} if tag else ())

    @rule(by=processes, image=images, tag=tags)
    def purge_tag(self, by: int, image: Image, tag: str) -> None:
        self.runner.run(self.processes[by].index.purge(image.group, image.repository, tag))
        for manifest, named in list(self.held[image].items()):
            if tag in named:
                named.discard(tag)
                if not named:
                    del self.held[image][manifest]

    @rule(by=processes, image=images, group=st.booleans())
    def purge(self, by: int, image: Image, group: bool) -> None:
        self.runner.run(self.processes[by].index.purge(image.group, None if group else image.repository))
        for other in IMAGES:
            if other == image or (group and other.group == image.group):
                self.held[other].clear()

    # -- upkeep

    @rule(by=processes, first=st.none() | blobs)
    def collect(self, by: int, first: Digest | None) -> None:
        """Removes what nothing refers to, and nothing that is needed, read or filled."""
        if first is not None:
            self.open(1 - by, first)
        there = self.whole | self.spoilt
        free = (there | self.noted) - self.needed - self.filling
        removed = free - {digest for digest in free & self.read & there if self.inode(digest) in self.inodes_read}
        process = self.processes[by]
        findings = self.runner.run(_gather(upkeep.collect(process.folder, process.index)))
        assert {finding.digest for finding in findings} == removed
        self.noted = (self.noted | there) - removed
        self.whole -= removed
        self.spoilt -= removed

    @rule(by=processes)
    def verify(self, by: int) -> None:
        """Finds all that is wrong, and then store and index agree."""
        process = self.processes[by]
        findings = self.runner.run(_gather(upkeep.verify(process.folder, process.index)))
        assert {finding.digest for finding in findings} == self.spoilt | (self.noted ^ self.whole)
        self.spoilt.clear()
        self.noted = set(self.whole)

    # -- what is true after each of these

    @invariant()
    def readers_read_on(self) -> None:
        self.runner.run(self.check_readers())

    @invariant()
    def store_and_index_have_what_they_were_given(self) -> None:
        self.runner.run(self.check_what_is_there())

    @invariant()
    def images_have_a_claim_to_the_blobs_of_their_manifests_alone(self) -> None:
        self.runner.run(self.check_claims())

    async def check_readers(self) -> None:
        for process in self.processes:
            for digest, blob, _ in process.readers:
                assert await blob.read(0, blob.size + 1) == CONTENTS[digest]

    async def check_what_is_there(self) -> None:
        one, other = self.processes
        assert {digest async for digest, _, _ in one.folder.blobs.digests()} == self.whole | self.spoilt
        known = dict(await other.index.blobs())
        assert set(known) == self.noted
        assert await one.index.stored_bytes() == sum(known.values())

    async def check_claims(self) -> None:
        index = self.processes[1].index
        for image, held in self.held.items():
            claimed = {digest for digest in DIGESTS if await index.blob_size(image, digest) is not None}
            assert claimed == {blob for manifest in held for blob in MANIFESTS[manifest]}


async def _gather(findings: AsyncIterator[upkeep.Finding]) -> list[upkeep.Finding]:
    return [finding async for finding in findings]


TestStorage = Storage.TestCase
TestStorage.settings = settings(
    max_examples=20, stateful_step_count=40, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate]
)
