"""Pulls as a client makes them, with every byte checked; never part of a time."""

import contextlib
import hashlib
from http.client import HTTPConnection, HTTPException, HTTPResponse

from ci.bench.images import Blob, Image
from ci.bench.servers import Running

PIECE = 1024 * 1024
TIMEOUT_SECONDS = 120.0


def pull(server: Running, image: Image) -> list[str]:
    """Pulls by tag the manifest and all blobs; what was wrong, in words."""
    return pull_manifest(server, image) + [fault for blob in image.blobs for fault in check_blob(server, image, blob)]


def pull_by_digest(server: Running, image: Image) -> list[str]:
    """Pulls the manifest with HEAD and GET by digest, as dockerd does, then all blobs; what was wrong, in words."""
    digest = image.manifest.digest
    path = server.manifest_path(image, digest)
    faults = _check(server, image, path, image.manifest, method="HEAD")
    faults += _check(server, image, path, image.manifest)
    return faults + [fault for blob in image.blobs for fault in check_blob(server, image, blob)]


def pull_manifest(server: Running, image: Image) -> list[str]:
    """Pulls the manifest by tag; what was wrong, in words."""
    return _check(server, image, server.manifest_path(image, image.tag), image.manifest)


def check_blob(server: Running, image: Image, blob: Blob) -> list[str]:
    """Pulls one blob; what was wrong with status, size or SHA-256, in words."""
    return _check(server, image, server.blob_path(image, blob.digest), blob)


def _check(server: Running, image: Image, path: str, expected: Blob, method: str = "GET") -> list[str]:
    headers = dict(line.split(": ", 1) for line in server.headers(image))
    with contextlib.closing(HTTPConnection("127.0.0.1", server.port, timeout=TIMEOUT_SECONDS)) as connection:
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            wrong = _wrong_head(answer, expected) if method == "HEAD" else _wrong_body(answer, expected)
        except (OSError, HTTPException) as error:
            wrong = repr(error)
    return [f"{server.name}: {method} {path}: {wrong}"] if wrong else []


def _wrong_head(answer: HTTPResponse, expected: Blob) -> str | None:
    if answer.status != 200:
        return f"status {answer.status}"
    if answer.getheader("Content-Length") != str(expected.size):
        return f"Content-Length {answer.getheader('Content-Length')}, not {expected.size}"
    return None


def _wrong_body(answer: HTTPResponse, expected: Blob) -> str | None:
    digest, size = hashlib.sha256(), 0
    while piece := answer.read(PIECE):
        digest.update(piece)
        size += len(piece)
    if answer.status != 200:
        return f"status {answer.status}"
    if size != expected.size:
        return f"{size} bytes, not {expected.size}"
    if f"sha256:{digest.hexdigest()}" != expected.digest:
        return "wrong bytes"
    return None
