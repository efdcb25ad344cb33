"""Signed tokens: JSON Web Tokens (RFC 7519) under Ed25519 (RFC 8037, RFC 9864), and the files their keys live in.

Pull tokens and job credentials are both made here, so what is accepted is as narrow as it can be: one algorithm under
its one name, a ``kid`` that is the RFC 7638 thumbprint of a key we know, and the claims ``iss``, ``aud`` and ``exp``.
joserfc imports cryptography, which takes a tenth of a second: it is loaded when a key is first touched.
"""

import json
import os
import secrets
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from proxy_core.errors import StorageError

if TYPE_CHECKING:
    from joserfc.jwk import OKPKey

#: The name of RFC 9864. ``EdDSA``, which leaves the curve open, is deprecated there and never accepted.
ALGORITHM: Final = "Ed25519"
SIGNING_KEY_FILE: Final = "token-signing-key.pem"
#: Longest token that is looked at, in characters. Servers refuse longer header lines anyway.
MAX_TOKEN: Final = 16 * 1024
_MAX_KEY_FILE: Final = 16 * 1024
_LAST_SECOND: Final = 2**53

Claims = Mapping[str, object]


class Rejection(Enum):
    """Why a token is not accepted; the value reads on from "The token is not accepted:"."""

    MALFORMED = "it is not a signed token"
    ALGORITHM = "it is not signed with Ed25519"
    KEY = "it is signed with a key that is not known here"
    SIGNATURE = "its signature is wrong"
    ISSUER = "it comes from another issuer"
    AUDIENCE = "it is meant for another audience"
    EXPIRED = "it has expired"
    NOT_YET = "it is not valid yet (compare the clocks of the two machines)"


def sign(claims: Claims, key: "OKPKey") -> str:
    """A token in compact form; its header names the key by thumbprint.

    :param claims: must be JSON; ``exp`` and ``iss`` and ``aud`` are up to the caller, and :func:`verify` demands them.
    :param key: an Ed25519 private key.
    """
    from joserfc import jws

    header = {"alg": ALGORITHM, "kid": key.thumbprint(), "typ": "JWT"}
    payload = json.dumps(claims, separators=(",", ":")).encode()
    return jws.serialize_compact(header, payload, key, algorithms=[ALGORITHM])


def key_ring(keys: Iterable["OKPKey"]) -> dict[str, "OKPKey"]:
    """Keys by thumbprint, as :func:`verify` looks them up. Several at once make a rotation."""
    return {key.thumbprint(): key for key in keys}


def verify(
    token: str, keys: Mapping[str, "OKPKey"], *, issuer: str, audience: str, now: float, leeway: float = 0.0
) -> Claims | Rejection:
    """The claims of a token, or why it is not accepted. The signature is checked before any claim is believed.

    :param keys: see :func:`key_ring`.
    :param issuer: what ``iss`` must be, to the letter.
    :param audience: what ``aud`` must be, or contain.
    :param now: seconds since the epoch.
    :param leeway: seconds by which the signer's clock may be ahead of ours: for ``nbf`` and ``iat``, never for ``exp``.
    """
    signed = _signed_claims(token, keys)
    if isinstance(signed, Rejection):
        return signed
    if signed.get("iss") != issuer:
        return Rejection.ISSUER
    audiences = signed.get("aud")
    if audience not in (audiences if isinstance(audiences, list) else [audiences]):
        return Rejection.AUDIENCE
    return _untimely(signed, now, leeway) or signed


def _signed_claims(token: str, keys: Mapping[str, "OKPKey"]) -> dict[str, object] | Rejection:
    header = _header(token)
    if header is None:
        return Rejection.MALFORMED
    if header.get("alg") != ALGORITHM:
        return Rejection.ALGORITHM
    key = keys.get(header.get("kid", ""))
    if key is None:
        return Rejection.KEY

    from joserfc import jws
    from joserfc.errors import BadSignatureError, JoseError

    try:
        claims = json.loads(jws.deserialize_compact(token, key, algorithms=[ALGORITHM]).payload)
    except BadSignatureError:
        return Rejection.SIGNATURE
    except (JoseError, ValueError, RecursionError):
        return Rejection.MALFORMED
    return claims if isinstance(claims, dict) else Rejection.MALFORMED


