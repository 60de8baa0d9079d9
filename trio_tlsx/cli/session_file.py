"""A session store in a file, for the next run of ``trio-tlsx connect``."""

from __future__ import annotations

import hashlib
import os
import tempfile
from os import urandom
from pathlib import Path

from ..errors import ConfigError
from ..sessions.client import Session
from ..sessions.sealing import KEY_LENGTH

__all__ = ["SessionFile", "trust_context"]

MAGIC = b"trio-tlsx session\n"


def trust_context(ca: Path | None) -> bytes:
    """Return the session context of these CAs; sessions of other CAs are not resumed."""
    return b"platform" if ca is None else hashlib.sha256(ca.read_bytes()).digest()


class SessionFile:
    """A session store for one session, the newest, in a file that only its owner can read.

    The file starts with the key that encrypts the session. So the encryption does not hide the
    session from a reader of the file, but it detects a damaged file.

    Args:
        path: the file; it may not exist yet.

    Raises:
        ConfigError: the file contains something else and must not be overwritten, or its directory
            does not exist.
        OSError: the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        if not path.parent.is_dir():
            raise ConfigError(
                f"the directory {path.parent} does not exist; create it, or give another --session"
            )
        if path.exists() and not path.read_bytes().startswith(MAGIC):
            raise ConfigError(f"{path} exists and is not a session file; give another --session")

    def put(self, session: Session) -> None:
        """Replace the stored session."""
        key = urandom(KEY_LENGTH)
        # mkstemp makes a file that only its owner can read (0600).
        descriptor, name = tempfile.mkstemp(dir=self._path.parent, prefix=self._path.name)
        with open(descriptor, "wb") as file:
            file.write(MAGIC + key + session.to_bytes(key))
        os.replace(name, self._path)

    def take(self, server_name: str, port: int | None, context: bytes) -> Session | None:
        """Return the session and remove the file, since a ticket is used once."""
        try:
            data = self._path.read_bytes().removeprefix(MAGIC)
        except FileNotFoundError:
            return None
        self._path.unlink()
        try:
            return Session.from_bytes(data[KEY_LENGTH:], data[:KEY_LENGTH])
        except ValueError:  # the file is damaged or has another format version
            return None
