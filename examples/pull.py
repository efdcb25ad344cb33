"""Pull an image through the proxy, and check every digest: a token, the manifest, its blobs.

    echo PASSWORD | python pull.py http://127.0.0.1:8080 dev my-group/dependency_proxy/containers/alpine latest

Needs httpx2, which comes with runner-bridge[proxy].
"""

import hashlib
import sys
from collections.abc import Iterator

import httpx2

INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
IMAGES = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")


def pull(client: httpx2.Client, user: str, password: str, name: str, reference: str) -> Iterator[tuple[str, int]]:
    """Digest and size of the manifests and blobs for linux/amd64, each as soon as it is here and right."""
    wanted = {"service": "dependency_proxy", "scope": f"repository:{name}:pull"}
    token = checked(client.get("/jwt/auth", params=wanted, auth=(user, password))).json()["token"]
    client.headers.update({"Authorization": f"Bearer {token}", "Accept": ", ".join(INDEXES + IMAGES)})

    manifest = checked(client.get(f"/v2/{name}/manifests/{reference}"))
    yield right(manifest.headers["Docker-Content-Digest"], [manifest.content])
    if manifest.headers["Content-Type"] in INDEXES:
        child = {each["platform"]["architecture"]: each["digest"] for each in manifest.json()["manifests"]}["amd64"]
        manifest = checked(client.get(f"/v2/{name}/manifests/{child}"))
        yield right(child, [manifest.content])
    for blob in (manifest.json()["config"], *manifest.json()["layers"]):
        with client.stream("GET", f"/v2/{name}/blobs/{blob['digest']}") as answer:
            yield right(blob["digest"], checked(answer).iter_bytes())


def right(digest: str, chunks: Iterator[bytes] | list[bytes]) -> tuple[str, int]:
    """The digest and the size, if the bytes are those that the digest stands for."""
    hasher, size = hashlib.new(digest.partition(":")[0]), 0
    for chunk in chunks:
        hasher.update(chunk)
        size += len(chunk)
    if hasher.hexdigest() != digest.partition(":")[2]:
        sys.exit(f"{digest}: the bytes are others")
    return digest, size


def checked(answer: httpx2.Response) -> httpx2.Response:
    """The answer, unless it is an error: then the proxy says why, and what to do."""
    if answer.is_error:
        answer.read()
        detail = answer.json()["errors"][0]["detail"]
        sys.exit(f"{answer.status_code}: {detail['cause']}\n{detail['next']}\nrequest {detail['request_id']}")
    return answer


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    _, proxy, user, name, reference = sys.argv
    with httpx2.Client(base_url=proxy, timeout=60) as client:
        for digest, size in pull(client, user, sys.stdin.readline().rstrip("\n"), name, reference):
            sys.stdout.write(f"{digest}  {size} bytes\n")
