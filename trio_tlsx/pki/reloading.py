"""Credentials that reload their files after a renewal."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable
from typing import Self

from cryptography import x509

from ..arguments import CALLABLE, PATH, Expected, check, listed, sequence_of
from ..errors import ConfigError
from .credentials import Credentials
from .describe import date, names_of, subject_of

__all__ = ["ReloadingCredentials"]

logger: logging.Logger = logging.getLogger("trio_tlsx")

LOAD = Expected(
    CALLABLE,
    "a function that returns Credentials, or call ReloadingCredentials.from_pem_files(cert, key)",
)
PATHS = Expected(sequence_of(PATH), "the paths of the files in a list, each a str or a Path")
MONOTONIC = Expected(CALLABLE, "a function that returns seconds, such as time.monotonic")

#: The shortest time between two checks of the files, in seconds.
CHECK_SECONDS = 1.0


class ReloadingCredentials:
    """Reload credentials when their files have changed.

    Pass it as ``select_credentials`` of a server or a client. A handshake checks the files, at
    most once per second. Existing connections are not affected. A reload is logged in one line, at
    level INFO. If the files cannot be loaded, for example because they are half written, the
    previous credentials stay in use; one line is logged at level WARNING, and the next check tries
    again. Swapping a symbolic link to a directory, as Kubernetes
    does, counts as a change.

    Args:
        load: returns the credentials, or raises ConfigError.
        paths: the files that ``load`` reads.
        clock: returns the time in seconds; it must never run backwards.

    Attributes:
        current: the credentials of the last check.

    Raises:
        ConfigError: an argument has the wrong type, or the credentials cannot be loaded now.
    """

    def __init__(
        self,
        load: Callable[[], Credentials],
        paths: Iterable[str | os.PathLike[str]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        check("load", load, LOAD)
        files = listed(paths)
        check("paths", files, PATHS)
        check("clock", clock, MONOTONIC)
        self._load = load
        self._paths = tuple(files)
        self._clock = clock
        self._state = self._look()  # before loading: a change during it is a change
        self.current: Credentials = load()
        self._checked_at = clock()
        self._fault: str | None = None

    @classmethod
    def from_pem_files(
        cls,
        cert: str | os.PathLike[str],
        key: str | os.PathLike[str],
        password: str | bytes | None = None,
    ) -> Self:
        """Reload a certificate chain and its private key; see ``Credentials.from_pem_files``.

        Raises:
            ConfigError: the files cannot be loaded now.
        """
        return cls(lambda: Credentials.from_pem_files(cert, key, password), (cert, key))

    def __call__(self, request: object) -> Credentials:
        """Return the credentials for a handshake; every request gets the same."""
        now = self._clock()
        if now - self._checked_at >= CHECK_SECONDS:
            self._checked_at = now
            self._check()
        return self.current

    def _check(self) -> None:
        state = self._look()
        # After a fault try again: a file that was being written may look the same since.
        if state == self._state and self._fault is None:
            return
        try:
            loaded = self._load()
        except ConfigError as error:
            if str(error) != self._fault:
                self._fault = str(error)
                logger.warning(
                    "credentials: %s cannot be loaded, the previous ones stay in use: %s",
                    self._named_paths(),
                    error,
                )
            return
        if self._look() == state:  # else a file was written meanwhile, and may be half loaded
            self.current = loaded
            self._state, self._fault = state, None
            logger.info("credentials: %s reloaded: %s", self._named_paths(), _described(loaded))

    def _look(self) -> tuple[object, ...]:
        return tuple(map(_state_of, self._paths))

    def _named_paths(self) -> str:
        return " and ".join(repr(os.fspath(path)) for path in self._paths)

    def __repr__(self) -> str:
        return f"<ReloadingCredentials, now {self.current!r}>"


def _described(credentials: Credentials) -> str:
    leaf = credentials.leaf
    if not isinstance(leaf, x509.Certificate):
        return "a raw public key"
    begin, end = date(leaf.not_valid_before_utc), date(leaf.not_valid_after_utc)
    return f"a certificate for {names_of(leaf) or subject_of(leaf)}, valid from {begin} to {end}"


def _state_of(path: str | os.PathLike[str]) -> object:
    """Return values that change when a file is written or replaced."""
    try:
        status = os.stat(path)
    except OSError as error:
        return error.errno
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
