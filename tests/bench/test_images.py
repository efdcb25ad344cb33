"""The images are what their digests say."""

import hashlib
import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ci.bench.bench import rotated
from ci.bench.images import NewBlobs, add_image, add_layer


def test_an_image_names_its_config_and_layers_by_digest_and_size(tmp_path: Path) -> None:
    layers = (add_layer(tmp_path, "library/a", 1000), add_layer(tmp_path, "library/a", 2000))
    image = add_image(tmp_path, "library/a", layers)
    folder = tmp_path / "v2/library/a"
    content = (folder / "manifests" / image.manifest.digest).read_bytes()
    assert f"sha256:{hashlib.sha256(content).hexdigest()}" == image.manifest.digest
    manifest = json.loads(content)
    described = [(d["digest"], d["size"]) for d in (manifest["config"], *manifest["layers"])]
    assert described == [(blob.digest, blob.size) for blob in image.blobs]
    for blob in image.blobs:
        content = (folder / "blobs" / blob.digest).read_bytes()
        assert (f"sha256:{hashlib.sha256(content).hexdigest()}", len(content)) == (blob.digest, blob.size)


def test_a_new_blob_has_a_digest_of_its_own_that_is_right(tmp_path: Path) -> None:
    blobs = NewBlobs(tmp_path, "library/big", 3_000_000)
    seen = set()
    for _ in range(3):
        layer = blobs.next().layers[0]
        content = (tmp_path / "v2/library/big/blobs" / layer.digest).read_bytes()
        assert (f"sha256:{hashlib.sha256(content).hexdigest()}", len(content)) == (layer.digest, 3_000_000)
        seen.add(layer.digest)
    assert len(seen) == 3


@given(st.integers(1, 6))
def test_in_as_many_rounds_as_servers_each_takes_every_place_once(count: int) -> None:
    names = [f"server-{n}" for n in range(count)]
    orders = [rotated(names, turn) for turn in range(count)]
    for place in range(count):
        assert {order[place] for order in orders} == set(names)
