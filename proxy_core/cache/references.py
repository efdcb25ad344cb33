"""What a manifest refers to."""

import json
from collections.abc import Mapping
from typing import Final

from proxy_core.errors import DigestInvalid
from proxy_core.reference import parse_digest
from proxy_core.storage.index.model import Descriptor, Kind, Manifest

#: Larger than any blob; and what a database can hold as a number.
_MOST_BYTES: Final = 2**63 - 1


def references_of(manifest: Manifest) -> list[Descriptor]:
    """What a manifest refers to: children of an index; config and layers of an image; blobs of an artifact.

    Descriptors that can not be read are left out: the client gets the manifest byte for byte and judges for itself.
    """
    document = json.loads(manifest.content)
    found = [_descriptor(child, Kind.MANIFEST) for child in _listed(document, "manifests")]
    found += [_descriptor(blob, Kind.BLOB) for blob in _listed(document, "layers") + _listed(document, "blobs")]
    found.append(_descriptor(document.get("config"), Kind.BLOB))
    return list({descriptor.digest: descriptor for descriptor in found if descriptor}.values())


def _listed(document: Mapping[str, object], key: str) -> list[object]:
    value = document.get(key)
    return value if isinstance(value, list) else []


def _descriptor(value: object, kind: Kind) -> Descriptor | None:
    if not isinstance(value, Mapping):
        return None
    digest, size, platform = value.get("digest"), value.get("size"), value.get("platform")
    if not isinstance(digest, str) or not isinstance(size, int) or isinstance(size, bool):
        return None
    if not 0 <= size <= _MOST_BYTES:
        return None
    try:
        parsed = parse_digest(digest)
    except DigestInvalid:
        return None
    return Descriptor(parsed, kind, size, _platform(platform))


def _platform(value: object) -> str | None:
    if not isinstance(value, Mapping):
        return None
    parts = [value.get(key) for key in ("os", "architecture", "variant")]
    return "/".join(part for part in parts if isinstance(part, str) and part and part.isprintable()) or None
