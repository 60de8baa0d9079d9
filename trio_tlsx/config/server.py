"""The options of a server: immutable, validated once, shared by connections."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from ..errors import ConfigError
from ..messages.certificate_types import DEFAULT_TYPES, CertificateType
from ..messages.info import ClientHello
from ..messages.versions import TLS13
from ..pki.credentials import Credentials
from ..pki.distinguished_names import subject_name
from ..pki.ech import ECHKey
from ..pki.ech_keys import ECHKeys, check_public_names
from ..pki.negotiated import Negotiated
from ..pki.trust import TrustStore
from ..sessions.anti_replay import AntiReplayCache, MemoryAntiReplayCache
from ..sessions.external_psk import FindPSK, PSKs, psk_finder
from ..sessions.ticket_keys import TicketKeys
from ..sessions.ticket_store import (
    TicketApplicationData,
    TicketStore,
    ticket_application_data_source,
)
from .certificate_types import accepted_types
from .common import CommonConfig, CommonParameters, Trust, check_fields, load_trust, resolve_common
from .fields import SERVER_FIELDS
from .psks import with_certificates_and_psks
from .tls12 import Parameters12, check_needs_of_tls13

__all__ = ["MAX_EARLY_DATA_ACCEPTED", "MAX_TICKETS_ISSUED", "ServerConfig", "ServerParameters"]

#: The most CA names that a server sends, in bytes. A server with more CAs, such as a platform's,
#: sends no names: a client may then send any certificate.
MAX_AUTHORITIES_LENGTH = 2**13

MAX_TICKETS_ISSUED = 16

#: A client that opens two connections at once can resume both. After that, each connection brings
#: a ticket for the one that it has used.
DEFAULT_TICKETS = 2
DEFAULT_TICKETS_IF_RESUMED = 1
#: The most to a client that says how many it wants (RFC 9149).
DEFAULT_TICKETS_IF_WANTED = 4

#: The most early data that a server accepts in one handshake, in bytes. Another server of the same
#: name may have to skip it: BoringSSL accepts no more, and skips little more.
MAX_EARLY_DATA_ACCEPTED = 14_336


#: The credentials of a server, or the configuration to continue with.
ServerIdentity: TypeAlias = "Credentials | Sequence[Credentials] | ServerConfig | None"
SelectServerCredentials: TypeAlias = (
    "Callable[[ClientHello], ServerIdentity | Awaitable[ServerIdentity]]"
)


@dataclass(frozen=True)
class ServerConfig(CommonConfig):
    """The configuration of a server: its credentials, and the clients that it accepts.

    The arguments that clients and servers share are those of
    :class:`~trio_tlsx.config.common.CommonConfig`. All are keyword arguments.

    Args:
        credentials: the server's certificate chain and key; or several. Each client gets the first
            for the name that it asks for (or else for a wildcard that covers the name, or else
            any) that can sign with a scheme that the client accepts.
        select_credentials: a function to call instead of ``credentials``, with each
            :class:`ClientHello`. It returns ``Credentials``, several of them, another
            ``ServerConfig`` to continue with, None to reject the name (``unrecognized_name``), or
            an awaitable of these, which is awaited in the task that does the handshake.
        client_auth: whether the server requests a certificate of its clients: ``"none"``,
            ``"optional"`` (clients without one are accepted) or ``"required"``.
        client_trust: the CAs that may have issued the clients' certificates: a
            :class:`TrustStore`, or the path of a PEM file, which is read once, when the
            configuration is created. The server sends the CAs' names to its clients, unless they
            exceed 8 KiB.
        require_cookie: require each client of TLS 1.3 to repeat a cookie (RFC 9846 4.3.2) before
            the server computes a key exchange and a signature for it. This costs a round trip.
            GnuTLS 3.7, mbedTLS 3.6 and s2n cannot do that. The server calls
            ``select_credentials``, ``ticket_store`` and ``psks`` before it.
        retry_for_group: when the server asks a client of TLS 1.3 for a key share of a group that
            it prefers to those that the client sent key shares for (HelloRetryRequest):
            ``"never"``, for a ``"post_quantum"`` group, or ``"always"``. This costs a round trip,
            and early data of that connection is rejected.
        tickets: how many session tickets to send to each client that can use them, 0 to 16. By
            default two, and one in a connection that resumes a session, which has used up one.
            A client that says how many it wants (RFC 9149) gets as many, but at most this number,
            by default at most four. They are sent with the first data, or with ``close_notify`` if
            the client has not closed yet. :meth:`TLSStream.send_session_tickets` sends them
            earlier.
        tickets_after_handshake: send the tickets right after the handshake. Clients that wait for
            a ticket before they send need this. Leave it off if a client may send, never read,
            and close: such a client answers the tickets with a reset, and loses what it has sent.
        ticket_keys: the keys that seal the tickets. By default keys of this configuration's own,
            which rotate.
        ticket_store: where to store the content of the tickets. The client then gets only a name
            for it, and each ticket can be used once. In TLS 1.2 a client without tickets then gets
            a session id.
        ticket_application_data: up to 255 bytes of the application's own that each ticket carries:
            bytes, or a function that returns them for a :class:`Negotiated`. A connection that
            resumes has them in ``negotiated.ticket_application_data``.
        max_early_data_size: how much early data (0-RTT, RFC 9846 2.3) a client that resumes a
            session may send, in bytes: 0 to 14,336. 0 by default. Only
            :meth:`TLSStream.receive_replayable_early_data` returns early data. Anyone who records
            early data can replay it: ``anti_replay_cache`` rejects the replays that it learns of,
            and the application has to withstand the others.
        anti_replay_cache: remembers accepted early data, so that a replay is rejected. By default
            a :class:`MemoryAntiReplayCache` of this configuration's own. Required with
            ``ticket_keys``: servers that share the keys must share the cache.
        ech_keys: the keys of Encrypted Client Hello (RFC 9849), the current one first: an
            :class:`ECHKey`, or several, or :class:`ECHKeys`, which can be replaced later. Clients
            that used an older key are served too. A client that used none of them gets a
            certificate of the public name, and the current configuration for another try.
        ech_trial_decryption: try each of ``ech_keys``, whichever the client names (RFC 9849 10.4).
            This costs 0.1 ms for each key, which anybody can make the server spend.
        psks: keys that clients may have instead of certificates; or a mapping of them by identity,
            which may change; or a function that returns the :class:`ExternalPSK` of an identity,
            None if there is none, or an awaitable of these, which is awaited in the task that
            does the handshake. A client that offers no known identity gets a certificate; without
            ``credentials`` it is rejected like a client with the wrong key (``decrypt_error``).
            Without ``certificate_with_psk`` the server requests no certificate of a client that
            has a key, whatever ``client_auth`` is, and does not call ``verify`` for it.

    Raises:
        ConfigError: a value has the wrong type or is out of range, a name is unknown, a file
            cannot be read, or two arguments exclude each other.
    """

    select_credentials: SelectServerCredentials | None = None
    client_auth: Literal["none", "optional", "required"] = "none"
    client_trust: Trust | None = None
    require_cookie: bool = False
    retry_for_group: Literal["never", "post_quantum", "always"] = "post_quantum"
    tickets: int | None = None
    tickets_after_handshake: bool = False
    ticket_keys: TicketKeys | None = None
    ticket_store: TicketStore | None = None
    ticket_application_data: TicketApplicationData = field(default=b"", repr=False)
    max_early_data_size: int = 0
    anti_replay_cache: AntiReplayCache | None = None
    psks: PSKs = ()
    ech_keys: ECHKey | Sequence[ECHKey] | ECHKeys = ()
    ech_trial_decryption: bool = False

    def __post_init__(self) -> None:
        check_fields(self, SERVER_FIELDS)
        _ = self.parameters  # a mistake raises when the configuration is created

    @cached_property
    def parameters(self) -> ServerParameters:
        """The options as the handshake uses them, resolved once."""
        return _resolve(self)


@dataclass(frozen=True, eq=False, kw_only=True)
class ServerParameters(CommonParameters):
    """A :class:`ServerConfig` as the handshake uses it, with its own ticket keys and cache."""

    select_credentials: SelectServerCredentials | None
    client_auth: Literal["none", "optional", "required"]
    client_trust: TrustStore | None
    peer_certificate_types: tuple[CertificateType, ...]
    client_authorities: tuple[bytes, ...]
    client_policy: bytes
    require_cookie: bool
    retry_for_group: Literal["never", "post_quantum", "always"]
    tickets: int
    tickets_if_resumed: int
    tickets_if_wanted: int
    tickets_after_handshake: bool
    ticket_keys: TicketKeys
    ticket_store: TicketStore | None
    ticket_application_data: Callable[[Negotiated], bytes] = field(repr=False)
    max_early_data_size: int
    anti_replay_cache: AntiReplayCache | None
    find_psk: FindPSK | None
    ech_keys: ECHKeys
    ech_trial_decryption: bool


def _resolve(config: ServerConfig) -> ServerParameters:
    common = resolve_common(config, is_client=False)
    find_psk = psk_finder(config.psks)
    check_needs_of_tls13(
        common.versions,
        psks=find_psk is not None,
        max_early_data_size=config.max_early_data_size,
        require_cookie=config.require_cookie,
    )
    common = with_certificates_and_psks(config, common, has_psks=find_psk is not None)
    _check_client_auth(config)
    _check_identity(config, common, find_psk)
    _check_limits(config)
    if not (common.candidates or config.select_credentials):
        # Only TLS 1.3 has external PSKs.
        common = replace(common, versions=frozenset({TLS13}), tls12=Parameters12())
    keys = TicketKeys(clock=config.clock) if config.ticket_keys is None else config.ticket_keys
    trust = load_trust("client_trust", config.client_trust)
    trusted = () if trust is None else trust.certificates
    verified = not config.verify_replaces_builtin
    types = accepted_types(config.peer_certificate_types, trust, verified=verified)
    return ServerParameters(
        **vars(common),
        select_credentials=config.select_credentials,
        client_auth=config.client_auth,
        client_trust=trust,
        peer_certificate_types=types,
        client_authorities=_authorities(trusted),
        client_policy=_client_policy(config, trust, types),
        require_cookie=config.require_cookie,
        retry_for_group=config.retry_for_group,
        tickets=DEFAULT_TICKETS if config.tickets is None else config.tickets,
        tickets_if_resumed=(
            DEFAULT_TICKETS_IF_RESUMED if config.tickets is None else config.tickets
        ),
        tickets_if_wanted=(
            DEFAULT_TICKETS_IF_WANTED if config.tickets is None else config.tickets
        ),
        tickets_after_handshake=config.tickets_after_handshake,
        ticket_keys=keys,
        ticket_store=config.ticket_store,
        ticket_application_data=ticket_application_data_source(config.ticket_application_data),
        max_early_data_size=config.max_early_data_size,
        anti_replay_cache=_anti_replay_cache(config),
        find_psk=find_psk,
        ech_keys=_hold_ech_keys(config, common),
        ech_trial_decryption=config.ech_trial_decryption,
    )


def _hold_ech_keys(config: ServerConfig, common: CommonParameters) -> ECHKeys:
    """Return the keys; check that the server can be what their public names say."""
    given = config.ech_keys
    held = given if isinstance(given, ECHKeys) else ECHKeys(given)
    if held.keys and TLS13 not in common.versions:
        raise ConfigError(
            "ech_keys need TLS 1.3 (RFC 9849 6.1): add 'TLSv1.3' to versions, or leave them out"
        )
    ids = [key.config.config_id for key in held.keys]
    if len(set(ids)) < len(ids) and not config.ech_trial_decryption:
        raise ConfigError(
            "two of the ech_keys have the same config_id: generate one of them again with "
            "other_ids=, or pass ech_trial_decryption=True"
        )
    if common.candidates:
        check_public_names(held, common.candidates)
    return held


def _check_identity(
    config: ServerConfig, common: CommonParameters, find_psk: FindPSK | None
) -> None:
    if common.candidates and config.select_credentials is not None:
        raise ConfigError(
            "a server has both credentials= and select_credentials=: pass one of them"
        )
    certified = bool(common.candidates) or config.select_credentials is not None
    if not certified and find_psk is None:
        raise ConfigError(
            "a server has no credentials: pass credentials=, select_credentials= or psks="
        )
    if not certified and config.certificate_with_psk != "never":
        raise ConfigError(
            f"certificate_with_psk is {config.certificate_with_psk!r}, but the server has no "
            "credentials: pass credentials= or select_credentials="
        )
    if not certified and config.client_auth != "none":
        raise ConfigError(
            f"client_auth is {config.client_auth!r}, but a server with psks alone cannot request "
            "certificates (RFC 9846 4.4.2): pass credentials too, or leave out client_auth"
        )


def _check_client_auth(config: ServerConfig) -> None:
    if config.client_auth not in ("none", "optional", "required"):
        raise ConfigError(
            f"client_auth is {config.client_auth!r}; pass 'none', 'optional' or 'required'"
        )
    trusting = config.client_trust is not None or config.verify_replaces_builtin
    if config.client_auth != "none" and not trusting:
        raise ConfigError(
            f"client_auth is {config.client_auth!r}, but there is no client_trust: pass the CAs "
            "that issue the clients' certificates"
        )
    if config.client_auth == "none" and config.peer_certificate_types is not None:
        raise ConfigError(
            "peer_certificate_types has no effect without client_auth: pass "
            "client_auth='optional' or 'required', or leave out peer_certificate_types"
        )
    if config.client_auth == "none" and config.client_trust is not None:
        raise ConfigError(
            "client_trust has no effect without client_auth: pass client_auth='optional' or "
            "'required', or leave out client_trust"
        )


def _check_limits(config: ServerConfig) -> None:
    if config.retry_for_group not in ("never", "post_quantum", "always"):
        raise ConfigError(
            f"retry_for_group is {config.retry_for_group!r}; "
            "pass 'never', 'post_quantum' or 'always'"
        )
    if config.tickets is not None and not 0 <= config.tickets <= MAX_TICKETS_ISSUED:
        raise ConfigError(f"tickets is {config.tickets}; pass 0 to {MAX_TICKETS_ISSUED}")
    if not 0 <= config.max_early_data_size <= MAX_EARLY_DATA_ACCEPTED:
        raise ConfigError(
            f"max_early_data_size is {config.max_early_data_size} bytes; "
            f"pass 0 to {MAX_EARLY_DATA_ACCEPTED}"
        )


def _authorities(trusted: Iterable[x509.Certificate]) -> tuple[bytes, ...]:
    """Return the CA names for a CertificateRequest; none if they are too long."""
    names = tuple(dict.fromkeys(subject_name(ca).der for ca in trusted))
    return names if sum(len(name) + 2 for name in names) <= MAX_AUTHORITIES_LENGTH else ()


def _client_policy(
    config: ServerConfig, trust: TrustStore | None, types: Sequence[CertificateType]
) -> bytes:
    """Return a digest of the client verification; a ticket is valid under the same policy only."""
    digest = hashlib.sha256(config.client_auth.encode())
    if config.certificate_with_psk == "required":
        # So no session of a connection without a key is resumed.
        digest.update(b" and an external PSK")
    for certificate in () if trust is None else trust.certificates:
        digest.update(certificate.fingerprint(hashes.SHA256()))
    if types != DEFAULT_TYPES:
        digest.update(bytes(types))
        for pin in () if trust is None else sorted(trust.pins):
            digest.update(pin)
    return digest.digest()


def _anti_replay_cache(config: ServerConfig) -> AntiReplayCache | None:
    if not config.max_early_data_size:
        return None
    if config.anti_replay_cache is not None:
        return config.anti_replay_cache
    if config.ticket_keys is not None:
        raise ConfigError(
            "max_early_data_size with ticket_keys needs anti_replay_cache: pass one cache to all "
            "servers with these keys, or early data could be replayed to another of them"
        )
    return MemoryAntiReplayCache(clock=config.clock)
