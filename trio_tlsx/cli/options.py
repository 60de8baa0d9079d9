"""Parse the values of options, and load the files that they name."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

import click

from ..config.client import ClientConfig
from ..errors import ConfigError
from ..pki.credentials import Credentials
from ..pki.reloading import ReloadingCredentials
from .dialing import CONNECT_TIMEOUT, Proxy
from .starttls import STARTTLS

__all__ = [
    "FILE",
    "NEW_FILE",
    "KeyFiles",
    "Target",
    "alpn_option",
    "ca_option",
    "client_cert_option",
    "client_key_option",
    "dns_server_option",
    "key_files",
    "key_password_option",
    "parse_target",
    "proxy_option",
    "public_key_option",
    "server_name_option",
    "split_names",
    "starttls_option",
    "target_argument",
    "timeout_option",
    "tls_max_option",
    "tls_min_option",
    "versions_between",
]

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
NEW_FILE = click.Path(dir_okay=False, path_type=Path)

#: The line of an encrypted PEM key: PKCS#8 and OpenSSL's own encryption.
ENCRYPTED = b"ENCRYPTED"
SOURCES = "prompt, env:NAME or file:FILE"

#: The values of --tls-min and --tls-max, the oldest version first.
TLS_VERSIONS = ("1.2", "1.3")


class Target(NamedTuple):
    """A host, and the port if the user gave one."""

    host: str
    port: int | None


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


def _split_target(context: click.Context, parameter: click.Parameter, value: str) -> Target:
    """Parse a target; see :func:`parse_target`."""
    return parse_target(value)


def parse_target(value: str) -> Target:
    """Parse ``HOST``, ``HOST:PORT`` or ``https://HOST:PORT/PATH``; an IPv6 address in brackets."""
    text = value
    if "://" in value:
        url = _split_url(value)
        if url.scheme != "https":
            raise click.BadParameter(f"{value!r} is not a URL of https; give HOST:PORT instead")
        text = url.netloc.rpartition("@")[2]
    elif "/" in value:
        raise click.BadParameter(f"{value!r} has a path; give HOST:PORT or https://HOST/PATH")
    return _split_host_and_port(text, value)


