"""The ClientHello of a client (RFC 9846 4.2.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import urandom

from ..config.client import ClientParameters
from ..crypto.groups import EphemeralKey, Group, generate_key_shares
from ..messages import extensions as ext
from ..messages import grease
from ..messages.extensions import ExtensionType
from ..messages.grease import ClientHelloGrease
from ..messages.handshake import MAX_SESSION_ID_LENGTH, RANDOM_LENGTH, ClientHello
from ..messages.ticket_request import encode_ticket_request
from ..messages.versions import TLS12, TLS13
from ..pki.server_name import ServerName
from ..sessions.client import Session
from .external_psk import psks_of
from .hello import NO_COMPRESSION
from .psk import Psk, encode_psk_key_exchange_modes, with_psks
from .resumption_client import psk_of

__all__ = [
    "HelloParameters",
    "current_psks",
    "make_client_hello",
    "remember_group",
]

_E = ExtensionType


@dataclass(slots=True, eq=False)
class HelloParameters:
    """The parameters of one ClientHello.

    The ClientHello after a HelloRetryRequest has most parameters of the first one, and one
    handshake may make several ClientHellos with different parameters.

    Attributes:
        server_name: the name that the server_name extension has.
        shares: the private key for each key share, by the code of its group.
        psks: the offered PSKs, in order of preference.
        psk_modes: whether the client says how it uses PSKs and tickets. A second ClientHello does
            if the first one did, with or without PSKs (RFC 9846 4.2.2).
        early_data: whether early data follows the ClientHello.
        session12: the session of TLS 1.2 that is offered, by its ticket or its id.
        ticket_request: how many tickets the client wants, as its extension has it; None to leave
            that to the server.
        cookie: the cookie of a HelloRetryRequest, as its extension has it.
        grease: the reserved values of RFC 8701; None to send none.
        ech: the encrypted_client_hello; None to send none.
    """

    config: ClientParameters
    server_name: ServerName
    random: bytes
    legacy_session_id: bytes
    shares: Mapping[int, EphemeralKey] = field(repr=False)
    psks: Sequence[Psk[Session]] = ()
    psk_modes: bool = False
    early_data: bool = False
    session12: Session | None = None
    ticket_request: bytes | None = None
    cookie: bytes | None = None
    grease: ClientHelloGrease | None = None
    ech: bytes | None = field(default=None, repr=False)

    @classmethod
    def initial(
        cls,
        config: ClientParameters,
        server_name: ServerName,
        port: int | None,
        psks: Sequence[Psk[Session]],
        *,
        early_data: bool,
        session12: Session | None = None,
        ech: bytes | None = None,
    ) -> HelloParameters:
        """Return the parameters of the first ClientHello, with new random values and keys."""
        return cls(
            config,
            server_name,
            urandom(RANDOM_LENGTH),
            make_legacy_session_id(config, session12),
            generate_key_shares(initial_groups(config, server_name, port)),
            psks,
            # RFC 9846 4.3.9: a server sends no tickets to a client that cannot use them.
            config.session_store is not None or bool(psks),
            early_data,
            session12,
            make_ticket_request(config, psks),
            grease=ClientHelloGrease.choose() if config.grease else None,
            ech=ech,
        )


def make_client_hello(parameters: HelloParameters, messages: Sequence[bytes] = ()) -> ClientHello:
    """Make a ClientHello with all its extensions.

    Args:
        messages: the transcript before it, which the binders of the PSKs cover: after a
            HelloRetryRequest, the first ClientHello's hash and the HelloRetryRequest.
    """
    return with_psks(hello_without_psks(parameters), parameters.psks, messages)


def hello_without_psks(parameters: HelloParameters) -> ClientHello:
    """Make a ClientHello with all its extensions but pre_shared_key, which has to be the last."""
    hello = ClientHello(
        legacy_version=TLS12,
        random=parameters.random,
        legacy_session_id=parameters.legacy_session_id,
        cipher_suites=parameters.config.offered_suites,
        legacy_compression_methods=NO_COMPRESSION,
        extensions=offered_extensions(parameters),
    )
    return hello if parameters.grease is None else grease.in_client_hello(hello, parameters.grease)


def offered_extensions(parameters: HelloParameters) -> dict[int, bytes]:
    """Return all extensions but pre_shared_key."""
    config, name, psks = parameters.config, parameters.server_name.sni, parameters.psks
    extensions: dict[int, bytes] = {}
    if name is not None:
        extensions[_E.server_name] = ext.encode_server_name(name)
    if parameters.ech is not None:
        extensions[_E.encrypted_client_hello] = parameters.ech
    extensions |= config.hello_extensions
    if config.session_store is not None and TLS12 in config.versions:
        session = parameters.session12
        extensions[_E.session_ticket] = b"" if session is None else session.ticket
    if TLS13 not in config.versions:
        return extensions
    public = {code: key.public for code, key in parameters.shares.items()}
    extensions[_E.key_share] = ext.encode_key_shares(public)
    if parameters.psk_modes:
        extensions[_E.psk_key_exchange_modes] = encode_psk_key_exchange_modes(config)
    if config.certificate_with_psk != "never" and psks and not offers_session(psks):
        extensions[_E.tls_cert_with_extern_psk] = b""
    if parameters.ticket_request is not None:
        extensions[_E.ticket_request] = parameters.ticket_request
    if parameters.early_data:
        extensions[_E.early_data] = b""
    if parameters.cookie is not None:
        extensions[_E.cookie] = parameters.cookie
    return extensions


def make_ticket_request(config: ClientParameters, psks: Sequence[Psk[Session]]) -> bytes | None:
    """Return the ticket_request, which is the same after a HelloRetryRequest (RFC 9149 3)."""
    if config.tickets_wanted is None:
        return None
    new, resumed = config.tickets_wanted
    return encode_ticket_request(new, resumed if offers_session(psks) else 0)


def offers_session(psks: Sequence[Psk[Session]]) -> bool:
    """Return whether one of the PSKs resumes a session; the others are external."""
    return any(psk.session is not None for psk in psks)


def make_legacy_session_id(config: ClientParameters, session12: Session | None) -> bytes:
    """Return a session id that looks like a resumption of TLS 1.2 (RFC 9846 E.4), or none.

    With a session of TLS 1.2 it is one: a server that resumes echoes the id. With a ticket the id
    is a random one (RFC 5077 3.4).
    """
    if session12 is not None and session12.session_id:
        return session12.session_id
    has_id = session12 is not None or (config.middlebox_compatibility and TLS13 in config.versions)
    return urandom(MAX_SESSION_ID_LENGTH) if has_id else b""


def initial_groups(
    config: ClientParameters, server_name: ServerName, port: int | None
) -> Sequence[Group]:
    """Return the groups of the first key shares, in order of preference (RFC 9846 4.3.8).

    A group that this server selected before replaces the default one of its kind, post-quantum or
    not. So the client still offers a post-quantum key share.
    """
    remembered = config.selected_groups
    if not remembered or (code := remembered.get((server_name.host, port))) is None:
        return config.default_key_shares
    selected = config.group_table[code]
    kind = selected.is_post_quantum
    others = [group for group in config.default_key_shares if group.is_post_quantum is not kind]
    return [group for group in config.group_table.values() if group in (selected, *others)]


def remember_group(
    config: ClientParameters, server_name: ServerName, port: int | None, group: Group | None
) -> None:
    """Remember the group that an authenticated server selected, unless it is a default one."""
    remembered = config.selected_groups
    if remembered is None or group is None:
        return
    if group not in config.default_key_shares:
        remembered.remember((server_name.host, port), group.code)
    elif remembered:
        remembered.pop((server_name.host, port), None)


def current_psks(config: ClientParameters, session: Session | None) -> Sequence[Psk[Session]]:
    """Return the PSKs to offer now: the session's first, with its age, and the external ones."""
    suites = config.suite_table.values()
    if session is not None and config.certificate_with_psk != "never":
        # RFC 9973 5.1: only external PSKs go with the extension, and no external PSK without it.
        return [psk_of(session, config.clock())]
    external = [psk for external in config.psks for psk in psks_of(external, suites)]
    return external if session is None else [psk_of(session, config.clock()), *external]
