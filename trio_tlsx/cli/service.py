"""``--ech dns``: connect to a service by its records in DNS, with its name hidden."""

from __future__ import annotations

from typing import NamedTuple, cast

import click
import trio

from ..config.client import ClientConfig
from ..io.stream import TLSStream
from .starttls import Protocol

__all__ = ["ServiceLookup"]

DNS_PORT = 53

#: The value of --ech that asks DNS.
DNS = "dns"


class ServiceLookup(NamedTuple):
    """The DNS server to ask.

    Attributes:
        address: its IP address; None for the servers of the system.
        port: its port.
    """

    address: str | None
    port: int

    @classmethod
    def of(
        cls,
        ech: str | None,
        dns_server: tuple[str, int | None] | None,
        server_name: str | None,
        starttls: Protocol | None,
        proxy: object | None,
    ) -> ServiceLookup | None:
        """Return the lookup that the options ask for, or None.

        Raises:
            click.UsageError: an option excludes the lookup.
        """
        if ech != DNS:
            if dns_server is not None:
                raise click.UsageError("--dns-server is for --ech dns; add it")
            return None
        others = {"--server-name": server_name, "--starttls": starttls, "--proxy": proxy}
        for option, value in others.items():
            if value is not None:
                # RFC 9460 3.2: through a proxy, the lookup would disclose the name to others.
                raise click.UsageError(f"--ech dns and {option} exclude each other")
        address, port = dns_server or (None, None)
        return cls(address, port or DNS_PORT)

    async def open(
        self, name: str, port: int, config: ClientConfig, early_data: bytes
    ) -> TLSStream[trio.abc.Stream]:
        """Connect, and do the handshake.

        Raises:
            click.ClickException: a package is missing.
            OSError: the lookup failed, or no endpoint accepts connections.
            trio.BrokenResourceError: the handshake failed.
        """
        try:
            from ..contrib.dns import open_tls_to_service, resolver_at  # needs the extra
        except ModuleNotFoundError as error:
            raise click.ClickException(f"--ech dns: {error}") from error
        stream = await open_tls_to_service(
            name,
            port,
            config=config,
            resolver=None if self.address is None else resolver_at(self.address, self.port),
            require_ech=True,
            early_data=early_data,
        )
        return cast("TLSStream[trio.abc.Stream]", stream)
