"""The upstream fails and there is no copy: what the client is told, and that it is the truth."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import trustme

from tests.faults.scene import REPOSITORY, Place, Scene, error_of, scene
from tests.rig.faults import (
    Body,
    Chunked,
    CloseDelimited,
    CutAt,
    Drop,
    Fault,
    Gate,
    HugeHeaders,
    Redirect,
    RedirectLoop,
    Silence,
    Status,
    WithHeaders,
    large_manifest,
    not_json,
    schema_1,
)
from tests.rig.images import digest_of
from tests.rig.processes import free_port
from tests.rig.upstream import Upstream, certificate

pytestmark = pytest.mark.faults

QUOTA = {"RateLimit-Limit": "100;w=21600", "RateLimit-Remaining": "0;w=21600", "Docker-RateLimit-Source": "192.0.2.1"}


@dataclass(frozen=True, slots=True)
class Trouble:
    """What an upstream does to each request for a manifest, and what the client is then told."""

    faults: tuple[Fault, ...]
    status: int
    code: str
    says: str  # stands in the cause
    retry_after: int | None = None


OUTAGE = (503, "UNAVAILABLE")
BROKEN = (502, "UNKNOWN")

TROUBLES = {
    "says-nothing": Trouble((Silence(),), *OUTAGE, "did not answer in time", 5),
    "falls-silent": Trouble((Gate(10),), *OUTAGE, "did not answer in time", 5),
    "hangs-up": Trouble((Drop(),), *OUTAGE, "broke the connection", 5),
    "closes-at-byte-0": Trouble((CutAt(0),), *OUTAGE, "broke the connection", 5),
    "closes-at-byte-1": Trouble((CutAt(1),), *OUTAGE, "broke the connection", 5),
    "closes-at-half": Trouble((CutAt(0.5),), *OUTAGE, "broke the connection", 5),
    "closes-at-last": Trouble((CutAt(-1),), *OUTAGE, "broke the connection", 5),
    "resets-at-half": Trouble((CutAt(0.5, reset=True),), *OUTAGE, "broke the connection", 5),
    "closes-in-a-chunk": Trouble((Chunked(), CutAt(0.5)), *OUTAGE, "broke the connection", 5),
    "status-401": Trouble((Status(401),), 404, "NAME_UNKNOWN", "does not give anonymous clients"),
    "status-403": Trouble((Status(403),), 404, "NAME_UNKNOWN", "does not give anonymous clients"),
    "status-404": Trouble((Status(404),), 404, "MANIFEST_UNKNOWN", "has no tag latest"),
    "limited-for-7-s": Trouble(
        (Status(429, retry_after="7"), WithHeaders(QUOTA)), 429, "TOOMANYREQUESTS", "limits the pulls", 7
    ),
    "limited": Trouble((Status(429),), 429, "TOOMANYREQUESTS", "limits the pulls", 60),
    "status-500": Trouble((Status(500),), *OUTAGE, "answered 500", 5),
    "status-503-for-9-s": Trouble((Status(503, retry_after="9"),), *OUTAGE, "answered 503", 9),
    "redirects-in-a-circle": Trouble((RedirectLoop(),), *BROKEN, "redirects more than"),
    "redirects-to-metadata": Trouble(
        (Redirect("http://169.254.169.254/latest/meta-data/", keep_path=False),), *BROKEN, "metadata service"
    ),
    "huge-headers": Trouble((HugeHeaders(),), *BROKEN, "headers from 127.0.0.1 are too large"),
    "eleven-mib": Trouble((Body(large_manifest()),), *BROKEN, "sends more than is taken"),
    "eleven-mib-in-chunks": Trouble((Body(large_manifest()), Chunked()), *BROKEN, "sends more than is taken"),
    "not-json": Trouble((Body(not_json()),), *BROKEN, "is not a JSON object"),
    "schema-1": Trouble((Body(schema_1()),), *BROKEN, "first schema"),
    "lying-digest": Trouble(
        (WithHeaders({"Docker-Content-Digest": digest_of(b"something else")}),), *BROKEN, "has another digest"
    ),
}

UNREACHABLE = {
    "refuses.rig": "127.0.0.1 refuses connections",
    "no-such-name.rig": "the name registry.invalid does not resolve",
    "another-name.rig": "no TLS connection to 127.0.0.1 (IP address mismatch",
    "unknown-authority.rig": "no TLS connection to 127.0.0.1 (unable to get local issuer certificate)",
}

WELL_FORMED: dict[str, tuple[Fault, ...]] = {
    "no-digest-header": (WithHeaders({"Docker-Content-Digest": None}),),
    "no-length": (Chunked(),),
    "until-the-end": (CloseDelimited(),),
}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("without-a-copy")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    places = {f"{name}.rig": Place() for name in (*TROUBLES, *WELL_FORMED)}
    places |= {
        "refuses.rig": Place(settings={"url": f"http://127.0.0.1:{free_port()}"}),
        "no-such-name.rig": Place(settings={"url": "https://registry.invalid"}),
        "another-name.rig": Place(
            Upstream(tls=certificate(authority, "registry.example")), {"ca_file": str(folder / "ca.pem")}
        ),
        "unknown-authority.rig": Place(Upstream(tls=certificate(authority))),
        "known-authority.rig": Place(Upstream(tls=certificate(authority)), {"ca_file": str(folder / "ca.pem")}),
    }
    with scene(folder / "proxy", places, size=1000) as running:
        yield running


@pytest.mark.parametrize("name", TROUBLES)
def test_the_client_is_told_the_cause_and_what_to_do(sources: Scene, name: str) -> None:
    source, trouble = sources[f"{name}.rig"], TROUBLES[name]
    source.upstream.fault("manifests/*", *trouble.faults)
    asked_at = time.monotonic()
    answer = source.get(source.manifest())
    assert answer.status_code == trouble.status, answer.text
    error = error_of(answer)
    assert error["code"] == trouble.code
    assert trouble.says in error["detail"]["cause"]
    assert source.name in error["detail"]["cause"]
    assert error["detail"]["next"]
    told = answer.headers.get("Retry-After")
    assert told == (None if trouble.retry_after is None else str(trouble.retry_after))
    assert time.monotonic() - asked_at < 15


def test_the_upstreams_quota_is_passed_on(sources: Scene) -> None:
    source = sources["limited-for-7-s.rig"]
    source.upstream.fault("manifests/*", Status(429, retry_after="7"), WithHeaders(QUOTA))
    answer = source.get(source.manifest("another"))
    assert answer.status_code == 429
    assert {name: answer.headers.get(name) for name in QUOTA} == QUOTA
    assert 0 < int(answer.headers["Retry-After"]) <= 7


@pytest.mark.parametrize("name", UNREACHABLE)
def test_an_upstream_out_of_reach_is_named_with_the_reason(sources: Scene, name: str) -> None:
    source = sources[name]
    answer = source.get(source.manifest())
    assert answer.status_code == 503
    error = error_of(answer)
    assert error["code"] == "UNAVAILABLE"
    assert UNREACHABLE[name] in error["detail"]["cause"]
    assert int(answer.headers["Retry-After"]) > 0


def test_a_private_authority_is_trusted_where_it_is_configured(sources: Scene) -> None:
    source = sources["known-authority.rig"]
    assert source.get(source.manifest()).content == source.image.manifest.data


@pytest.mark.parametrize("name", WELL_FORMED)
def test_what_is_unusual_but_right_is_served(sources: Scene, name: str) -> None:
    source = sources[f"{name}.rig"]
    source.upstream.fault("manifests/*", *WELL_FORMED[name])
    for _ in range(2):
        answer = source.get(source.manifest())
        assert answer.status_code == 200, answer.text
        assert answer.content == source.image.manifest.data
        assert answer.headers["Docker-Content-Digest"] == source.image.digest


def test_a_head_gets_the_same_status_without_a_body(sources: Scene) -> None:
    source = sources["status-500.rig"]
    source.upstream.fault("manifests/*", Status(500))
    answer = source.proxy.client.head(source.manifest())
    assert (answer.status_code, answer.content) == (503, b"")


@pytest.mark.parametrize("what", ["tags", "referrers"])
@pytest.mark.parametrize("name", ["status-500", "says-nothing", "limited", "not-json", "redirects-to-metadata"])
def test_lists_fail_as_truthfully(sources: Scene, name: str, what: str) -> None:
    source, trouble = sources[f"{name}.rig"], TROUBLES[name]
    source.upstream.fault("tags/*", *trouble.faults)
    source.upstream.fault("referrers/*", *trouble.faults)
    reference = "list" if what == "tags" else source.image.digest
    path = source.manifest(reference).replace("/manifests/", f"/{what}/")
    answer = source.get(path)
    assert answer.status_code == trouble.status, answer.text
    assert error_of(answer)["code"] == trouble.code


def test_no_other_upstream_suffers(sources: Scene) -> None:
    """All of the above went wrong at once, in one proxy."""
    source = sources["known-authority.rig"]
    assert source.get(source.blob()).content == source.layer.data


def test_nothing_wrong_was_remembered(sources: Scene) -> None:
    """Once an upstream is well again, and its pause is over, all is well. What it said is gone is believed for 30 s."""
    waiting = {name for name in TROUBLES if name not in ("limited", "limited-for-7-s", "status-404")}
    for name in waiting:
        sources[f"{name}.rig"].upstream.heal()
    deadline = time.monotonic() + 20
    while waiting and time.monotonic() < deadline:
        for name in sorted(waiting):
            source = sources[f"{name}.rig"]
            answer = source.get(source.manifest())
            if answer.status_code == 200:
                assert answer.content == source.image.manifest.data
                assert json.loads(answer.content)["layers"][0]["digest"] == source.layer.digest
                waiting.discard(name)
        time.sleep(0.2)
    assert not waiting


def test_no_answer_was_a_fault_of_ours(sources: Scene) -> None:
    log = sources["refuses.rig"].proxy.log
    assert "unexpected_error" not in log
    assert "Traceback" not in log
    assert REPOSITORY in log
