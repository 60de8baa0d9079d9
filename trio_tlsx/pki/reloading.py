"""Credentials that reload their files after a renewal."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable
from typing import Self

from ..errors import ConfigError
from .credentials import Credentials

__all__ = ["ReloadingCredentials"]

logger = logging.getLogger("trio_tlsx")

#: How often the files are looked at, at the most, in seconds.
CHECK_SECONDS = 1.0


class ReloadingCredentials:
    """Credentials that are loaded again when their files have changed.

    Give it as ``select_credentials`` of a server or a client. The files are looked at when a
    handshake needs them, once a second at the most; connections that exist go on. A pair that is
    half written, or broken in whatever way, is not used: the one before is, one line is logged,
    and the files are tried again. A directory whose symbolic link is swapped, as Kubernetes does
    it, counts as a change.

    Args:
        load: gives the credentials, or raises ConfigError.
        paths: the files that they come from.
        clock: gives seconds that never run backwards.

    Attributes:
        current: the credentials of the last check.

    Raises:
        ConfigError: they cannot be loaded now.
    """

    def __init__(
        self,
        load: Callable[[], Credentials],
        paths: Iterable[str | os.PathLike[str]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load = load
        self._paths = tuple(paths)
        self._clock = clock
        self._state = self._look()  # before loading: what changes meanwhile is a change
        self.current = load()
        self._checked_at = clock()
        self._fault: str | None = None

    @classmethod
    def from_pem_files(
        cls,
        cert: str | os.PathLike[str],
        key: str | os.PathLike[str],
        password: str | bytes | None = None,
    ) -> Self:
        """Follow a certificate chain and its private key; see ``Credentials.from_pem_files``.

        Raises:
            ConfigError: they cannot be loaded now.
        """
        return cls(lambda: Credentials.from_pem_files(cert, key, password), (cert, key))

    def __call__(self, request: object) -> Credentials:
        """The credentials for a handshake, whoever asks."""
        now = self._clock()
        if now - self._checked_at >= CHECK_SECONDS:
            self._checked_at = now
            self._check()
        return self.current

    def _check(self) -> None:
        state = self._look()
        # Of a fault nobody can tell whether a file was being written that looks the same since.
        if state == self._state and self._fault is None:
            return
        try:
            loaded = self._load()
        except ConfigError as error:
            if str(error) != self._fault:
                self._fault = str(error)
                logger.warning(
                    "credentials: %s cannot be loaded, those from before stay in use: %s",
                    " and ".join(repr(os.fspath(path)) for path in self._paths),
                    error,
                )
            return
        if self._look() == state:  # else it was written meanwhile, and this may be a half of it
            self.current = loaded
            self._state, self._fault = state, None

    def _look(self) -> tuple[object, ...]:
        return tuple(map(_state_of, self._paths))

    def __repr__(self) -> str:
        return f"<ReloadingCredentials, now {self.current!r}>"


def _state_of(path: str | os.PathLike[str]) -> object:
    """What changes when a file is written, or another takes its place."""
    try:
        status = os.stat(path)
    except OSError as error:
        return error.errno
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
