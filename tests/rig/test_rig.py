"""The rig itself: if it lied, every test that stands on it would."""

import shutil
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import trustme

from tests.rig.challenges import Basic, Bearer
from tests.rig.faults import (
    Body,
    Chunked,
    CloseDelimited,
    CutAt,
    Delay,
    Dribble,
    Drop,
    FalseRange,
    Fault,
    Gate,
    HugeHeaders,
    Lengthened,
    NoRange,
    Redirect,
    RedirectLoop,
    Shortened,
    Silence,
    Status,
    WithHeaders,
    WrongByte,
    large_manifest,
    not_json,
)
from tests.rig.images import (
    OCI_INDEX,
    artifact,
    digest_of,
    fallback_tag,
    image,
    index,
    large_image,
    noise,
    referrers_of,
)
from tests.rig.presence import need
from tests.rig.registries import Registry
from tests.rig.upstream import Upstream, certificate

BLOB = noise(100_000)
PATH = f"/v2/org/app/blobs/{BLOB.digest}"


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as server:
        server.add("org/app", BLOB)
        server.add("org/app", index(), "latest", "1.0", "1.1")
        yield server


@pytest.fixture
def client(upstream: Upstream) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=upstream.url, timeout=5, trust_env=False) as http:
        yield http


def test_the_same_image_has_the_same_digest_every_time() -> None:
    assert index().digest == index().digest
    assert image(algorithm="sha512").digest.startswith("sha512:")
    assert large_image(1000, seed=1).digest != large_image(1000, seed=2).digest


def test_a_sound_upstream_serves_what_it_holds(upstream: Upstream, client: httpx2.Client) -> None:
    manifest = client.get("/v2/org/app/manifests/latest")
    assert manifest.content == index().manifest.data
    assert manifest.headers["Docker-Content-Digest"] == index().digest
    assert client.head(PATH).headers["Content-Length"] == "100000"
    assert client.get("/v2/org/app/manifests/none").json()["errors"][0]["code"] == "MANIFEST_UNKNOWN"
    page = client.get("/v2/org/app/tags/list", params={"n": 2})
    assert page.json()["tags"] == ["1.0", "1.1"]
    assert client.get(page.links["next"]["url"]).json()["tags"] == ["latest"]
    assert upstream.count("GET", "manifests/*") == 2
    assert upstream.asked("HEAD")[0].header("user-agent") is not None
    assert len({request.connection for request in upstream.requests}) == 1


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [("bytes=500-1499", 500, 1500), ("bytes=99000-", 99_000, 100_000), ("bytes=-10", 99_990, 100_000)],
)
def test_a_range_is_served(client: httpx2.Client, asked: str, start: int, stop: int) -> None:
    part = client.get(PATH, headers={"Range": asked})
    assert part.status_code == 206
    assert part.headers["Content-Range"] == f"bytes {start}-{stop - 1}/100000"
    assert part.content == BLOB.data[start:stop]
    assert client.get(PATH, headers={"Range": "bytes=100000-"}).status_code == 416


def _read_to_the_break(answer: httpx2.Response) -> bytes:
    body = bytearray()
    try:
        for piece in answer.iter_raw():
            body += piece
    except httpx2.TransportError:
        return bytes(body)
    pytest.fail("the body came to a regular end")


@pytest.mark.parametrize(
    ("fault", "got"),
    [
        (CutAt(0), 0),
        (CutAt(1), 1),
        (CutAt(0.5), 50_000),
        (CutAt(-1), 99_999),
        (CutAt(70_000, reset=True), None),
    ],
)
def test_a_body_is_cut_where_it_says(upstream: Upstream, client: httpx2.Client, fault: Fault, got: int) -> None:
    upstream.fault("blobs/*", fault, times=1)
    with client.stream("GET", PATH) as answer:
        body = _read_to_the_break(answer)
    assert got is None or body == BLOB.data[:got]
    assert client.get(PATH).content == BLOB.data, "once was agreed"


