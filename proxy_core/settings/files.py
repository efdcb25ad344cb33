"""Reading the small files that settings name, with bounds: never a device, a pipe or a disk image by mistake."""

import os
import stat
from pathlib import Path
from typing import Final

from proxy_core.errors import ConfigurationError

MAX_SETTINGS: Final = 1024 * 1024
MAX_SECRET: Final = 16 * 1024
MAX_CERTIFICATES: Final = 4 * 1024 * 1024


def read_file(path: Path, limit: int) -> bytes:
    """All of a regular file.

    :raises ConfigurationError: it can not be read, is no regular file, or has more than ``limit`` bytes.
    """
    try:
        # O_NONBLOCK: opening a pipe nobody writes to would wait for ever.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ConfigurationError(f"{path} is no regular file.", "Name a file.")
            content = file.read(limit + 1)
    except FileNotFoundError:
        raise ConfigurationError(f"{path} is not there.", "Create it, or correct the path.") from None
    except IsADirectoryError:
        raise ConfigurationError(f"{path} is a folder.", "Name a file in it.") from None
    except OSError as error:
        fix = "Make it readable for the user that this runs as."
        raise ConfigurationError(f"{path} can not be read: {error.strerror}.", fix) from None
    if len(content) > limit:
        raise ConfigurationError(f"{path} has more than {limit} bytes.", "Is this the right file?")
    return content


def read_secret(path: Path) -> str:
    """A password or token from a file of its own, without the newline that editors put at the end.

    :raises ConfigurationError: it can not be read, is empty, or is not text.
    """
    try:
        secret = read_file(path, MAX_SECRET).decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} is not text in UTF-8.", "Store the password as text.") from None
    if not secret:
        raise ConfigurationError(f"{path} is empty.", "Put the password into it.")
    if any(character in secret for character in "\0\r\n"):
        raise ConfigurationError(f"{path} has more than one line.", "Leave only the password in it.")
    return secret
