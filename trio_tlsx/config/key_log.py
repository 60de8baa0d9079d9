"""The key log, with which tools decrypt recorded connections, in the format of RFC 9850.

Whoever has it reads everything. That is what it is for, and nothing turns it on but the program.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeAlias

from ..errors import ConfigError

__all__ = ["KeyLog", "key_log_from_environment", "key_log_writer"]

#: A file to append to, or a function that is given each line, without its end.
KeyLog: TypeAlias = str | os.PathLike[str] | Callable[[str], object]


def key_log_from_environment() -> str | None:
    """The file that the environment variable ``SSLKEYLOGFILE`` names, None if it names none.

    Nothing in this library looks at the variable but this function.
    """
    return os.environ.get("SSLKEYLOGFILE") or None


def key_log_writer(key_log: KeyLog) -> Callable[[str], object]:
    """What is to be called with each line.

    Raises:
        ConfigError: the file cannot be written to.
    """
    if callable(key_log):
        return key_log
    path = os.fspath(key_log)

    def append(line: str) -> None:
        # One write per line: several processes may append to the same file. It is opened each
        # time, so that it may be moved away meanwhile.
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, line.encode("ascii"))
        finally:
            os.close(descriptor)

    try:
        append("")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", "no file can have this name")
        raise ConfigError(f"the key log {path!r} cannot be written: {reason}") from error
    return lambda line: append(line + "\n")
