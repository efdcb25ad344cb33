"""What a registry holds, and its right answers to the distribution API's questions."""

import json
import re
from collections.abc import Mapping

from tests.rig.images import EMPTY_CONFIG, OCI_INDEX, OCTETS, Blob, Image, Index, referrers_of
from tests.rig.wire import Answer, Request

_ROUTE = re.compile(r"/v2/(?P<repository>.+)/(?P<what>manifests|blobs|tags|referrers)/(?P<reference>[^/]+)")


def refusal(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Answer:
    """An error with the body that the distribution-spec lays down."""
    body = json.dumps({"errors": [{"code": code, "message": message, "detail": None}]}).encode()
    return Answer(status, (("Content-Type", "application/json"), *(headers or {}).items()), body)


class Contents:
    """Repositories with their blobs, manifests, tags and referrers.

    `referrers_api=False` answers 404 for referrers, as registries before distribution-spec 1.1 do.
    """

    def __init__(self, *, referrers_api: bool = True) -> None:
        self._referrers_api = referrers_api
        self._blobs: dict[tuple[str, str], Blob] = {}
        self._manifests: dict[tuple[str, str], Blob] = {}
        self._tags: dict[str, set[str]] = {}
        self._artifacts: dict[tuple[str, str], list[Image]] = {}

    def add(self, repository: str, content: Image | Index | Blob, *tags: str) -> None:
        """Hold this content; a tag that stood elsewhere moves here. A bare `Blob` is held as a blob."""
        self._tags.setdefault(repository, set())
        if isinstance(content, Blob):
            self._blobs[repository, content.digest] = content
            return
        for image in content.images if isinstance(content, Index) else (content,):
            self._manifests[repository, image.digest] = image.manifest
            for part in image.blobs:
                self._blobs[repository, part.digest] = part
            subject = image.manifest.json().get("subject")
            if subject is not None:
                self._artifacts.setdefault((repository, subject["digest"]), []).append(image)
        self._manifests[repository, content.digest] = content.manifest
        for tag in tags:
            self._manifests[repository, tag] = content.manifest
            self._tags[repository].add(tag)

    def remove(self, repository: str, *references: str) -> None:
        """Forget tags, manifests or blobs."""
        for reference in references:
            self._manifests.pop((repository, reference), None)
            self._blobs.pop((repository, reference), None)
            self._tags[repository].discard(reference)

    def answer(self, request: Request) -> Answer:
        """The answer of a sound registry to a GET or HEAD."""
        if request.path in ("/v2", "/v2/"):
            return Answer(200, (("Content-Type", "application/json"),), b"{}")
        route = _ROUTE.fullmatch(request.path)
        if route is None:
            return refusal(404, "NAME_UNKNOWN", "no such page")
        if request.method not in ("GET", "HEAD"):
            return refusal(405, "UNSUPPORTED", "the operation is unsupported", {"Allow": "GET, HEAD"})
        repository, reference = route["repository"], route["reference"]
        if repository not in self._tags:
            return refusal(404, "NAME_UNKNOWN", "repository name not known to registry")
        match route["what"]:
            case "manifests":
                return self._manifest(repository, reference)
            case "blobs":
                return self._blob(repository, reference)
            case "tags":
                return self._tags_list(repository, request)
            case _:
                return self._referrers(repository, reference, request)

    def _manifest(self, repository: str, reference: str) -> Answer:
        manifest = self._manifests.get((repository, reference))
        if manifest is None:
            return refusal(404, "MANIFEST_UNKNOWN", "manifest unknown")
        return Answer(200, _headers(manifest), manifest.data, ranges=False)

    def _blob(self, repository: str, digest: str) -> Answer:
        blob = self._blobs.get((repository, digest))
        if blob is None:
            return refusal(404, "BLOB_UNKNOWN", "blob unknown to registry")
        return Answer(200, (*_headers(blob, OCTETS), ("Accept-Ranges", "bytes")), blob.data)

    def _tags_list(self, repository: str, request: Request) -> Answer:
        last = request.query.get("last", [""])[0]
        tags = [tag for tag in sorted(self._tags[repository]) if tag > last]
        count = int(request.query.get("n", [str(len(tags))])[0])
        page = tags[:count]
        headers = [("Content-Type", "application/json")]
        if page and len(page) < len(tags):
            headers.append(("Link", f'</v2/{repository}/tags/list?n={count}&last={page[-1]}>; rel="next"'))
        return Answer(200, tuple(headers), json.dumps({"name": repository, "tags": page}).encode())

    def _referrers(self, repository: str, digest: str, request: Request) -> Answer:
        if not self._referrers_api:
            return refusal(404, "NAME_UNKNOWN", "no referrers API here")
        artifacts = self._artifacts.get((repository, digest), [])
        headers = [("Content-Type", OCI_INDEX)]
        wanted = request.query.get("artifactType")
        if wanted:
            artifacts = [each for each in artifacts if each.manifest.json().get("artifactType") in wanted]
            headers.append(("OCI-Filters-Applied", "artifactType"))
        listed = referrers_of(Blob(b"", EMPTY_CONFIG, digest), *artifacts)
        return Answer(200, tuple(headers), listed.manifest.data)


def _headers(blob: Blob, media_type: str | None = None) -> tuple[tuple[str, str], ...]:
    return (
        ("Content-Type", media_type or blob.media_type),
        ("Docker-Content-Digest", blob.digest),
        ("Docker-Distribution-Api-Version", "registry/2.0"),
        ("ETag", f'"{blob.digest}"'),
    )
