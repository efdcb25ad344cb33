"""Answers with a manifest, byte for byte as the upstream gave it."""

import json
from dataclasses import dataclass

from proxy_core.cache.manifests import Manifests, Served
from proxy_core.errors import DigestInvalid
from proxy_core.reference import Digest, Image, Tag, parse_digest
from proxy_core.registry.accept import is_index, parse_accept, wants_one_platform
from proxy_core.registry.freshness import freshness_headers
from proxy_core.registry.replies import API_VERSION, Reply
from proxy_core.registry.request import Headers, ManifestRequest


@dataclass(frozen=True, slots=True)
class ManifestAnswer:
    """The answer, and what it is made of."""

    reply: Reply
    served: Served


async def answer_manifest(
    request: ManifestRequest, headers: Headers, manifests: Manifests, now: float
) -> ManifestAnswer:
    """:raises RegistryError: there is no such manifest, or it can not be had."""
    image = request.place.image
    served = await manifests.get(image, request.reference)
    if isinstance(request.reference, Tag) and is_index(served.manifest.media_type):
        accepted = parse_accept([value.decode("latin-1") for value in headers.accept])
        if wants_one_platform(accepted) and (child := _default_platform(served.manifest.content)):
            served = await _child(image, child, served, manifests)
    return ManifestAnswer(manifest_reply(served, headers.if_none_match, now), served)


def manifest_reply(served: Served, if_none_match: bytes | None, now: float) -> Reply:
    manifest = served.manifest
    etag = f'"{manifest.digest}"'
    headers = [
        (b"content-type", manifest.media_type.encode("ascii")),
        (b"docker-content-digest", str(manifest.digest).encode()),
        (b"etag", etag.encode()),
        API_VERSION,
        *freshness_headers(served.state, confirmed_at=served.confirmed_at, now=now, trouble=served.trouble),
    ]
    if if_none_match is not None and matches(if_none_match, etag):
        return Reply(304, headers)
    return Reply(200, headers, manifest.content)


def matches(if_none_match: bytes, etag: str) -> bool:
    """Whether ``If-None-Match`` names this entity tag; weak ones count (RFC 9110, section 13.1.2)."""
    tags = (tag.strip() for tag in if_none_match.decode("latin-1").split(","))
    return any(tag == "*" or tag.removeprefix("W/") == etag for tag in tags)


async def _child(image: Image, digest: Digest, index: Served, manifests: Manifests) -> Served:
    child = await manifests.get(image, digest)
    return Served(child.manifest, index.state, index.confirmed_at, index.fresh_until, index.trouble)


def _default_platform(content: bytes) -> Digest | None:
    """The manifest for linux/amd64 in an index: what docker's registry gives to clients from before there were any."""
    children = json.loads(content).get("manifests")
    for child in children if isinstance(children, list) else ():
        platform = child.get("platform", {}) if isinstance(child, dict) else {}
        if isinstance(platform, dict) and (platform.get("os"), platform.get("architecture")) == ("linux", "amd64"):
            try:
                return parse_digest(str(child.get("digest")))
            except DigestInvalid:
                return None
    return None
