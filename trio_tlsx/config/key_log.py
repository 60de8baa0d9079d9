"""Write the key log, with which tools decrypt recorded connections (RFC 9850).

Anyone who has the log can decrypt the connections. Only the program turns it on.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeAlias

from ..errors import ConfigError

__all__ = ["KeyLog", "key_log_from_environment", "key_log_writer"]

#: The path of a file to append to, or a function that is called with each line, without its end.
KeyLog: TypeAlias = str | os.PathLike[str] | Callable[[str], object]


def key_log_from_environment() -> str | None:
    """Return the path in the environment variable ``SSLKEYLOGFILE``; None if it is unset or empty.

    Only this function reads the variable.
    """
    return os.environ.get("SSLKEYLOGFILE") or None


def key_log_writer(key_log: KeyLog) -> Callable[[str], object]:
    """Return the function to call with each line.

    Raises:
        ConfigError: the file cannot be written.
    """
    if callable(key_log):
        return key_log
    path = os.fspath(key_log)

    def append(line: str) -> None:
        # One write per line: several processes may append to the same file. It is opened for each
        # line, so that it can be moved away at any time.
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, line.encode("ascii"))
        finally:
            os.close(descriptor)

    try:
        append("")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", "no file can have this name")
        raise ConfigError(
            f"the key log {path!r} cannot be written: {reason}; pass a path that can be written"
        ) from error
    return lambda line: append(line + "\n")
