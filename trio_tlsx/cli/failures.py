"""From an exception to the one line that a person reads on standard error."""

from __future__ import annotations

import os
import socket
from typing import cast

import click
import trio

from ..errors import ConfigError, TLSError
from ..pki.describe import printable

__all__ = ["FAILURES", "describe", "single"]

#: What is the user's or the network's fault; anything else is ours and keeps its traceback.
FAILURES = (click.ClickException, ConfigError, OSError, TLSError, trio.BrokenResourceError)


def describe(error: Exception) -> str:
    """One line that says what failed."""
    if isinstance(error, click.ClickException):
        text = error.format_message()
        if isinstance(error, click.UsageError) and error.ctx is not None:
            text = f"{text.rstrip('.')} ({error.ctx.command_path} --help tells more)"
    elif isinstance(error, OSError):
        text = _describe_os_error(error)
    else:
        text = str(error)
    return printable(" ".join(text.split()))


def _describe_os_error(error: OSError) -> str:
    """The system's own words; of trio's connection attempts, each different reason once."""
    attempts = [cause for cause in _members(error.__cause__) if isinstance(cause, OSError)]
    if attempts:
        return "; ".join(dict.fromkeys(map(_describe_os_error, attempts)))
    if isinstance(error, socket.gaierror) or error.errno is None:
        return error.strerror or str(error)
    reason = os.strerror(error.errno)
    return f"{error.filename}: {reason}" if error.filename else reason


def single(error: BaseException) -> BaseException:
    """Of what a nursery raised, the error that counts: the first."""
    members = _members(error)
    return error if members == (error,) else single(members[0])


def _members(error: BaseException | None) -> tuple[BaseException, ...]:
    if isinstance(error, BaseExceptionGroup):
        return cast("BaseExceptionGroup[BaseException]", error).exceptions
    return () if error is None else (error,)
