"""The spool: what a partial file tells those who follow it, and what is left of it after a crash."""

import json
import os
from pathlib import Path

import pytest

from proxy_core.errors import StorageError
from proxy_core.storage.blobs.filesystem import FilesystemBlobs
from proxy_core.storage.blobs.spool import Partial, Spool
from proxy_core.storage.folder import Folder
from tests.storage.blobs.conformance import digest_of, read_all
from tests.storage.processes import Process

CONTENT = bytes(range(256)) * 40
DIGEST = digest_of(CONTENT)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path)
    folder.prepare()
    return folder


@pytest.fixture
def spool(folder: Folder) -> Spool:
    return folder.spool


def grown(spool: Spool, size: int = 1000, total: int | None = len(CONTENT)) -> Partial:
    """A partial with so many bytes, open."""
    partial = spool.create(DIGEST, total)
    os.pwrite(partial.fd, CONTENT[:size], 0)
    return partial


def note(spool: Spool) -> Path:
    return spool.path(DIGEST).with_suffix(".json")


class TestFollowing:
    def test_nothing_to_follow_where_nobody_fills(self, spool: Spool) -> None:
        assert spool.follow(DIGEST) is None
        assert spool.resume(DIGEST) is None

    @pytest.mark.parametrize("total", [len(CONTENT), None])
    def test_a_follower_sees_how_far_it_has_come_and_how_long_it_will_be(self, spool: Spool, total: int | None) -> None:
        partial = grown(spool, 10, total)
        follower = spool.follow(DIGEST)
        assert follower is not None
        assert (follower.total, follower.inode) == (total, partial.inode)
        assert follower.look().size == 10
        os.pwrite(partial.fd, CONTENT[10:700], 10)
        growth = follower.look()
        assert (growth.size, growth.sealed, growth.abandoned) == (700, False, False)
        partial.close()
        follower.close()
        follower.close()

    def test_a_seal_is_seen_by_who_has_the_file_open_also_after_it_became_a_blob(self, folder: Folder) -> None:
        partial = grown(folder.spool, len(CONTENT))
        follower = folder.spool.follow(DIGEST)
        assert follower is not None
        assert not follower.look().sealed
        partial.seal()
        assert follower.look().sealed
        folder.blobs.adopt_now(DIGEST, folder.spool.path(DIGEST))
        folder.spool.committed(DIGEST)
        assert (follower.look().sealed, follower.look().abandoned) == (True, False)
        assert folder.spool.follow(DIGEST) is None
        assert list((folder.directory / "partial").iterdir()) == []
        partial.close()
        follower.close()

    def test_a_partial_that_was_discarded_is_abandoned_to_who_has_it_open(self, spool: Spool) -> None:
        partial = grown(spool)
        spool.discard(DIGEST)
        assert partial.look().abandoned
        assert spool.follow(DIGEST) is None
        spool.discard(DIGEST)
        partial.close()

    def test_a_new_partial_takes_the_place_of_the_old_one(self, spool: Spool) -> None:
        old, new = grown(spool), grown(spool, 5, None)
        assert old.look().abandoned
        follower = spool.follow(DIGEST)
        assert follower is not None
        assert (follower.inode, follower.total) == (new.inode, None)
        for partial in (old, new, follower):
            partial.close()


