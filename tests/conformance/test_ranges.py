"""Section "Pulling blobs", the part about Range, which is RFC 9110's section 14.

The specification's own suite leaves these out for a registry without push.
"""

import pytest

from tests.conformance.conftest import Samples, blob
from tests.rig.proxy import Client

SIZE = 3000


@pytest.fixture(params=["sha256", "sha512"])
def path(request: pytest.FixtureRequest, samples: Samples) -> str:
    return blob(samples.blob.digest if request.param == "sha256" else samples.blob_512.digest)


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=500-1499", 500, 1499),
        ("bytes=500-", 500, 2999),
        ("bytes=-500", 2500, 2999),
        ("bytes=2000-5000", 2000, 2999),
        ("bytes=0-0", 0, 0),
        ("bytes=2999-2999", 2999, 2999),
        ("bytes=-5000", 0, 2999),
    ],
)
def test_a_part(client: Client, path: str, asked: str, first: int, last: int) -> None:
    whole = client.get(path).content
    answer = client.get(path, headers={"Range": asked})
    assert answer.status_code == 206
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{SIZE}"
    assert answer.headers["Content-Length"] == str(last - first + 1)
    assert answer.content == whole[first : last + 1]


@pytest.mark.parametrize("asked", ["bytes=5000-10000", "bytes=3000-", "bytes=-0"])
def test_nothing_of_it_is_there(client: Client, path: str, asked: str) -> None:
    answer = client.get(path, headers={"Range": asked})
    assert answer.status_code == 416
    assert answer.headers["Content-Range"] == f"bytes */{SIZE}"


def test_an_end_before_its_start(client: Client, path: str) -> None:
    """RFC 9110 calls it invalid, to be ignored (200); the specification's suite wants 416."""
    assert client.get(path, headers={"Range": "bytes=500-0"}).status_code == 416


@pytest.mark.parametrize("asked", ["lines=1-2", "bytes", "bytes=a-b"])
def test_what_is_no_range_is_ignored(client: Client, path: str, asked: str) -> None:
    """RFC 9110, 14.2: an unknown unit or a malformed value is as if it were not there."""
    answer = client.get(path, headers={"Range": asked})
    assert answer.status_code == 200
    assert len(answer.content) == SIZE


def test_ranges_are_announced(client: Client, path: str) -> None:
    assert client.head(path).headers["Accept-Ranges"] == "bytes"


def test_a_part_of_what_was_never_pulled(client: Client, samples: Samples) -> None:
    """A cold pull may begin in the middle: a client that goes on where it broke off."""
    layer = samples.docker.layers[0]
    answer = client.get(blob(layer.digest), headers={"Range": "bytes=10-"})
    assert answer.status_code == 206
    assert answer.content == layer.data[10:]