@pytest.mark.parametrize("fault", [Chunked(), CloseDelimited(), Delay(0.05), NoRange(), Dribble(500_000)])
def test_odd_but_right(upstream: Upstream, client: httpx2.Client, fault: Fault) -> None:
    upstream.fault("blobs/*", fault)
    answer = client.get(PATH)
    assert answer.content == BLOB.data
    assert ("Content-Length" in answer.headers) != isinstance(fault, Chunked | CloseDelimited)
    assert client.get(PATH).content == BLOB.data, "also on the connection after it"


@pytest.mark.parametrize("fault", [WrongByte(), Lengthened(), Shortened()])
def test_whole_but_wrong(upstream: Upstream, client: httpx2.Client, fault: Fault) -> None:
    upstream.fault("blobs/*", fault)
    assert digest_of(client.get(PATH).content) != BLOB.digest


def test_range_faults(upstream: Upstream, client: httpx2.Client) -> None:
    upstream.fault("blobs/*", NoRange(), times=1)
    upstream.fault("blobs/*", FalseRange(5))
    assert client.get(PATH, headers={"Range": "bytes=10-"}).status_code == 200
    assert client.get(PATH, headers={"Range": "bytes=10-"}).headers["Content-Range"] == "bytes 15-100004/100000"


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
def test_statuses_have_a_registry_body(upstream: Upstream, client: httpx2.Client, status: int) -> None:
    upstream.fault("manifests/*", Status(status, retry_after="7"))
    answer = client.get("/v2/org/app/manifests/latest")
    assert answer.status_code == status
    assert answer.json()["errors"][0]["message"] == "upstream says no"
    assert answer.headers["Retry-After"] == "7"


def test_no_answer_at_all(upstream: Upstream, client: httpx2.Client) -> None:
    upstream.fault("manifests/*", Silence(), times=1)
    upstream.fault("tags/*", Drop(), times=1)
    with pytest.raises(httpx2.ReadTimeout):
        client.get("/v2/org/app/manifests/latest", timeout=1)
    with pytest.raises(httpx2.RemoteProtocolError):
        client.get("/v2/org/app/tags/list")


def test_manifests_that_lie(upstream: Upstream, client: httpx2.Client) -> None:
    path = "/v2/org/app/manifests/latest"
    upstream.fault("manifests/*", WithHeaders({"Docker-Content-Digest": None, "RateLimit-Remaining": "3;w=60"}))
    assert "Docker-Content-Digest" not in client.get(path).headers
    assert client.get(path).headers["ratelimit-remaining"] == "3;w=60"
    upstream.heal()
    upstream.fault("manifests/*", Body(not_json()), times=1)
    upstream.fault("manifests/*", Body(large_manifest()))
    assert client.get(path).text.startswith("<html>")
    assert len(client.get(path).content) > 11 * 1024 * 1024


def test_a_megabyte_of_headers_is_more_than_a_client_takes(upstream: Upstream, client: httpx2.Client) -> None:
    upstream.fault("blobs/*", HugeHeaders())
    with pytest.raises(httpx2.RemoteProtocolError):
        client.get(PATH)


def test_redirects(upstream: Upstream, client: httpx2.Client) -> None:
    with Upstream() as cdn:
        cdn.add("org/app", BLOB)
        upstream.fault("blobs/*", Redirect(cdn.url))
        answer = client.get(PATH, follow_redirects=True, headers={"Authorization": "Bearer x"})
        assert answer.content == BLOB.data
        assert cdn.requests[0].query == {"signature": ["rig"]}
        assert cdn.requests[0].header("Authorization") is None
    upstream.heal()
    upstream.fault("blobs/*", RedirectLoop())
    with pytest.raises(httpx2.TooManyRedirects):
        client.get(PATH, follow_redirects=True)


def test_a_gate_holds_a_body_until_it_opens(upstream: Upstream, client: httpx2.Client) -> None:
    gate = Gate(50_000)
    upstream.fault("blobs/*", gate)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(client.get(PATH).content))
    reader.start()
    gate.wait_reached()
    assert upstream.sent("blobs/*") == 50_000
    assert read == []
    gate.open()
    reader.join(10)
    assert read == [BLOB.data]