def _split_proxy(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> Proxy | None:
    """Parse ``http://USER:PASSWORD@HOST:PORT``, or the same with https."""
    if value is None:
        return None
    url = _split_url(value)
    # The value may hold a password, so no error shows it.
    if url.scheme not in ("http", "https") or url.path not in ("", "/"):
        raise click.BadParameter("give the proxy as http://HOST:PORT or https://HOST:PORT")
    login, at, address = url.netloc.rpartition("@")
    host, port = _split_host_and_port(address, address)
    if port is None:
        raise click.BadParameter(
            f"{address!r} has no port; give the proxy as {url.scheme}://HOST:PORT"
        )
    config = ClientConfig() if url.scheme == "https" else None
    return Proxy(host, port, unquote(login) if at else None, config)


def _split_dns_server(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> Target | None:
    """Parse ``ADDRESS`` or ``ADDRESS:PORT``."""
    if value is None:
        return None
    target = _split_host_and_port(value, value)
    try:
        ipaddress.ip_address(target.host)
    except ValueError:
        raise click.BadParameter(
            f"{target.host!r} is no IP address; give the DNS server as 192.0.2.53 or [::1]:5353"
        ) from None
    return target


def _split_url(value: str) -> SplitResult:
    try:
        return urlsplit(value)
    except ValueError as error:
        raise click.BadParameter(f"the URL cannot be read: {error}") from error


def _split_host_and_port(text: str, shown: str) -> Target:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        colon, port = rest[:1], rest[1:]
        well_formed = bracket and colon in ("", ":")
    else:
        if text.count(":") > 1:
            raise click.BadParameter(
                f"{shown!r} needs brackets around the IPv6 address, such as [::1]:443"
            )
        host, colon, port = text.partition(":")
        well_formed = True
    is_port = port.isascii() and port.isdecimal() and 0 < int(port) < 2**16 if colon else True
    if not (host and well_formed and is_port):
        raise click.BadParameter(f"{shown!r} is not HOST or HOST:PORT, such as example.org:443")
    return Target(host, int(port) if colon else None)


class KeyFiles(NamedTuple):
    """A certificate chain and its private key in files.

    Attributes:
        cert: the file of the chain.
        key: the file of the key.
        password: the password of the key, or None.
    """

    cert: Path
    key: Path
    password: str | None

    def load(self, check: Callable[[Credentials], None] | None = None) -> Credentials:
        """Read the files, and check what they contain; the error names them."""
        try:
            credentials = Credentials.from_pem_files(*self)
            if check is not None:
                check(credentials)
        except ConfigError as error:
            raise ConfigError(f"--cert {self.cert} --key {self.key}: {error}") from error
        return credentials

    def reloading(self, check: Callable[[Credentials], None]) -> ReloadingCredentials:
        """Read and check the files, and again when they have changed."""
        return ReloadingCredentials(partial(self.load, check), (self.cert, self.key))


def key_files(cert: Path | None, key: Path | None, password_source: str | None) -> KeyFiles | None:
    """Return the files of ``--cert`` and ``--key``, with the password of the key.

    Returns:
        None if neither option was given.

    Raises:
        click.UsageError: one of the options is missing.
        click.ClickException: the password cannot be read.
    """
    if cert is None or key is None:
        if (cert is None) != (key is None):
            raise click.UsageError("--cert and --key need each other; give both")
        if password_source is not None:
            raise click.UsageError("--key-password needs --cert and --key")
        return None
    if password_source is None:
        if ENCRYPTED in key.read_bytes():
            raise click.UsageError(f"--key {key} is encrypted; add --key-password with {SOURCES}")
        return KeyFiles(cert, key, None)
    return KeyFiles(cert, key, _read_password(password_source, key))


def _read_password(source: str, key: Path) -> str:
    """Return the password from a source; it is never an argument, which other users can see."""
    if source == "prompt":
        return click.prompt(f"Password of {key}", hide_input=True, err=True)
    kind, _, where = source.partition(":")
    if kind == "env" and where:
        if where not in os.environ:
            raise click.UsageError(f"--key-password: the variable {where} is not set")
        return os.environ[where]
    if kind == "file" and where:
        lines = Path(where).read_text().splitlines()
        if not lines:
            raise click.UsageError(f"--key-password: the file {where} is empty")
        return lines[0]
    # The value could be the password itself, so the error does not show it.
    raise click.UsageError(f"--key-password takes {SOURCES}")


def versions_between(oldest: str, newest: str) -> tuple[str, ...]:
    """Return the versions from ``--tls-min`` to ``--tls-max``, the newest first.

    Raises:
        click.UsageError: there is none.
    """
    versions = TLS_VERSIONS[TLS_VERSIONS.index(oldest) : TLS_VERSIONS.index(newest) + 1]
    if not versions:
        raise click.UsageError(f"--tls-min {oldest} is newer than --tls-max {newest}")
    return tuple(f"TLSv{version}" for version in reversed(versions))


# The options that several commands have

#: Adds an argument or an option to a command.
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

target_argument: Decorator = click.argument(
    "target", callback=_split_target, metavar="HOST[:PORT]"
)
ca_option: Decorator = click.option(
    "--ca", type=FILE, help="Trust the CAs in this PEM file instead of the platform's."
)
public_key_option: Decorator = click.option(
    "--public-key",
    type=FILE,
    help="Trust the raw public key in this PEM file, and no certificate (RFC 7250).",
)
server_name_option: Decorator = click.option(
    "--server-name", metavar="NAME", help="The name to request and to verify.  [default: HOST]"
)
alpn_option: Decorator = click.option(
    "--alpn", callback=split_names, metavar="A,B", help="Application protocols to offer."
)
tls_min_option: Decorator = click.option(
    "--tls-min",
    type=click.Choice(TLS_VERSIONS),
    default=TLS_VERSIONS[0],
    show_default=True,
    help="The oldest version of TLS to allow.",
)
tls_max_option: Decorator = click.option(
    "--tls-max",
    type=click.Choice(TLS_VERSIONS),
    default=TLS_VERSIONS[-1],
    show_default=True,
    help="The newest version of TLS to allow.",
)
dns_server_option: Decorator = click.option(
    "--dns-server",
    callback=_split_dns_server,
    metavar="ADDRESS[:PORT]",
    help="The DNS server for --ech dns.  [default: the system's]",
)
starttls_option: Decorator = click.option(
    "--starttls", type=click.Choice(list(STARTTLS)), help="Start TLS in this protocol."
)
proxy_option: Decorator = click.option(
    "--proxy",
    callback=_split_proxy,
    metavar="URL",
    help="Connect through the HTTP proxy http://HOST:PORT or https://HOST:PORT.",
)
timeout_option: Decorator = click.option(
    "--timeout",
    default=CONNECT_TIMEOUT,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="The time for the connection and the handshake.",
)
client_cert_option: Decorator = click.option(
    "--cert", type=FILE, help="The client's certificate chain, in PEM."
)
client_key_option: Decorator = click.option("--key", type=FILE, help="Its private key, in PEM.")
key_password_option: Decorator = click.option(
    "--key-password",
    metavar="SOURCE",
    help="The source of the key's password: prompt, env:NAME or file:FILE.",
)