class TestAfterACrash:
    def test_goes_on_where_the_last_one_stopped(self, spool: Spool) -> None:
        grown(spool, 1000).close()
        resumed = spool.resume(DIGEST)
        assert resumed is not None
        os.pwrite(resumed.fd, CONTENT[1000:], 1000)
        assert spool.path(DIGEST).read_bytes() == CONTENT
        resumed.close()

    @pytest.mark.parametrize(
        "text",
        [
            None,
            "",
            "[]",
            "null",
            '{"total": 5}',
            '{"total": 10240, "inode": 1, "boot": "x"}',
            "\udcff",
        ],
    )
    def test_a_partial_without_a_note_of_this_boot_and_inode_is_not_trusted(
        self, spool: Spool, text: str | None
    ) -> None:
        grown(spool).close()
        if text is None:
            note(spool).unlink()
        else:
            note(spool).write_bytes(text.encode("utf-8", "surrogateescape"))
        assert spool.resume(DIGEST) is None
        assert spool.follow(DIGEST) is None

    def test_nothing_from_before_the_last_boot_is_trusted(self, spool: Spool) -> None:
        """After a power cut a file may have its size and not its bytes."""
        grown(spool).close()
        written = json.loads(note(spool).read_text())
        note(spool).write_text(json.dumps({**written, "boot": "another"}))
        assert spool.resume(DIGEST) is None
        note(spool).write_text(json.dumps(written))
        resumed = spool.resume(DIGEST)
        assert resumed is not None
        resumed.close()

    def test_a_partial_longer_than_it_will_be_is_not_gone_on_with(self, spool: Spool) -> None:
        grown(spool, 1000, total=999).close()
        assert spool.resume(DIGEST) is None

    def test_a_folder_that_takes_no_file_is_said_at_once(self, spool: Spool, tmp_path: Path) -> None:
        (tmp_path / "partial").rmdir()
        (tmp_path / "partial").write_text("in the way")
        with pytest.raises(FileExistsError):
            spool.create(DIGEST, 5)
        with pytest.raises(StorageError, match="can not be written"):
            spool.resume(DIGEST)


class TestCleaning:
    def test_removes_what_nobody_can_go_on_with(self, spool: Spool, tmp_path: Path) -> None:
        grown(spool).close()
        note(spool).unlink()
        orphan = digest_of(b"orphan")
        (tmp_path / "partial" / f"sha256-{orphan.hex}.new").touch()
        (tmp_path / "partial" / "README").touch()
        assert spool.clean() == 2
        assert [path.name for path in (tmp_path / "partial").iterdir()] == ["README"]
        assert spool.clean() == 0

    def test_leaves_what_the_next_pull_goes_on_with(self, spool: Spool) -> None:
        grown(spool).close()
        assert spool.clean() == 0
        assert spool.path(DIGEST).exists()

    def test_removes_what_nobody_went_on_with_for_long(self, spool: Spool) -> None:
        grown(spool).close()
        assert spool.clean(given_up=-1) == 1
        assert spool.size() == 0

    def test_leaves_what_is_being_filled(self, spool: Spool) -> None:
        lock = spool.lead(DIGEST)
        assert lock is not None
        partial = grown(spool)
        note(spool).unlink()
        assert spool.clean(given_up=-1) == 0
        lock.release()
        assert spool.clean(given_up=-1) == 1
        partial.close()

    def test_counts_the_bytes_of_partials(self, spool: Spool) -> None:
        assert spool.size() == 0
        grown(spool, 5000).close()
        assert 5000 <= spool.size() < 6000


async def test_what_a_process_had_filled_when_it_was_killed_is_taken_over(folder: Folder) -> None:
    """The bytes are there, the right to lead is free, and the blob can be finished by whoever comes next."""
    code = f"""
        import os
        from pathlib import Path
        from proxy_core.reference import parse_digest
        from proxy_core.storage.folder import Folder
        spool, digest = Folder(Path({str(folder.directory)!r})).spool, parse_digest({str(DIGEST)!r})
        lock = spool.lead(digest)
        partial = spool.create(digest, {len(CONTENT)})
        os.pwrite(partial.fd, {CONTENT[:3000]!r}, 0)
        say("half")
        wait()
    """
    spool = folder.spool
    with Process(code) as leader:
        assert leader.heard() == "half"
        assert spool.lead(DIGEST) is None
        assert spool.clean() == 0
        follower = spool.follow(DIGEST)
        assert follower is not None
        assert follower.look().size == 3000
        leader.kill()
    lock = spool.lead(DIGEST)
    assert lock is not None
    resumed = spool.resume(DIGEST)
    assert resumed is not None
    assert resumed.inode == follower.inode
    os.pwrite(resumed.fd, CONTENT[3000:], 3000)
    resumed.seal()
    await folder.blobs.adopt(DIGEST, spool.path(DIGEST))
    lock.release()
    blob = await FilesystemBlobs(folder.directory / "blobs").open(DIGEST)
    assert blob is not None
    assert await read_all(blob) == CONTENT
    resumed.close()
    follower.close()
