"""Containment: the faults of one connection do not end the server.

Anybody on the network can make a handshake fail or reset a connection. The logger ``trio_tlsx``
then logs one line, and the connection is closed.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar, cast

from ..errors import AlertReceived, TLSError
from ..pki.describe import one_line
from .library import AsyncLibrary
from .stream_methods import StreamMethods

__all__ = ["HANDSHAKE_TIMEOUT", "handle_connection"]

S = TypeVar("S", bound=StreamMethods[Any])

#: The default time limit of a client's handshake, in seconds.
HANDSHAKE_TIMEOUT = 10

#: The most characters of a reason that are logged: the reason may quote data of the peer.
MAX_REASON_LENGTH = 500

_log = logging.getLogger("trio_tlsx")


async def handle_connection(
    stream: S,
    handler: Callable[[S], Awaitable[object]],
    peer: Callable[[], str],
    library: AsyncLibrary,
    *,
    replayable_early_data: bool = False,
    raise_connection_errors: bool = False,
) -> None:
    """Do the handshake, call the handler, and log the faults of this connection.

    Args:
        stream: the stream of the connection, on a server.
        handler: called after the handshake.
        peer: returns the name of the peer for the log.
        library: the async library of the stream.
        replayable_early_data: accept early data, and call the handler as soon as there is some.
        raise_connection_errors: also raise the errors that are otherwise logged.
    """
    try:
        await stream.do_handshake(until_replayable_early_data=replayable_early_data)
    except Exception as error:
        if not raise_connection_errors:
            _log_failed_handshake(peer(), error, library)
        with suppress(Exception):  # the first error explains the end
            await stream.aclose()  # lets the alert arrive
        if raise_connection_errors:
            raise
    else:
        if raise_connection_errors:
            await handler(stream)
        else:
            await _run_handler(stream, handler, peer(), library)


def _log_failed_handshake(peer: str, error: Exception, library: AsyncLibrary) -> None:
    if isinstance(error, library.BrokenResourceError):
        _log.warning("TLS handshake with %s failed: %s", peer, _explained(error))
    else:
        _log.warning("TLS handshake with %s failed: %s", peer, _one_line(error), exc_info=error)


async def _run_handler(
    stream: S,
    handler: Callable[[S], Awaitable[object]],
    peer: str,
    library: AsyncLibrary,
) -> None:
    try:
        await handler(stream)
    except library.BrokenResourceError as error:
        if not stream.has_raised(error):
            raise
        _log.warning("TLS connection with %s broke: %s", peer, _explained(error))
    except BaseExceptionGroup as group:
        # Before Python 3.13 the condition has to be a function, not a method.
        own, rest = group.split(lambda error: stream.has_raised(error))
        if own is None or not _is_cancellation(rest, library):
            raise
        _log.warning("TLS connection with %s broke: %s", peer, _explained(_first_leaf(own)))
        if rest is not None:
            raise rest from None


def _is_cancellation(
    group: BaseExceptionGroup[BaseException] | None, library: AsyncLibrary
) -> bool:
    """Return whether all leaves of a group are cancellations; None has no leaves."""
    return group is None or group.split(library.cancelled_class())[1] is None


def _first_leaf(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        error = group.exceptions[0]
    return error


def _explained(error: BaseException) -> str:
    """Return in one line which side sent which alert, and why."""
    why = _one_line(error)
    cause = error.__cause__
    if not isinstance(cause, TLSError) or cause.alert is None:
        return why
    if isinstance(cause, AlertReceived):  # its text begins with the alert
        return why
    if cause.refused_by == "us":
        return f"we sent the alert {cause.alert.name}: {why}"
    return f"the peer sent the alert {cause.alert.name}: {why}"


def _one_line(error: BaseException) -> str:
    line = one_line(str(error) or type(error).__name__)
    return line if len(line) <= MAX_REASON_LENGTH else line[:MAX_REASON_LENGTH] + "..."
