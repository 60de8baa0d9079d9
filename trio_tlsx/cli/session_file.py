"""A session in a file, from one run of ``trio-tlsx connect`` to the next."""

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
    """What to call this trust: a session that was made under another is not resumed."""
    return b"platform" if ca is None else hashlib.sha256(ca.read_bytes()).digest()


class SessionFile:
    """A store of one session, the newest, which only its owner can read.

    The key that it is sealed with stands in front of it: so it is no secret from who can read the
    file, but one that was damaged is noticed.

    Args:
        path: the file, which need not be there yet.

    Raises:
        ConfigError: the file holds something else, which is not to be overwritten; or there is no
            directory for it.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        if not path.parent.is_dir():
            raise ConfigError(f"{path.parent} is no directory that a session could be kept in")
        if path.exists() and not path.read_bytes().startswith(MAGIC):
            raise ConfigError(f"{path} is there, and is no file of a session")

    def put(self, session: Session) -> None:
        """Write it, in the place of the one before."""
        key = urandom(KEY_LENGTH)
        # mkstemp makes a file that only its owner can read (0600).
        descriptor, name = tempfile.mkstemp(dir=self._path.parent, prefix=self._path.name)
        with open(descriptor, "wb") as file:
            file.write(MAGIC + key + session.to_bytes(key))
        os.replace(name, self._path)

    def take(self, server_name: str, port: int | None, context: bytes) -> Session | None:
        """Give it, and remove the file: a ticket is for one use."""
        try:
            data = self._path.read_bytes().removeprefix(MAGIC)
        except FileNotFoundError:
            return None
        self._path.unlink()
        try:
            return Session.from_bytes(data[KEY_LENGTH:], data[:KEY_LENGTH])
        except ValueError:  # it was cut, say, or is of another version
            return None
