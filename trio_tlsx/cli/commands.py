"""The commands with their options, and the handling of failures."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click
import trio

from .._version import __version__
from ..config.client import ClientConfig
from ..config.server import MAX_EARLY_DATA_ACCEPTED, MAX_TICKETS_ISSUED, ServerConfig
from ..pki.credentials import Credentials
from ..pki.trust import TrustStore
from . import connect as connecting
from . import demo as demonstration
from . import serve as serving
from .failures import FAILURES, describe, single
from .self_signed import self_signed
from .session_file import SessionFile, trust_context

INTERRUPTED = 130  # the status that shells report after Ctrl-C

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
NEW_FILE = click.Path(dir_okay=False, path_type=Path)


def split_names(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[str, ...] | None:
    """Parse ``A,B,C``."""
    if value is None:
        return None
    names = tuple(name.strip() for name in value.split(","))
    if not all(names):
        raise click.BadParameter(
            f"{value!r} contains an empty name; separate names with one comma"
        )
    return names


def split_target(
    context: click.Context, parameter: click.Parameter, value: str
) -> tuple[str, int]:
    """Parse ``HOST:PORT``, with an IPv6 address in brackets."""
    host, colon, port = value.rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise click.BadParameter(f"{value!r} is not HOST:PORT, such as example.org:443")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise click.BadParameter(
            f"{value!r} needs brackets around the IPv6 address, such as [::1]:443"
        )
    return host, int(port)


def run() -> int:
    """Run the command of the process's arguments.

    Returns:
        The exit status. If the command failed, its error was already printed, in one line.
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
    no_args_is_help=False,  # a missing command is a one-line error too
)
@click.version_option(__version__)
def trio_tlsx() -> None:
    """Connect to TLS 1.3 servers, run one, or show a demo."""


@trio_tlsx.command()
@click.option(
    "--mebibytes",
    default=256,
    show_default=True,
    type=click.IntRange(1, 65536),
    help="The size of the transfer at the end.",
)
def demo(mebibytes: int) -> None:
    """Show a handshake by message, an echo, a cancelled handshake, and a transfer."""
    trio.run(demonstration.demo, mebibytes * 2**20)


@trio_tlsx.command()
@click.argument("target", callback=split_target, metavar="HOST:PORT")
@click.option("--ca", type=FILE, help="Trust the CAs in this PEM file instead of the platform's.")
@click.option(
    "--server-name", metavar="NAME", help="The name to request and to verify.  [default: HOST]"
)
@click.option(
    "--alpn", callback=split_names, metavar="A,B", help="Application protocols to offer."
)
@click.option(
    "--groups", callback=split_names, metavar="A,B", help="Key exchange groups to offer."
)
@click.option(
    "--insecure",
    is_flag=True,
    help="Skip certificate verification. Insecure; for inspection only.",
)
@click.option(
    "--session",
    type=NEW_FILE,
    help="Resume the session in this file, and store the next one in it.",
)
@click.option(
    "--early-data",
    metavar="TEXT",
    default="",
    help="Send TEXT as early data, if the session allows it. It can be replayed.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the description as JSON.")
@click.option("--quiet", is_flag=True, help="Print only the data from the server.")
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
    """Connect, describe the connection, and copy data in both directions.

    Standard input goes to the server, and the server's data goes to standard output, until the
    server closes the connection.
    """
    if ca is not None and insecure:
        raise click.UsageError("--ca and --insecure exclude each other; give only one")
    if session is not None and insecure:
        raise click.UsageError("--session needs a verified server; remove --insecure")
    if early_data and session is None:
        raise click.UsageError("--early-data needs a session to resume; add --session FILE")
    if as_json and quiet:
        raise click.UsageError("--json and --quiet exclude each other; give only one")
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
@click.option("--host", default="127.0.0.1", show_default=True, help="The host to listen on.")
@click.option(
    "--port",
    default=4433,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="The port to listen on; 0 selects a free one.",
)
@click.option("--cert", type=FILE, help="The certificate chain, in PEM.")
@click.option("--key", type=FILE, help="Its private key, in PEM.")
@click.option("--self-signed", "make", is_flag=True, help="Create a certificate for this run.")
@click.option(
    "--echo", "mode", flag_value="echo", default="echo", help="Echo the received data. (default)"
)
@click.option(
    "--http", "mode", flag_value="http", help="Serve a page that describes the connection."
)
@click.option(
    "--tickets",
    default=ServerConfig.tickets,
    show_default=True,
    type=click.IntRange(0, MAX_TICKETS_ISSUED),
    help="The number of session tickets for each client.",
)
@click.option(
    "--early-data",
    is_flag=True,
    help="Accept and echo early data. It can be replayed.",
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
    """Serve until Ctrl-C or SIGTERM.

    The first line of standard output is the address.
    """
    if make == (cert is not None) or (cert is None) != (key is None):
        raise click.UsageError(
            "the server needs a certificate; give --cert and --key, or --self-signed"
        )
    if early_data and mode == "http":
        raise click.UsageError("--early-data works only with --echo; remove --http")
    if cert is not None and key is not None:
        credentials = Credentials.from_pem_files(cert, key)
    else:
        credentials = self_signed(host)
    service = serving.HTTP if mode == "http" else serving.ECHO
    config = ServerConfig(
        credentials=credentials,
        alpn_protocols=service.alpn_protocols,
        tickets=tickets,
        max_early_data_size=MAX_EARLY_DATA_ACCEPTED if early_data else 0,
    )
    trio.run(partial(serving.serve, service, config, host=host, port=port))