def test_the_bearer_flow() -> None:
    bearer = Bearer(username="robot", password="secret")
    with Upstream(challenge=bearer) as upstream, httpx2.Client(base_url=upstream.url, trust_env=False) as client:
        upstream.add("org/app", BLOB)
        challenge = client.get(PATH).headers["WWW-Authenticate"]
        assert f'realm="{upstream.url}/token"' in challenge
        assert 'scope="repository:org/app:pull"' in challenge
        asked = {"scope": "repository:org/app:pull", "service": "registry.rig"}
        assert client.get("/token", params=asked).status_code == 401
        token = client.get("/token", params=asked, auth=("robot", "secret")).json()["token"]
        headers = {"Authorization": f"Bearer {token}"}
        assert client.get(PATH, headers=headers).content == BLOB.data
        bearer.expire()
        assert 'error="invalid_token"' in client.get(PATH, headers=headers).headers["WWW-Authenticate"]
        assert upstream.count("GET", "/token") == 2


def test_basic_credentials() -> None:
    with Upstream(challenge=Basic("robot", "secret")) as upstream:
        upstream.add("org/app", BLOB)
        assert httpx2.get(upstream.url + PATH).headers["WWW-Authenticate"].startswith("Basic")
        assert httpx2.get(upstream.url + PATH, auth=("robot", "secret")).content == BLOB.data


def test_tls_with_a_right_and_a_wrong_name() -> None:
    authority = trustme.CA()
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with Upstream(tls=certificate(authority)) as right, Upstream(tls=certificate(authority, "wrong.example")) as wrong:
        right.add("org/app", BLOB)
        assert httpx2.get(right.url + PATH, verify=trusting).content == BLOB.data
        with pytest.raises(httpx2.ConnectError):
            httpx2.get(wrong.url + PATH, verify=trusting)


def test_an_outage_and_its_end(upstream: Upstream, client: httpx2.Client) -> None:
    upstream.stop()
    with pytest.raises(httpx2.ConnectError):
        client.get(PATH)
    upstream.start()
    assert client.get(PATH).content == BLOB.data


def test_referrers(upstream: Upstream, client: httpx2.Client) -> None:
    signature = artifact(index().manifest)
    upstream.add("org/app", signature)
    listed = client.get(f"/v2/org/app/referrers/{index().digest}")
    assert [each["digest"] for each in listed.json()["manifests"]] == [signature.digest]
    other = client.get(f"/v2/org/app/referrers/{index().digest}", params={"artifactType": "a/b"})
    assert other.json()["manifests"] == []
    assert other.headers["OCI-Filters-Applied"] == "artifactType"


def test_a_missing_program_is_a_failure_in_ci_and_a_skip_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=r"not tested: pulls; missing: skopeo \(package skopeo\)"):
        need("pulls", "skopeo")
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="not tested: pulls"):
        need("pulls", "skopeo")


@pytest.mark.clients
def test_a_real_registry_takes_all_that_the_rig_makes(tmp_path: Path) -> None:
    need("what the rig makes, at a real registry", "docker-registry")
    signature = artifact(index().manifest)
    with Registry(tmp_path) as registry:
        registry.push("org/app", index(), "oci")
        registry.push("org/app", index(kind="docker"), "docker")
        registry.push("org/app", large_image(50_000, layers=2), "large")
        registry.push("org/app", signature)
        registry.push("org/app", referrers_of(index().manifest, signature), fallback_tag(index().digest))
        assert registry.requests() == ()
        url = f"{registry.url}/v2/org/app/manifests/oci"
        assert httpx2.get(url, headers={"Accept": OCI_INDEX}).content == index().manifest.data
        assert registry.count("GET", "*/manifests/*") == 1
        registry.stop()
        with pytest.raises(httpx2.ConnectError):
            httpx2.get(url)
        registry.start()
        registry.forget()
        assert httpx2.head(url, headers={"Accept": OCI_INDEX}).status_code == 200
        assert registry.count("HEAD") == 1
