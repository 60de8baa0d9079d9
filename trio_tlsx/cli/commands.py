"""The commands with their options, and the handling of failures."""

from __future__ import annotations

import base64
import os
from functools import partial
from pathlib import Path

import click
import trio

from .._version import __version__
from ..config.client import ClientConfig
from ..config.common import load_trust
from ..config.key_log import key_log_from_environment
from ..config.server import MAX_TICKETS_ISSUED, ServerConfig
from ..errors import ConfigError
from ..pki.ech import ECHKey, KemName
from ..pki.trust import TrustStore
from ..processes.serving import MAX_PROCESSES
from . import check as checking
from . import connect as connecting
from . import demo as demonstration
from . import serve as serving
from . import serve_processes as serving_in_processes
from .dialing import Destination, Proxy
from .failures import FAILURES, print_failure, single
from .options import (
    FILE,
    NEW_FILE,
    Target,
    alpn_option,
    ca_option,
    client_cert_option,
    client_key_option,
    dns_server_option,
    key_files,
    key_password_option,
    proxy_option,
    public_key_option,
    server_name_option,
    split_names,
    starttls_option,
    target_argument,
    timeout_option,
    tls_max_option,
    tls_min_option,
    versions_between,
)
from .probes import ProbeOffer
from .self_signed import self_signed_pem
from .server_options import ServerOptions
from .service import ServiceLookup
from .session_file import SessionFile, trust_context
from .starttls import Protocol

INTERRUPTED = 130  # the status that shells report after Ctrl-C


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
        print_failure(cause)
        return cause.exit_code if isinstance(cause, click.ClickException) else 1


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    invoke_without_command=True,
)
@click.version_option(__version__)
@click.pass_context
def trio_tlsx(context: click.Context) -> None:
    """Connect to TLS servers, check them, run one, or show a demo."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@trio_tlsx.command()
@click.option(
    "--mebibytes",
    default=256,
    show_default=True,
    type=click.IntRange(1, 65536),
    help="The size of the transfer at the end.",
)
def demo(mebibytes: int) -> None:
    """Show handshakes, an echo and a transfer.

    One process has a CA, a server and a client. One of the handshakes is cancelled midway.
    """
    trio.run(demonstration.demo, mebibytes * 2**20)


@trio_tlsx.command()
@target_argument
@ca_option
@public_key_option
@server_name_option
@client_cert_option
@client_key_option
@key_password_option
@alpn_option
@click.option(
    "--groups", callback=split_names, metavar="A,B", help="Key exchange groups to offer."
)
@tls_min_option
@tls_max_option
@click.option(
    "--insecure",
    is_flag=True,
    help="Skip certificate verification. Insecure; for inspection only.",
)
@click.option(
    "--ech",
    metavar="CONFIGS",
    help="Hide the server's name: an ECHConfigList in base64, dns, or grease (RFC 9849).",
)
@dns_server_option
@starttls_option
@proxy_option
@timeout_option
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
@click.option(
    "--keylog",
    type=NEW_FILE,
    help="Append the secrets of the connection to this file.  [default: $SSLKEYLOGFILE]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the description as JSON.")
@click.option(
    "--pem", "as_pem", is_flag=True, help="Print the server's certificate chain in PEM, and end."
)
@click.option("--quiet", is_flag=True, help="Print only the data from the server.")
def connect(
    target: Target,
    ca: Path | None,
    public_key: Path | None,
    server_name: str | None,
    cert: Path | None,
    key: Path | None,
    key_password: str | None,
    alpn: tuple[str, ...] | None,
    groups: tuple[str, ...] | None,
    tls_min: str,
    tls_max: str,
    insecure: bool,
    ech: str | None,
    dns_server: Target | None,
    starttls: Protocol | None,
    proxy: Proxy | None,
    timeout: float,
    session: Path | None,
    early_data: str,
    keylog: Path | None,
    as_json: bool,
    as_pem: bool,
    quiet: bool,
) -> None:
    """Connect, describe the connection, and copy data.

    The target may also be a URL, such as https://example.org/. Standard input goes to the server,
    and the server's data goes to standard output, until the server closes the connection.
    """
    check_combination(ca or public_key, session, early_data, insecure=insecure)
    if ech is not None and tls_max == "1.2":
        raise click.UsageError("--ech needs TLS 1.3; remove --tls-max 1.2")
    service = ServiceLookup.of(ech, dns_server, server_name, starttls, proxy)
    files = key_files(cert, key, key_password)
    config = ClientConfig(
        trust=(trust := load_trusted(ca, public_key, session)),
        credentials=None if files is None else files.load(),
        alpn_protocols=alpn or (),
        insecure_skip_verification=insecure,
        groups=groups or ClientConfig.groups,
        versions=versions_between(tls_min, tls_max),
        session_store=None if session is None else SessionFile(session),
        session_context=b"" if session is None else trust_context(ca),
        key_log=keylog or key_log_from_environment(),
        ech=ech if service is None else None,
    )
    trio.run(
        connecting.connect,
        Destination.of(target.host, target.port, starttls, proxy, timeout, trust, service),
        server_name or target.host,
        config,
        output_of(as_json=as_json, as_pem=as_pem, quiet=quiet),
        early_data.encode(),
    )


def load_trusted(
    ca: Path | None, public_key: Path | None, session: Path | None
) -> TrustStore | None:
    """Return what ``--ca`` or ``--public-key`` trusts; None for the platform's CAs."""
    if public_key is None:
        return None if ca is None else load_trust("--ca", ca)
    if ca is not None or session is not None:
        other = "--session" if ca is None else "--ca"
        raise click.UsageError(f"--public-key and {other} exclude each other; give only one")
    try:
        return TrustStore.from_public_keys([public_key.read_bytes()])
    except ConfigError as error:
        raise ConfigError(f"--public-key: the file {public_key}: {error}") from error


