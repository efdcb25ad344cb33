"""Answers that are lists: tags, and referrers."""

import json
from urllib.parse import parse_qs, urlencode

from proxy_core.cache.listings import Listed, Listings
from proxy_core.errors import NameInvalid
from proxy_core.registry.freshness import freshness_headers
from proxy_core.registry.replies import API_VERSION, Reply, json_reply
from proxy_core.registry.request import ReferrersRequest, TagsRequest

_INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
_PAGE = 1000  # tags, when the client sets no n
_LONGEST = 1_000_000  # tags: as many as are read of any upstream


async def answer_tags(request: TagsRequest, query: bytes, listings: Listings, now: float) -> tuple[Reply, Listed]:
    """A page of the tags (specification, "Listing Tags"): ``n`` at most, those behind ``last``, and where to go on.

    :raises RegistryError: there is no such repository, or ``n`` is no number.
    """
    parameters = parse_qs(query.decode("latin-1"), keep_blank_values=True)
    count = _count(parameters.get("n", [str(_PAGE)])[0])
    last = parameters.get("last", [""])[0]
    listed = await listings.tags(request.place.image)
    tags = [tag for tag in json.loads(listed.content) if tag > last]
    reply = json_reply({"name": request.place.wire_name, "tags": tags[:count]})
    if 0 < count < len(tags):
        onward = urlencode({"n": count, "last": tags[count - 1], **_namespace(request)})
        reply = reply.with_headers({"Link": f'</v2/{request.place.wire_name}/tags/list?{onward}>; rel="next"'})
    return _told(reply, listed, now), listed


async def answer_referrers(
    request: ReferrersRequest, query: bytes, listings: Listings, now: float
) -> tuple[Reply, Listed]:
    """The index of what refers to a digest (specification, "Listing Referrers"), by type if the client wants that.

    :raises RegistryError: it can not be had.
    """
    listed = await listings.referrers(request.place.image, request.digest)
    wanted = parse_qs(query.decode("latin-1")).get("artifactType", [""])[0]
    body, headers = listed.content, [(b"content-type", _INDEX_TYPE.encode()), API_VERSION]
    if wanted:
        index = json.loads(body)
        index["manifests"] = [one for one in index["manifests"] if one.get("artifactType") == wanted]
        body = json.dumps(index, separators=(",", ":")).encode()
        headers.append((b"oci-filters-applied", b"artifactType"))
    return _told(Reply(200, headers, body), listed, now), listed


def _told(reply: Reply, listed: Listed, now: float) -> Reply:
    headers = freshness_headers(listed.state, confirmed_at=listed.fetched_at, now=now, trouble=listed.trouble)
    return Reply(reply.status, reply.headers + headers, reply.body)


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise NameInvalid("The n of the query is no number.", "Send n as a number of tags, 0 or more.")
    digits = text.lstrip("0") or "0"
    return int(digits) if len(digits) <= len(str(_LONGEST)) else _LONGEST


def _namespace(request: TagsRequest) -> dict[str, str]:
    return {"ns": request.place.namespace} if request.place.namespace else {}