def _header(token: str) -> dict[str, str] | None:
    """The protected header, when it is what we would write: an object of texts.

    A header of other values (``crit`` as a number, say) never reaches joserfc, which takes some of them on trust.
    """
    if len(token) > MAX_TOKEN or not token.isascii() or token.count(".") != 2:
        return None

    from joserfc.util import json_b64decode

    try:
        header = json_b64decode(token.partition(".")[0].encode())
    except (ValueError, RecursionError):
        return None
    if not isinstance(header, dict) or not all(isinstance(value, str) for value in header.values()):
        return None
    return header


def _untimely(claims: Claims, now: float, leeway: float) -> Rejection | None:
    expires = _seconds(claims.get("exp"))
    begins = [_seconds(claims[name]) for name in ("nbf", "iat") if name in claims]
    if expires is None or None in begins:
        return Rejection.MALFORMED
    if now >= expires:
        return Rejection.EXPIRED
    if any(begin is not None and begin > now + leeway for begin in begins):
        return Rejection.NOT_YET
    return None


def _seconds(value: object) -> float | None:
    """A NumericDate (RFC 7519, section 2), unless it is a truth value, not a number, or beyond all reason."""
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LAST_SECOND:
        return value
    return None


def load_or_create_signing_key(directory: Path) -> "OKPKey":
    """The key that signs pull tokens; made at the first start and kept, so that tokens outlive a restart.

    Any number of processes may start at once: whose file comes first is everybody's key, and nobody sees half a file.

    :raises StorageError: the folder or the file can not be used, or others may read the file.
    """
    path = directory / SIGNING_KEY_FILE
    if not os.path.lexists(path):
        with suppress(FileExistsError):
            create_private_key(path)
    return read_private_key(path)


def create_private_key(path: Path) -> None:
    """Write a new Ed25519 private key (PKCS 8, PEM, mode 0600); the file is there whole, or not at all.

    :raises FileExistsError: there is something of that name; it is left alone.
    :raises StorageError: the folder can not be written to.
    """
    from joserfc.jwk import OKPKey

    pem = OKPKey.generate_key(ALGORITHM).as_pem(private=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with open(draft, "xb", opener=partial(os.open, mode=0o600)) as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)  # unlike a rename, never over another's file
        _sync_folder(path.parent)
    except FileExistsError:
        raise
    except OSError as error:
        raise StorageError(
            f"The key file {path} can not be written: {error.strerror}.",
            "Give the user that runs this the right to write to the folder, on a file system with hard links.",
        ) from error
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def read_private_key(path: Path) -> "OKPKey":
    """An Ed25519 private key from a PEM file that only its owner can read.

    :raises StorageError: it is missing, readable by others, or holds something else.
    """
    key = _read_key(path, private=True)
    if not key.is_private:
        raise _wrong_kind(path, "private")
    return key


def read_public_key(path: Path) -> "OKPKey":
    """An Ed25519 public key from a PEM file.

    :raises StorageError: it is missing, or holds something else; a private key, above all, which has no place there.
    """
    key = _read_key(path, private=False)
    if key.is_private:
        raise _wrong_kind(path, "public")
    return key


def _read_key(path: Path, *, private: bool) -> "OKPKey":
    from joserfc.errors import JoseError
    from joserfc.jwk import OKPKey

    kind = "private" if private else "public"
    pem = _read_bounded(path, private=private)
    try:
        key = OKPKey.import_key(pem)
    except (JoseError, ValueError, TypeError) as error:  # TypeError: a key under a passphrase
        raise _wrong_kind(path, kind) from error
    if key.curve_name != ALGORITHM:
        raise _wrong_kind(path, kind)
    return key


def _read_bounded(path: Path, *, private: bool) -> bytes:
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise StorageError(f"The key file {path} is not a file.", "Name a PEM file.")
            if private and mode & 0o077:
                raise StorageError(
                    f"The private key {path} is open to other users (mode {stat.S_IMODE(mode):04o}).",
                    f"Run: chmod 600 {path} (and make a new key if others may have read it).",
                )
            return file.read(_MAX_KEY_FILE)
    except OSError as error:
        raise StorageError(
            f"The key file {path} can not be read: {error.strerror}.", "Check the path and its rights."
        ) from error


def _without_waiting(path: str, flags: int) -> int:
    """Should the path be a pipe's, nobody waits for its writer."""
    return os.open(path, flags | os.O_NONBLOCK)


def _wrong_kind(path: Path, kind: str) -> StorageError:
    return StorageError(
        f"The file {path} does not hold an Ed25519 {kind} key in PEM form, without a passphrase.",
        "Put the right key there, or remove the file and make a new key.",
    )


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
