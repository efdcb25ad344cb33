"""Basic credentials (RFC 7617) of an ``Authorization`` header."""

from base64 import b64decode
from typing import Final

from proxy_core.access.identity import Credential

#: Longest header that is decoded, in bytes. Job tokens and ``id_tokens`` come as passwords of several KiB.
MAX_AUTHORIZATION: Final = 16 * 1024


def read_basic(authorization: bytes) -> Credential | None:
    """The credential, or ``None`` when the header is not Basic, not base64, not UTF-8, without colon, or too long."""
    scheme, _, encoded = authorization.partition(b" ")
    if scheme.lower() != b"basic" or len(authorization) > MAX_AUTHORIZATION:
        return None
    try:
        text = b64decode(encoded.strip(), validate=True).decode()
    except ValueError:
        return None
    username, colon, password = text.partition(":")
    return Credential(username, password) if colon else None
