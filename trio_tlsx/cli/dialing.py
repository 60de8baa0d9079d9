"""Open connections: over TCP or through an HTTP proxy, with STARTTLS if a protocol needs it."""

from __future__ import annotations

import base64
import ssl
from typing import NamedTuple

import click
import trio

from ..config.client import ClientConfig
from ..io.stream import TLSStream
from ..pki.trust import TrustStore
from .failures import describe, with_advice
from .service import ServiceLookup
from .starttls import STARTTLS, Protocol, request_starttls

__all__ = ["CONNECT_TIMEOUT", "Destination", "Proxy", "connect_tls", "useless_options"]

HTTPS_PORT = 443
CONNECT_TIMEOUT = 30  # seconds, for the connection and the handshake together

#: A proxy's answer to CONNECT, in bytes.
MAX_PROXY_ANSWER = 2**14
CHUNK = 2**12

#: The options that do not change the handshake with a proxy.
USELESS_WITH_PROXY = ("--insecure", "--server-name", "--tls-min")


class Proxy(NamedTuple):
    """An HTTP proxy.

    Attributes:
        host: its name or address.
        port: its TCP port.
        login: ``USER:PASSWORD``, or None.
        config: the configuration of TLS to the proxy itself; None for a proxy without TLS.
    """

    host: str
    port: int
    login: str | None
    config: ClientConfig | None = None

    def __str__(self) -> str:
        return f"the proxy {self.host}:{self.port}"


class Destination(NamedTuple):
    """The server to connect to, and the path to it.

    Attributes:
        host: a name or an address.
        port: the TCP port.
        starttls: the protocol that starts TLS, or None.
        proxy: the proxy to connect through, or None.
        timeout: the time for the connection and the handshake together, in seconds.
        service: looks up the service of this name in DNS; None to connect to ``host`` itself.
    """

    host: str
    port: int
    starttls: Protocol | None = None
    proxy: Proxy | None = None
    timeout: float = CONNECT_TIMEOUT
    service: ServiceLookup | None = None

    @classmethod
    def of(
        cls,
        host: str,
        port: int | None,
        starttls: Protocol | None,
        proxy: Proxy | None,
        timeout: float,
        trust: TrustStore | None = None,
        service: ServiceLookup | None = None,
    ) -> Destination:
        """Return a destination; the default port is that of the protocol, or else 443.

        With ``trust``, an https:// proxy must have a certificate of these CAs too.
        """
        if port is None:
            port = HTTPS_PORT if starttls is None else STARTTLS[starttls]
        if proxy is not None and proxy.config is not None and trust is not None:
            proxy = proxy._replace(config=ClientConfig(trust=trust))
        return cls(host, port, starttls, proxy, timeout, service)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    async def open(self) -> trio.abc.Stream:
        """Open a connection on which the TLS handshake can start.

        Raises:
            click.ClickException: it could not be opened.
        """
        host, port = (self.host, self.port) if self.proxy is None else self.proxy[:2]
        try:
            stream: trio.abc.Stream = await trio.open_tcp_stream(host, port)
        except OSError as error:
            first_hop = self.proxy or self
            raise click.ClickException(
                f"cannot connect to {first_hop}: {describe(error)}"
            ) from error
        try:
            if self.proxy is not None:
                stream = await _over_tls(stream, self.proxy)
                await _request_tunnel(stream, self, self.proxy.login)
            if self.starttls is not None:
                await request_starttls(stream, self.starttls, str(self))
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return stream


async def _over_tls(stream: trio.abc.Stream, proxy: Proxy) -> trio.abc.Stream:
    """Do the handshake with the proxy, if its URL begins with https."""
    if proxy.config is None:
        return stream
    tls_stream = TLSStream(
        stream, proxy.config, server_hostname=proxy.host, server_port=proxy.port
    )
    try:
        await tls_stream.do_handshake()
    except trio.BrokenResourceError as error:
        await trio.aclose_forcefully(tls_stream)
        reason = with_advice(error, proxy.host, without=USELESS_WITH_PROXY)
        raise click.ClickException(f"handshake with {proxy} failed: {reason}") from error
    return tls_stream


async def _request_tunnel(stream: trio.abc.Stream, target: Destination, login: str | None) -> None:
    """Ask an HTTP proxy for a tunnel (RFC 9110 9.3.6)."""
    head = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if login is not None:
        head.append(f"Proxy-Authorization: Basic {base64.b64encode(login.encode()).decode()}")
    answer = b""
    try:
        await stream.send_all("\r\n".join([*head, "", ""]).encode())
        while b"\r\n\r\n" not in answer and len(answer) <= MAX_PROXY_ANSWER:
            data = await stream.receive_some(CHUNK)
            if not data:
                break
            answer += data
    except trio.BrokenResourceError as error:
        raise click.ClickException(f"the connection to the proxy broke: {error}") from error
    status_line = answer.partition(b"\r\n")[0].decode("latin-1")
    words = status_line.split(" ", 2)
    accepted = len(words) > 1 and words[0].startswith("HTTP/1.") and words[1].startswith("2")
    if not accepted or not answer.endswith(b"\r\n\r\n"):
        hint = "; give --proxy http://USER:PASSWORD@HOST:PORT" if words[1:2] == ["407"] else ""
        raise click.ClickException(
            f"the proxy opened no tunnel to {target}; it answered {status_line[:200]!r}{hint}"
        )


async def connect_tls(
    target: Destination,
    server_name: str,
    config: ClientConfig | ssl.SSLContext,
    early_data: bytes = b"",
) -> TLSStream[trio.abc.Stream]:
    """Connect and do the handshake.

    Args:
        target: the server to connect to.
        server_name: the name that the certificate is verified for.
        config: the configuration.
        early_data: as for TLSStream.

    Raises:
        click.ClickException: one of them failed; a failure of the handshake is its cause.
    """
    try:
        with trio.fail_after(target.timeout):
            if target.service is not None and isinstance(config, ClientConfig):
                return await target.service.open(target.host, target.port, config, early_data)
            stream = TLSStream(
                await target.open(),
                config,
                server_hostname=server_name,
                server_port=target.port,
                early_data=early_data,
            )
            try:
                await stream.do_handshake()
            except BaseException:
                await trio.aclose_forcefully(stream)
                raise
            return stream
    except trio.BrokenResourceError as error:
        raise click.ClickException(
            f"handshake with {target} failed: "
            + with_advice(error, server_name, without=useless_options(config))
        ) from error
    except OSError as error:
        raise click.ClickException(f"cannot connect to {target}: {describe(error)}") from error
    except trio.TooSlowError:
        raise click.ClickException(
            f"{target} did not complete the handshake within {target.timeout:g} s"
        ) from None


def useless_options(config: ClientConfig | ssl.SSLContext) -> tuple[str, ...]:
    """Return the options that cannot help a connection with this configuration."""
    if not isinstance(config, ClientConfig):
        return ("--tls-min",)
    useless = {"--tls-min": "TLSv1.2" in config.versions, "--cert": config.credentials is not None}
    return tuple(option for option, is_useless in useless.items() if is_useless)
