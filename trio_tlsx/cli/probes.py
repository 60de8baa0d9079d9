"""Connect to a server several times, and find out what it accepts."""

from __future__ import annotations

import datetime
import ssl
import time
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

import click
import trio
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from ..clock import utc_now
from ..config.client import ClientConfig
from ..config.common import Trust
from ..crypto.groups import GROUPS, Group
from ..errors import AlertReceived, CertificateError
from ..io.stream import TLSStream
from ..pki.credentials import Credentials
from ..pki.negotiated import Negotiated
from ..pki.peer import Peer
from ..pki.revocation import check_stapled_ocsp
from ..sessions.client import Session
from .dialing import Destination, connect_tls, useless_options
from .failures import with_advice
from .options import KeyFiles

__all__ = ["Findings", "ProbeOffer", "probe"]

#: How long to wait for session tickets, in seconds.
TICKET_SECONDS = 2
PROBE_CLOSE_SECONDS = 1

#: The versions before TLS 1.3, which OpenSSL probes with more cipher suites than ours.
OLDER_VERSIONS = {
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1": ssl.TLSVersion.TLSv1,
}

Stream: TypeAlias = TLSStream[trio.abc.Stream]


@dataclass
class Findings:
    """The result of the probes: the parameters that a server accepts.

    Attributes:
        negotiated: the result of a handshake with the whole offer.
        milliseconds: the time of the connection and that handshake.
        fault: why the certificate is rejected; None if it is accepted.
        certificates: those whose dates count: the verified path without its root, or the server's
            own certificate.
        ocsp_stapled: whether the server staples an OCSP response.
        ocsp_fault: why the response is rejected; None if it is "good", or not needed.
        versions: the versions of TLS, the newest first.
        groups: the key exchange groups.
        post_quantum: those of them that withstand quantum computers.
        resumption: whether a second connection resumed the session of the first; None if the first
            got no session ticket.
        early_data: how much early data the server accepts, in bytes.
    """

    negotiated: Negotiated
    milliseconds: float
    fault: str | None
    certificates: tuple[x509.Certificate, ...]
    ocsp_stapled: bool
    ocsp_fault: str | None
    versions: list[str]
    groups: list[str]
    post_quantum: list[str]
    resumption: bool | None
    early_data: int

    @property
    def expires_at(self) -> datetime.datetime:
        """When the first of the certificates expires."""
        return min(certificate.not_valid_after_utc for certificate in self.certificates)

    @property
    def days_left(self) -> int:
        """The whole days until then; negative for those since it has expired."""
        return int((self.expires_at - utc_now()) / datetime.timedelta(days=1))


class ProbeOffer(NamedTuple):
    """The offer to the server.

    Attributes:
        trust: the trusted CAs; by default the platform's.
        alpn: the application protocols.
        versions: the versions of TLS, the newest first.
        files: the client's certificate, for a server that requires one.
    """

    trust: Trust | None
    alpn: tuple[str, ...]
    versions: Sequence[str]
    files: KeyFiles | None = None

    @property
    def credentials(self) -> Credentials | None:
        """The client's certificate and its key."""
        return None if self.files is None else self.files.load()


async def probe(target: Destination, server_name: str, offer: ProbeOffer) -> Findings:
    """Connect several times.

    Args:
        target: the server to connect to.
        server_name: the name that the certificate must have.
        offer: the offer of the handshake that is described.

    Raises:
        click.ClickException: there is no server, or it rejects this client.
    """
    first = await _connect_first(target, server_name, offer)
    negotiated, peer = first.stream.negotiated, first.peer
    path = negotiated.peer_certificates[:1] if peer is None else peer.path
    session = await _wait_session(first, server_name)
    groups = [
        group
        for group in GROUPS.values()
        if await _accepts_group(target, server_name, group, negotiated, offer)
    ]
    return Findings(
        negotiated=negotiated,
        milliseconds=first.milliseconds,
        fault=first.fault,
        certificates=path[:-1] or path,
        ocsp_stapled=peer is not None and peer.ocsp_response is not None,
        ocsp_fault=None if peer is None else _ocsp_fault(peer),
        versions=await _accepted_versions(target, server_name, offer),
        groups=[group.name for group in groups],
        post_quantum=[group.name for group in groups if group.is_post_quantum],
        resumption=None if session is None else await _resumes(target, server_name, first.config),
        early_data=0 if session is None else session.max_early_data_size,
    )


class _First(NamedTuple):
    """The first connection; ``peer`` is the verified server, or there is a fault."""

    stream: Stream
    milliseconds: float
    config: ClientConfig
    peer: Peer | None
    fault: str | None


