"""Section "Error Codes", and what a registry without push and deletion answers to them."""

import httpx2
import pytest

from tests.conformance.conftest import REPOSITORY, Samples, blob, manifest, referrers, tags
from tests.rig.proxy import Client, path_of

CODES = {
    "BLOB_UNKNOWN",
    "DENIED",
    "DIGEST_INVALID",
    "MANIFEST_INVALID",
    "MANIFEST_UNKNOWN",
    "NAME_INVALID",
    "NAME_UNKNOWN",
    "SIZE_INVALID",
    "TOOMANYREQUESTS",
    "UNAUTHORIZED",
    "UNSUPPORTED",
}

NO_DIGEST = "sha256:" + "0" * 64


def code_of(answer: httpx2.Response) -> str:
    """The code of a body that has the form the specification lays down."""
    assert answer.headers["Content-Type"].startswith("application/json")
    (error,) = answer.json()["errors"]
    assert error["message"]
    assert error["code"] in CODES
    return str(error["code"])


@pytest.mark.parametrize(
    ("path", "status", "codes"),
    [
        (manifest("no-such-tag"), 404, {"MANIFEST_UNKNOWN"}),
        (manifest(NO_DIGEST), 404, {"MANIFEST_UNKNOWN"}),
        (manifest("latest", "conformance/none"), 404, {"NAME_UNKNOWN", "MANIFEST_UNKNOWN"}),
        (blob(NO_DIGEST), 404, {"BLOB_UNKNOWN"}),
        (tags("conformance/none"), 404, {"NAME_UNKNOWN"}),
        (manifest("sha256:abc"), 400, {"DIGEST_INVALID"}),
        (blob("sha256:abc"), 400, {"DIGEST_INVALID"}),
        (blob("md5:d41d8cd98f00b204e9800998ecf8427e"), 400, {"DIGEST_INVALID"}),
        (referrers("sha256:abc"), 400, {"DIGEST_INVALID"}),
        (manifest("a" * 129), 400, {"NAME_INVALID"}),
        (manifest("-tag"), 400, {"NAME_INVALID"}),
        (manifest("latest", "Conformance/Repo"), 400, {"NAME_INVALID"}),
        (manifest("latest", "team/a..b"), 400, {"NAME_INVALID"}),
    ],
)
def test_the_body_names_the_cause(client: Client, path: str, status: int, codes: set[str]) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert code_of(answer) in codes


def test_no_credential(client: Client) -> None:
    answer = client.http.get(manifest("latest"))
    assert answer.status_code == 401
    assert code_of(answer) == "UNAUTHORIZED"
    challenge = answer.headers["WWW-Authenticate"]
    assert 'service="dependency_proxy"' in challenge
    assert "/jwt/auth" in challenge


def test_a_false_token(client: Client) -> None:
    """RFC 6750, 3.1: the challenge says so. Without it BuildKit shows a token that has ended again and again."""
    answer = client.get(manifest("latest"), token="false")
    assert answer.status_code == 401
    assert code_of(answer) == "UNAUTHORIZED"
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def test_a_group_that_is_not_served(client: Client) -> None:
    answer = client.get(path_of(REPOSITORY, "latest", group="other"))
    assert answer.status_code in (403, 404)
    assert code_of(answer) in ("DENIED", "NAME_UNKNOWN")


def test_a_range_beyond_the_end(client: Client, samples: Samples) -> None:
    answer = client.get(blob(samples.blob.digest), headers={"Range": "bytes=5000-"})
    assert answer.status_code == 416
    assert code_of(answer) == "SIZE_INVALID"


UPLOADS = path_of(REPOSITORY, "", what="blobs") + "uploads/"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", UPLOADS),  # end-4: a push begins
        ("PATCH", UPLOADS + "some-session"),  # end-5
        ("PUT", UPLOADS + "some-session"),  # end-6
        ("PUT", manifest("latest")),  # end-7
        ("DELETE", manifest("latest")),  # end-9
        ("DELETE", manifest(NO_DIGEST)),
        ("DELETE", blob(NO_DIGEST)),  # end-10
    ],
)
def test_push_and_deletion_are_refused(client: Client, method: str, path: str) -> None:
    answer = client.request(method, path)
    assert answer.status_code == 405
    assert code_of(answer) == "UNSUPPORTED"
    assert {part.strip() for part in answer.headers["Allow"].split(",")} == {"GET", "HEAD"}