def check_combination(
    trusted: Path | None, session: Path | None, early_data: str, *, insecure: bool
) -> None:
    """Raise UsageError if options of ``connect`` exclude each other, or one needs another."""
    if trusted is not None and insecure:
        raise click.UsageError(
            "--insecure and --ca or --public-key exclude each other; give only one"
        )
    if session is not None and insecure:
        raise click.UsageError("--session needs a verified server; remove --insecure")
    if early_data and session is None:
        raise click.UsageError("--early-data needs a session to resume; add --session FILE")


def output_of(*, as_json: bool, as_pem: bool, quiet: bool) -> connecting.Style:
    """Return what ``connect`` prints; UsageError if there are two answers."""
    if as_json + as_pem + quiet > 1:
        raise click.UsageError("--json, --pem and --quiet exclude each other; give only one")
    return "json" if as_json else "pem" if as_pem else "none" if quiet else "prose"


@trio_tlsx.command()
@target_argument
@ca_option
@server_name_option
@client_cert_option
@client_key_option
@key_password_option
@alpn_option
@tls_min_option
@tls_max_option
@starttls_option
@proxy_option
@timeout_option
@click.option(
    "--warning",
    default=21,
    show_default=True,
    type=click.IntRange(min=0),
    metavar="DAYS",
    help="Warn if the certificate is valid for fewer days.",
)
@click.option(
    "--critical",
    default=7,
    show_default=True,
    type=click.IntRange(min=0),
    metavar="DAYS",
    help="Report CRITICAL if the certificate is valid for fewer days.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def check(
    target: Target,
    ca: Path | None,
    server_name: str | None,
    cert: Path | None,
    key: Path | None,
    key_password: str | None,
    alpn: tuple[str, ...] | None,
    tls_min: str,
    tls_max: str,
    starttls: Protocol | None,
    proxy: Proxy | None,
    timeout: float,
    warning: int,
    critical: int,
    as_json: bool,
) -> int:
    """Report what a server accepts, with a status.

    The first line has the status. The exit status is 0 for OK, 1 for WARNING and 2 for CRITICAL.
    """
    trust = None if ca is None else load_trust("--ca", ca)
    return trio.run(
        checking.check,
        Destination.of(target.host, target.port, starttls, proxy, timeout, trust),
        server_name or target.host,
        ProbeOffer(
            trust,
            alpn or (),
            versions_between(tls_min, tls_max),
            key_files(cert, key, key_password),
        ),
        checking.Limits(warning, critical),
        as_json,
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
@click.option(
    "--cert", type=FILE, help="The certificate chain, in PEM; read again when it changes."
)
@click.option("--key", type=FILE, help="Its private key, in PEM.")
@key_password_option
@click.option("--self-signed", "make", is_flag=True, help="Create a certificate for this run.")
@click.option(
    "--client-ca", type=FILE, help="Require client certificates of the CAs in this PEM file."
)
@click.option(
    "--ech-key",
    type=FILE,
    help="Serve Encrypted Client Hello with the key in this PEM file.",
)
@click.option(
    "--alpn",
    callback=split_names,
    metavar="A,B",
    help="Application protocols to accept.  [default: http/1.1 with --http]",
)
@tls_min_option
@tls_max_option
@click.option(
    "--echo", "mode", flag_value="echo", default="echo", help="Echo the received data. (default)"
)
@click.option(
    "--http", "mode", flag_value="http", help="Serve a page that describes the connection."
)
@click.option(
    "--tickets",
    default=ServerConfig.tickets,
    show_default="2, or 1 in a resumed connection",
    type=click.IntRange(0, MAX_TICKETS_ISSUED),
    help="The number of session tickets for each client.",
)
@click.option(
    "--early-data",
    is_flag=True,
    help="Accept and echo early data. It can be replayed.",
)
@click.option(
    "--log", type=NEW_FILE, help="Append the log to this file instead of standard error."
)
@click.option(
    "--drain",
    default=serving.DRAIN_SECONDS,
    show_default=True,
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="The time that connections have after SIGTERM.",
)
@click.option(
    "--processes",
    default=1,
    show_default=True,
    type=click.IntRange(1, MAX_PROCESSES),
    help="The number of processes; SIGHUP replaces them.",
)
def serve(
    host: str,
    port: int,
    cert: Path | None,
    key: Path | None,
    key_password: str | None,
    make: bool,
    client_ca: Path | None,
    ech_key: Path | None,
    alpn: tuple[str, ...] | None,
    tls_min: str,
    tls_max: str,
    mode: str,
    tickets: int | None,
    early_data: bool,
    log: Path | None,
    drain: float,
    processes: int,
) -> None:
    """Serve until Ctrl-C or SIGTERM.

    The first line of standard output is the address.
    """
    if ech_key is not None and tls_max == "1.2":
        raise click.UsageError("--ech-key needs TLS 1.3; remove --tls-max 1.2")
    if early_data and mode == "http":
        raise click.UsageError("--early-data works only with --echo; remove --http")
    files = key_files(cert, key, key_password)
    if make == (files is not None):
        raise click.UsageError(
            "the server needs a certificate; give --cert and --key, or --self-signed"
        )
    options = ServerOptions(
        cert=None if files is None else str(files.cert),
        key=None if files is None else str(files.key),
        password=None if files is None else files.password,
        self_signed=self_signed_pem(host) if files is None else None,
        client_ca=None if client_ca is None else str(client_ca),
        ech_key=None if ech_key is None else str(ech_key),
        alpn=alpn,
        versions=versions_between(tls_min, tls_max),
        http=mode == "http",
        tickets=tickets,
        early_data=early_data,
        log=None if log is None else str(log),
    )
    config, certificate = options.load()  # a mistake is reported by this process
    if processes == 1:
        run = partial(serving.serve, options.service, config, certificate, log=log)
    else:
        run = partial(serving_in_processes.serve, options, certificate, processes=processes)
    trio.run(partial(run, host=host, port=port, drain=drain))


@trio_tlsx.command("ech-keygen")
@click.option(
    "--public-name",
    required=True,
    metavar="NAME",
    help="The name that everybody may see; the server needs a certificate for it.",
)
@click.option(
    "--kem",
    type=click.Choice(["X25519", "P-256"]),
    default="X25519",
    show_default=True,
    help="The key exchange.",
)
@click.argument("file", type=NEW_FILE)
def ech_keygen(public_name: str, kem: KemName, file: Path) -> None:
    """Generate a key for Encrypted Client Hello into FILE, and print what to publish.

    The output is the ECHConfigList in base64, as the ech parameter of an HTTPS record has it.
    """
    key = ECHKey.generate(public_name, kem=kem)
    # Only the owner can read it, and no other key is lost.
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as stream:
        stream.write(key.to_pem())
    click.echo(base64.b64encode(key.config_list).decode("ascii"))
