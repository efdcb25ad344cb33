"""Passwords under argon2id (RFC 9106): making hashes, and checking them without stopping the event loop."""

import asyncio
import hmac
import re
import secrets
from base64 import b64decode, b64encode
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError, VerifyMismatchError

from proxy_core.errors import ConfigurationError, Unavailable

#: Longest password in bytes; longer ones match nothing and are not hashed.
MAX_PASSWORD: Final = 4096
_RETRY_AFTER: Final = 2  # seconds

# OWASP's smallest profile for argon2id (19 MiB, two passes). With RFC 9106's 64 MiB two logins at once would cost a
# worker more memory than everything else it does.
_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)

_HASH = re.compile(
    r"(?P<head>\$argon2id\$v=\d+\$m=\d+,t=\d+,p=\d+)\$(?P<salt>[A-Za-z0-9+/]{11,86})\$(?P<tag>[A-Za-z0-9+/]{16,172})",
    re.ASCII,
)


def hash_password(password: str) -> str:
    """The hash that ``users: NAME: password_hash`` takes.

    :raises ConfigurationError: the password is empty, or too long ever to be accepted.
    """
    if not 0 < len(password.encode()) <= MAX_PASSWORD:
        raise ConfigurationError(
            "The password is empty or too long.", f"Give one of 1 to {MAX_PASSWORD} bytes, on standard input."
        )
    return _HASHER.hash(password)


def decoy_of(password_hash: str) -> str:
    """A hash that costs the same to check, and that nobody knows a password for.

    :raises ConfigurationError: the text is not an argon2id hash.
    """
    parts = _HASH.fullmatch(password_hash)
    if parts is None or not (_is_base64(parts["salt"]) and _is_base64(parts["tag"])):
        raise ConfigurationError(
            "The password hash is not one of argon2id.", "Make one with: runner-bridge users hash-password"
        )
    return f"{parts['head']}${_noise(parts['salt'])}${_noise(parts['tag'])}"


def _is_base64(text: str) -> bool:
    try:
        return _unpadded(b64decode(text + "=" * (-len(text) % 4), validate=True)) == text
    except ValueError:
        return False


def _noise(like: str) -> str:
    return _unpadded(secrets.token_bytes(len(like) * 3 // 4))


def _unpadded(data: bytes) -> str:
    return b64encode(data).rstrip(b"=").decode()


class PasswordChecks:
    """Checks passwords in threads of its own.

    Each check takes some 20 ms of a core, and 19 MiB that the thread's allocator then keeps; there is a worker for
    each core, so one at a time is as fast as several. ``waiting`` more wait, and one that is asked for again while
    it runs is not run twice: fifty jobs that start together cost one. A yes is remembered for ``remember`` seconds
    under an HMAC of name, password and hash, with a key that no one but this process has; a no is never remembered.
    So clients that log in for each image, as all do, stay cheap, and those who are known get in while strangers fill
    the queue.
    """

    def __init__(
        self, *, at_once: int = 1, waiting: int = 64, remember: float = 60.0, max_remembered: int = 1024
    ) -> None:
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="argon2")
        self._max_running = at_once + waiting
        self._running: dict[bytes, asyncio.Future[bool]] = {}
        self._remember = remember
        self._max_remembered = max_remembered
        self._remembered: dict[bytes, float] = {}  # when each was found right
        self._key = secrets.token_bytes(32)

    async def matches(self, username: str, password: str, password_hash: str, now: float) -> bool:
        """Whether the hash is this password's.

        :param now: seconds since the epoch.
        :raises Unavailable: too many others wait, or there is no memory for a check.
        """
        secret = password.encode()
        if len(secret) > MAX_PASSWORD:
            return False
        fingerprint = self._fingerprint(username.encode(), secret, password_hash.encode())
        if self._is_remembered(fingerprint, now):
            return True
        right = await asyncio.shield(self._check(fingerprint, secret, password_hash))
        if right:
            self._put(fingerprint, now)
        return right

    def close(self) -> None:
        """End the threads; checks that have not begun are dropped."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _check(self, fingerprint: bytes, secret: bytes, password_hash: str) -> "asyncio.Future[bool]":
        running = self._running.get(fingerprint)
        if running is not None:
            return running
        if len(self._running) >= self._max_running:
            raise _busy("Too many logins are being checked at this moment.")
        running = asyncio.get_running_loop().run_in_executor(self._threads, _matches, secret, password_hash)
        self._running[fingerprint] = running
        running.add_done_callback(lambda _: self._running.pop(fingerprint, None))
        return running

    def _fingerprint(self, *parts: bytes) -> bytes:
        message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hmac.digest(self._key, message, "sha256")

    def _is_remembered(self, fingerprint: bytes, now: float) -> bool:
        at = self._remembered.get(fingerprint)
        return at is not None and 0 <= now - at < self._remember

    def _put(self, fingerprint: bytes, now: float) -> None:
        self._remembered.pop(fingerprint, None)
        self._remembered[fingerprint] = now
        if len(self._remembered) > self._max_remembered:
            del self._remembered[next(iter(self._remembered))]


def _matches(secret: bytes, password_hash: str) -> bool:
    try:
        return _HASHER.verify(password_hash, secret)
    except VerifyMismatchError:
        return False
    except VerificationError as error:
        raise _busy(f"The password can not be checked: {error}.") from error


def _busy(cause: str) -> Unavailable:
    return Unavailable(cause, f"Try again in {_RETRY_AFTER} seconds.", headers={"Retry-After": str(_RETRY_AFTER)})
