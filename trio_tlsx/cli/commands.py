"""The command line itself: what can be typed, and what becomes of a failure."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click
import trio

from .._version import __version__
from ..config.client import ClientConfig
from ..config.server import MAX_EARLY_DATA_SIZE, MAX_TICKETS_ISSUED, ServerConfig
from ..pki.credentials import Credentials
from ..pki.trust import TrustStore
from . import connect as connecting
from . import demo as demonstration
from . import serve as serving
from .failures import FAILURES, describe, single
from .self_signed import self_signed
from .session_file import SessionFile, trust_context

INTERRUPTED = 130  # what shells report for a command that Ctrl-C ended

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
NEW_FILE = click.Path(dir_okay=False, path_type=Path)


def split_names(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[str, ...] | None:
    """Read ``A,B,C``."""
    if value is None:
        return None
    names = tuple(name.strip() for name in value.split(","))
    if not all(names):
        raise click.BadParameter(f"{value!r} has an empty name between its commas")
    return names


def split_target(
    context: click.Context, parameter: click.Parameter, value: str
) -> tuple[str, int]:
    """Read ``HOST:PORT``, with an IPv6 address in brackets."""
    host, colon, port = value.rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise click.BadParameter(f"{value!r} is not HOST:PORT")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise click.BadParameter(f"{value!r}: write an IPv6 address in brackets, [::1]:443")
    return host, int(port)


def run() -> int:
    """Do what the process's arguments say.

    Returns:
        The exit status; what went wrong is on standard error by then, in one line.
    """
    try:
        return trio_tlsx.main(prog_name="trio-tlsx", standalone_mode=False) or 0
    except (*FAILURES, BaseExceptionGroup, click.Abort, KeyboardInterrupt) as error:
        cause = single(error)
        if isinstance(cause, click.Abort | KeyboardInterrupt):
            return INTERRUPTED
        if not isinstance(cause, FAILURES):
            raise
        click.echo(f"trio-tlsx: {describe(cause)}", err=True)
        return cause.exit_code if isinstance(cause, click.ClickException) else 1


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=False,  # a mistake is one line, this one too
)
@click.version_option(__version__)
def trio_tlsx() -> None:
    """TLS 1.3 for trio, on the command line."""


@trio_tlsx.command()
@click.option(
    "--mebibytes",
    default=256,
    show_default=True,
    type=click.IntRange(1, 65536),
    help="How much the transfer at the end moves.",
)
def demo(mebibytes: int) -> None:
    """Show a handshake message by message, an echo, a cancelled handshake, and a transfer."""
    trio.run(demonstration.demo, mebibytes * 2**20)


@trio_tlsx.command()
@click.argument("target", callback=split_target, metavar="HOST:PORT")
@click.option("--ca", type=FILE, help="Trust the CAs in this PEM file, not the platform's.")
@click.option("--server-name", metavar="NAME", help="The name to ask and check for.  [HOST]")
@click.option("--alpn", callback=split_names, metavar="A,B", help="Protocols to offer.")
@click.option("--groups", callback=split_names, metavar="A,B", help="Key exchanges to offer.")
@click.option("--insecure", is_flag=True, help="Trust whoever answers. Only to look at it.")
@click.option("--session", type=NEW_FILE, help="Resume the session in it; keep the next there.")
@click.option(
    "--early-data",
    metavar="TEXT",
    default="",
    help="Send it with the first message, where the session allows that. It can be replayed.",
)
@click.option("--json", "as_json", is_flag=True, help="Describe the connection as JSON.")
@click.option("--quiet", is_flag=True, help="Do not describe the connection.")
def connect(
    target: tuple[str, int],
    ca: Path | None,
    server_name: str | None,
    alpn: tuple[str, ...] | None,
    groups: tuple[str, ...] | None,
    insecure: bool,
    session: Path | None,
    early_data: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """Connect, describe the connection, then be a pipe.

    What comes in on standard input goes to the peer, and what the peer sends goes to standard
    output, until either ends.
    """
    if ca is not None and insecure:
        raise click.UsageError("--ca and --insecure contradict each other")
    if session is not None and insecure:
        raise click.UsageError("--session is for servers that were verified: not with --insecure")
    if early_data and session is None:
        raise click.UsageError("--early-data goes with a session to resume: give --session too")
    if as_json and quiet:
        raise click.UsageError("--json and --quiet contradict each other")
    config = ClientConfig(
        trust=None if ca is None else TrustStore.from_pem_file(ca),
        alpn_protocols=alpn or (),
        insecure_skip_verification=insecure,
        groups=groups or ClientConfig.groups,
        session_store=None if session is None else SessionFile(session),
        session_context=b"" if session is None else trust_context(ca),
    )
    style: connecting.Style = "json" if as_json else "none" if quiet else "prose"
    host, port = target
    trio.run(
        connecting.connect, host, port, server_name or host, config, style, early_data.encode()
    )


@trio_tlsx.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option(
    "--port",
    default=4433,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Where to listen; 0 picks a free one.",
)
@click.option("--cert", type=FILE, help="The certificate chain, in PEM.")
@click.option("--key", type=FILE, help="Its private key, in PEM.")
@click.option("--self-signed", "make", is_flag=True, help="Make a certificate for this run.")
@click.option("--echo", "mode", flag_value="echo", default="echo", help="Send back what comes.")
@click.option("--http", "mode", flag_value="http", help="Describe the connection on a page.")
@click.option(
    "--tickets",
    default=ServerConfig.tickets,
    show_default=True,
    type=click.IntRange(0, MAX_TICKETS_ISSUED),
    help="How many session tickets each client gets, to resume with.",
)
@click.option(
    "--early-data",
    is_flag=True,
    help="Take early data, which can be replayed, and echo that too.",
)
def serve(
    host: str,
    port: int,
    cert: Path | None,
    key: Path | None,
    make: bool,
    mode: str,
    tickets: int,
    early_data: bool,
) -> None:
    """Serve, until Ctrl-C.

    The first line of standard output is the address.
    """
    if make == (cert is not None) or (cert is None) != (key is None):
        raise click.UsageError("give either --cert and --key, or --self-signed")
    if early_data and mode == "http":
        raise click.UsageError("--early-data is for --echo: a page is not answered early")
    if cert is not None and key is not None:
        credentials = Credentials.from_pem_files(cert, key)
    else:
        credentials = self_signed(host)
    service = serving.HTTP if mode == "http" else serving.ECHO
    config = ServerConfig(
        credentials=credentials,
        alpn_protocols=service.alpn_protocols,
        tickets=tickets,
        max_early_data_size=MAX_EARLY_DATA_SIZE if early_data else 0,
    )
    trio.run(partial(serving.serve, service, config, host=host, port=port))
