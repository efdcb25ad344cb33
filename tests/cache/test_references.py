"""What a manifest refers to: whatever stands in it, the manifest can be kept, and what can be read of it is known."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy_core.cache.references import references_of
from proxy_core.storage.index.model import Descriptor, Kind, Manifest
from tests.cache.conftest import Worker
from tests.cache.upstream import ALPINE, digest_of, index, manifest
from tests.rig import images

DIGEST = digest_of(b"x")
_words = st.text(max_size=5) | st.sampled_from(["linux", "\ud800", "\0", "x" * 5000]) | st.integers()
#: Values as they come and as they must not, where a descriptor is wanted.
_descriptors = st.fixed_dictionaries(
    {"digest": st.sampled_from([str(DIGEST), str(digest_of(b"y")), "sha256:abc", None])},
    optional={
        "size": st.integers(-1, 10) | st.sampled_from([2**63 - 1, 2**63, 10**30, 1.5, True, None, "7"]),
        "platform": st.none()
        | st.text(max_size=3)
        | st.fixed_dictionaries({}, optional=dict.fromkeys(("os", "architecture", "variant"), _words)),
    },
)
_odd = st.none() | st.integers() | st.text(max_size=3) | _descriptors
_documents = st.fixed_dictionaries(
    {},
    optional={
        name: st.lists(_descriptors | _odd, max_size=3) | _odd
        for name in ("manifests", "layers", "blobs", "config", "subject")
    },
)


def of(document: object) -> list[Descriptor]:
    content = json.dumps(document).encode()
    return references_of(Manifest(digest_of(content), "x", content))


def test_an_image_refers_to_its_configuration_and_layers() -> None:
    image = images.image(images.layer({"a": b"1"}), images.layer({"b": b"2"}))
    found = references_of(Manifest(digest_of(image.manifest.data), image.manifest.media_type, image.manifest.data))
    assert {(str(one.digest), one.size, one.kind) for one in found} == {
        (blob.digest, blob.size, Kind.BLOB) for blob in image.blobs
    }


def test_an_index_refers_to_its_children_with_their_platforms() -> None:
    top = index(manifest(note="1"), manifest(note="2"))
    found = references_of(Manifest(top.digest, top.media_type, top.content))
    assert [(one.kind, one.platform) for one in found] == [
        (Kind.MANIFEST, "linux/amd64"),
        (Kind.MANIFEST, "linux/arm64"),
    ]


def test_an_artifact_refers_to_its_blobs_and_not_to_its_subject() -> None:
    subject = images.image()
    signature = images.artifact(subject.manifest)
    found = of(signature.manifest.json())
    assert {str(one.digest) for one in found} == {blob.digest for blob in signature.blobs}


def test_one_blob_named_twice_is_one_reference() -> None:
    layer = {"digest": str(DIGEST), "size": 1}
    assert of({"layers": [layer, layer], "config": layer}) == [Descriptor(DIGEST, Kind.BLOB, 1)]


@pytest.mark.parametrize(
    "layer",
    [
        None,
        [],
        "x",
        {},
        {"digest": str(DIGEST)},
        {"digest": str(DIGEST), "size": -1},
        {"digest": str(DIGEST), "size": "1"},
        {"digest": str(DIGEST), "size": 2**63},
        {"digest": str(DIGEST), "size": 10**30},
        {"digest": str(DIGEST), "size": True},
        {"digest": "sha256:short", "size": 1},
        {"digest": None, "size": 1},
    ],
)
def test_what_can_not_be_read_is_left_out(layer: object) -> None:
    other = digest_of(b"other")
    assert of({"layers": [layer, {"digest": str(other), "size": 5}]}) == [Descriptor(other, Kind.BLOB, 5)]


@pytest.mark.parametrize("value", [None, 5, "x", {"a": 1}])
def test_what_is_no_list_is_left_out(value: object) -> None:
    assert of({"layers": value, "manifests": value, "blobs": value, "config": value}) == []


@given(document=_documents)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whatever_a_manifest_says_the_index_can_keep_it(worker: Worker, document: object) -> None:
    content = json.dumps(document).encode()
    kept = Manifest(digest_of(content), "application/x", content)
    await worker.index.save(ALPINE, kept, references_of(kept), "latest", 1.0)
    assert await worker.index.manifest(ALPINE, kept.digest) == kept
    for reference in references_of(kept):
        if reference.kind is Kind.BLOB:
            assert isinstance(await worker.index.blob_size(ALPINE, reference.digest), int)
