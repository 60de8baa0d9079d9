"""Convert exceptions to the one line on standard error."""

from __future__ import annotations

import base64
import os
import shutil
import socket
import sys
import textwrap
from collections.abc import Collection
from typing import cast

import click
import trio

from ..errors import (
    AlertDescription,
    AlertReceived,
    CertificateError,
    ConfigError,
    ECHRejected,
    NegotiationError,
    TLSError,
)
from ..pki.certificates import MALFORMED
from ..pki.describe import one_line
from ..pki.server_name import ServerName
from ..verification.host_names import is_named

__all__ = ["FAILURES", "describe", "print_failure", "single", "with_advice"]

#: Errors of the user or of the network. Any other exception is a bug and keeps its traceback.
FAILURES = (click.ClickException, ConfigError, OSError, TLSError, trio.BrokenResourceError)


def describe(error: Exception) -> str:
    """Return one line that describes the error."""
    if isinstance(error, click.ClickException):
        text = error.format_message()
        if isinstance(error, click.UsageError) and error.ctx is not None:
            text = f"{text.rstrip('.')} (see {error.ctx.command_path} --help)"
    elif isinstance(error, OSError):
        text = _describe_os_error(error)
    else:
        text = str(error)
    return one_line(text)


def print_failure(error: Exception) -> None:
    """Print one line on standard error; a terminal gets it without words that are cut."""
    line = f"trio-tlsx: {describe(error)}"
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns
        line = textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False)
    click.echo(line, err=True)


def _describe_os_error(error: OSError) -> str:
    """Return the system's message; for several connection attempts, each message once."""
    attempts = [cause for cause in _members(error.__cause__) if isinstance(cause, OSError)]
    if attempts:
        return "; ".join(dict.fromkeys(map(_describe_os_error, attempts)))
    if isinstance(error, socket.gaierror) or error.errno is None:
        return error.strerror or str(error)
    reason = os.strerror(error.errno)
    return f"{error.filename}: {reason}" if error.filename else reason


def with_advice(
    error: trio.BrokenResourceError, server_name: str, *, without: Collection[str] = ()
) -> str:
    """Return the reason of a failed connection, with the options that may help.

    Args:
        error: the failure.
        server_name: the name that the certificate was verified for.
        without: the options that the command does not have or that cannot help.
    """
    if isinstance(error.__cause__, ECHRejected):
        return _rejection(error.__cause__)
    advice = _advice(error.__cause__, server_name, without)
    return f"{error}; {advice}" if advice else str(error)


def _rejection(error: ECHRejected) -> str:
    """Return what to do after a rejection of ECH, with the options in place of the arguments."""
    rejected = "the server rejected the encrypted ClientHello"
    if error.retry_configs is not None:
        configs = base64.b64encode(error.retry_configs).decode("ascii")
        return f"{rejected}: {error.public_name} has other keys now; give --ech {configs}"
    if error.is_disabled:
        return (
            f"{rejected}: {error.public_name} has turned ECH off; leave out --ech if the name may "
            "be seen"
        )
    return (
        f"{rejected}, and it was not verified; remove --insecure to get its current configurations"
    )


def _advice(cause: BaseException | None, server_name: str, without: Collection[str]) -> str | None:
    if isinstance(cause, AlertReceived | NegotiationError):
        if cause.alert is AlertDescription.certificate_required:
            if "--cert" not in without:
                return "give a client certificate with --cert FILE --key FILE"
            return "the one of --cert must come from a CA that the server trusts"
        if isinstance(cause, AlertReceived) and cause.alert is AlertDescription.unknown_ca:
            return "the one of --cert must come from a CA that the server trusts"
        if cause.alert is AlertDescription.protocol_version and "--tls-min" not in without:
            return "to offer TLS 1.2 too, give --tls-min 1.2"
        return None
    if not isinstance(cause, CertificateError):
        return None
    if cause.alert is AlertDescription.unknown_ca:
        skipping = "" if "--insecure" in without else "; to skip verification, --insecure"
        return f"to trust it, give --ca FILE{skipping}"
    if "--server-name" in without or cause.alert is not AlertDescription.bad_certificate:
        return None
    if cause.certificate is None or isinstance(cause.__cause__, CertificateError):
        return None  # the second is a certificate for the public name of ECH
    try:
        is_right_name = is_named(cause.certificate, ServerName.parse(server_name))
    except MALFORMED:
        return None
    return None if is_right_name else "give one of its names with --server-name NAME"


def single(error: BaseException) -> BaseException:
    """Return the first error of a nursery's exception group, or the error itself."""
    members = _members(error)
    return error if members == (error,) else single(members[0])


def _members(error: BaseException | None) -> tuple[BaseException, ...]:
    if isinstance(error, BaseExceptionGroup):
        return cast("BaseExceptionGroup[BaseException]", error).exceptions
    return () if error is None else (error,)
