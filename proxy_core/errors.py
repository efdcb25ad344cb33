"""The one tree of errors.

::

    ProxyError                         anything that this project raises on purpose
    ├── ConfigurationError             a file, key or folder that stops the start (exit code 2)
    ├── StorageError                   a folder or an index that can not be used
    └── RegistryError                  what a registry client is told
        ├── NameInvalid                400 NAME_INVALID
        ├── DigestInvalid              400 DIGEST_INVALID
        ├── Unauthorized               401 UNAUTHORIZED
        ├── Denied                     403 DENIED
        ├── NameUnknown                404 NAME_UNKNOWN
        ├── ManifestUnknown            404 MANIFEST_UNKNOWN
        ├── BlobUnknown                404 BLOB_UNKNOWN
        ├── Unsupported                405 UNSUPPORTED
        ├── RangeNotSatisfiable        416 SIZE_INVALID
        ├── TooManyRequests            429 TOOMANYREQUESTS
        ├── Unavailable                503 UNAVAILABLE   trying again may help
        └── UpstreamBroken             502 UNKNOWN       trying again will not help

The codes are those of the OCI distribution specification, section "Error Codes". It knows none for 5xx; there the
two that docker's own registry added are used.
"""

from collections.abc import Mapping
from types import MappingProxyType

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class ProxyError(Exception):
    """Anything that this project raises on purpose. Never raised itself.

    :param cause: one line: what is wrong.
    :param fix: one line: what to do about it.
    """

    def __init__(self, cause: str, fix: str = "") -> None:
        super().__init__(cause, fix)
        self.cause = cause
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.cause} {self.fix}".rstrip()


class ConfigurationError(ProxyError):
    """The configuration can not be used; the start is stopped."""


class StorageError(ProxyError):
    """A storage folder or an index can not be used (rights, damage, a newer version's layout)."""


class RegistryError(ProxyError):
    """What a registry client is told, as status, code, message and detail. Never raised itself.

    :param cause: the ``message`` of the body and the ``cause`` of its detail: what is wrong, without any secret.
    :param fix: the ``next`` of the detail: the next step for the reader.
    :param headers: further headers of the answer, e.g. ``WWW-Authenticate`` or ``Retry-After``.
    :param status: another status than the class's own.
    """

    status = 500
    code = "UNKNOWN"

    def __init__(
        self,
        cause: str,
        fix: str = "",
        *,
        headers: Mapping[str, str] = _NO_HEADERS,
        status: int | None = None,
    ) -> None:
        super().__init__(cause, fix)
        self.headers = dict(headers)
        if status is not None:
            self.status = status


class NameInvalid(RegistryError):
    """A repository, group or tag that the grammar does not allow."""

    status, code = 400, "NAME_INVALID"


class DigestInvalid(RegistryError):
    """A digest that the grammar does not allow, or of an algorithm that is not served."""

    status, code = 400, "DIGEST_INVALID"


class Unauthorized(RegistryError):
    """No credential, or one that is not good. Carries the challenge in its headers."""

    status, code = 401, "UNAUTHORIZED"


class Denied(RegistryError):
    """The bearer is known and may not do this."""

    status, code = 403, "DENIED"


class NameUnknown(RegistryError):
    """There is no such group or repository, or none that the bearer may see."""

    status, code = 404, "NAME_UNKNOWN"


class ManifestUnknown(RegistryError):
    """The repository has no such manifest."""

    status, code = 404, "MANIFEST_UNKNOWN"


class BlobUnknown(RegistryError):
    """The repository has no such blob."""

    status, code = 404, "BLOB_UNKNOWN"


class Unsupported(RegistryError):
    """A method or an operation that a pull-through cache does not offer."""

    status, code = 405, "UNSUPPORTED"


class RangeNotSatisfiable(RegistryError):
    """A Range beyond the end (RFC 9110, section 15.5.17)."""

    status, code = 416, "SIZE_INVALID"


class TooManyRequests(RegistryError):
    """Somebody's limit is reached: the upstream's, or ours."""

    status, code = 429, "TOOMANYREQUESTS"


class Unavailable(RegistryError):
    """Something needed is away; trying again may help. 503, or 502 and 504 where a gateway says those."""

    status, code = 503, "UNAVAILABLE"


class UpstreamBroken(RegistryError):
    """The upstream answers, but with something that can not be passed on; trying again will not help."""

    status, code = 502, "UNKNOWN"