async def _connect_first(target: Destination, server_name: str, offer: ProbeOffer) -> _First:
    """Connect; without verification if that rejects the certificate."""
    peers: list[Peer] = []
    config = ClientConfig(
        trust=offer.trust,
        verify=peers.append,
        credentials=offer.credentials,
        ocsp_stapling=True,
        alpn_protocols=offer.alpn,
        versions=offer.versions,
    )
    fault: str | None = None
    started = time.perf_counter()
    try:
        stream = await connect_tls(target, server_name, config)
    except click.ClickException as error:
        broken = error.__cause__
        if not isinstance(broken, trio.BrokenResourceError):
            raise
        if not isinstance(broken.__cause__, CertificateError):
            raise await _rejection(error, target, server_name, offer) from error
        fault = with_advice(broken, server_name, without=("--insecure",))
        config = ClientConfig(
            insecure_skip_verification=True,
            credentials=offer.credentials,
            alpn_protocols=offer.alpn,
            versions=offer.versions,
        )
        started = time.perf_counter()
        stream = await connect_tls(target, server_name, config)
    milliseconds = (time.perf_counter() - started) * 1000
    return _First(stream, milliseconds, config, None if fault else peers[0], fault)


def _ocsp_fault(peer: Peer) -> str | None:
    try:
        check_stapled_ocsp()(peer)
    except CertificateError as error:
        return str(error)
    return None


async def _wait_session(first: _First, server_name: str) -> Session | None:
    """Return the session of a connection, and close it.

    Some servers send a ticket only with their first data, so there may be none.

    Raises:
        click.ClickException: the server rejects the client's certificate, or that there is none.
            In TLS 1.3 the client learns this only now.
    """
    try:
        with trio.move_on_after(TICKET_SECONDS):
            return await first.stream.wait_session_ticket()
    except trio.BrokenResourceError as error:
        if isinstance(error.__cause__, AlertReceived):
            useless = useless_options(first.config)
            raise click.ClickException(with_advice(error, server_name, without=useless)) from error
    except trio.EndOfChannel:
        pass  # the server does not wait for a client that sends nothing
    finally:
        await _close(first.stream)
    return None


async def _close(stream: Stream) -> None:
    """Close a connection as a peer expects it."""
    with suppress(trio.BrokenResourceError), trio.move_on_after(PROBE_CLOSE_SECONDS):
        await stream.aclose()


async def _resumes(target: Destination, server_name: str, config: ClientConfig) -> bool:
    stream = await connect_tls(target, server_name, config)
    await _close(stream)
    return stream.negotiated.resumed


async def _accepts_group(
    target: Destination, server_name: str, group: Group, first: Negotiated, offer: ProbeOffer
) -> bool:
    """Return whether the server accepts the group in the version of the first connection."""
    config = _any_server(first.version, offer)
    if first.version == "TLSv1.3":
        return await _connects(target, server_name, replace(config, groups=[group.name]))
    if group.is_post_quantum:
        return False
    # In TLS 1.2 the curve of an ECDSA certificate must be offered too (RFC 8422 5.3).
    key = first.peer_certificates[0].public_key()
    curve = key.curve.name if isinstance(key, ec.EllipticCurvePublicKey) else group.name
    config = replace(config, groups=list(dict.fromkeys([group.name, curve])))
    return await _connects(target, server_name, config, with_group=group.name)


def _any_server(version: str, offer: ProbeOffer) -> ClientConfig:
    """Return a configuration of exactly this version, which accepts any certificate."""
    return ClientConfig(
        versions=[version],
        credentials=offer.credentials,
        insecure_skip_verification=True,
        resumption=False,
    )


async def _accepted_versions(
    target: Destination, server_name: str, offer: ProbeOffer
) -> list[str]:
    offers: dict[str, ClientConfig | ssl.SSLContext] = {"TLSv1.3": _any_server("TLSv1.3", offer)}
    offers |= {name: _context_of(version, offer) for name, version in OLDER_VERSIONS.items()}
    return [
        name for name, config in offers.items() if await _connects(target, server_name, config)
    ]


def _context_of(version: ssl.TLSVersion, offer: ProbeOffer) -> ssl.SSLContext:
    """Return a context of exactly this version, which accepts any certificate and any cipher."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    if offer.files is not None:
        context.load_cert_chain(*offer.files)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # old versions are what is asked
        context.minimum_version = context.maximum_version = version
    return context


async def _connects(
    target: Destination,
    server_name: str,
    config: ClientConfig | ssl.SSLContext,
    *,
    with_group: str | None = None,
) -> bool:
    """Return whether the handshake succeeds, with this group if any; raise if there was none."""
    try:
        stream = await connect_tls(target, server_name, config)
    except click.ClickException as error:
        if isinstance(error.__cause__, trio.BrokenResourceError):
            return False
        raise
    await _close(stream)
    return with_group in (None, stream.negotiated.group)


async def _rejection(
    error: click.ClickException, target: Destination, server_name: str, offer: ProbeOffer
) -> click.ClickException:
    """Return the failure, with the versions that the server accepts."""
    versions = await _accepted_versions(target, server_name, offer)
    only = f"; it accepts {', '.join(versions)}" if versions else ""
    return click.ClickException(f"{error.format_message()}{only}")
