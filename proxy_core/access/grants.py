"""What a pull token grants, and the memory of tokens that were verified."""

from collections import OrderedDict
from dataclasses import dataclass

from proxy_core.reference import Image

_MAX_COUNT = 10_000
_MAX_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Grant:
    """What a verified pull token says."""

    source: str  # the source of identity that vouched for the holder
    subject: str
    images: frozenset[Image]  # that may be pulled
    issued_at: float  # seconds since the epoch
    expires_at: float
    token_id: str
    credential_id: str = ""  # of the credential that was shown for it, if that can be revoked

    def touches(self, group: str) -> bool:
        """Whether any image of the group is granted."""
        return any(image.group == group for image in self.images)


class RememberedGrants:
    """Grants by the whole ``Authorization`` header that carried their token; the least recently used are dropped.

    To verify a signature costs fifty times the rest of an answer. The key is the text itself and no digest of it, so
    that no other text can ever stand for it. Bounded in number and in bytes of keys.
    """

    def __init__(self, max_count: int = _MAX_COUNT, max_bytes: int = _MAX_BYTES) -> None:
        self._grants: OrderedDict[bytes, Grant] = OrderedDict()
        self._max_count = max_count
        self._max_bytes = max_bytes
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._grants)

    def get(self, authorization: bytes, now: float) -> Grant | None:
        """The grant of this header, unless it is not known or has expired."""
        grant = self._grants.get(authorization)
        if grant is None:
            return None
        if now >= grant.expires_at:
            self._forget(authorization)
            return None
        self._grants.move_to_end(authorization)
        return grant

    def put(self, authorization: bytes, grant: Grant) -> None:
        """Remember a grant whose token was verified."""
        if authorization in self._grants:
            self._forget(authorization)
        self._grants[authorization] = grant
        self._bytes += len(authorization)
        while len(self._grants) > self._max_count or self._bytes > self._max_bytes:
            self._forget(next(iter(self._grants)))

    def _forget(self, authorization: bytes) -> None:
        del self._grants[authorization]
        self._bytes -= len(authorization)
