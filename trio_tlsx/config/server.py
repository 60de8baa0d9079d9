"""The options of a server: immutable, validated once, shared by connections."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from ..errors import ConfigError
from ..messages.info import ClientHello
from ..pki.credentials import Credentials
from ..pki.distinguished_names import subject_name
from ..pki.negotiated import Negotiated
from ..pki.trust import TrustStore
from ..sessions.anti_replay import AntiReplayCache, MemoryAntiReplayCache
from ..sessions.external_psk import FindPSK, PSKs, psk_finder
from ..sessions.ticket_keys import TicketKeys
from ..sessions.ticket_store import TicketApplicationData, TicketStore, application_data_source
from .common import (
    CommonConfig,
    CommonParameters,
    Trust,
    check_fields,
    load_trust,
    resolve_common,
)
from .fields import SERVER_FIELDS

__all__ = ["MAX_EARLY_DATA_ACCEPTED", "MAX_TICKETS_ISSUED", "ServerConfig", "ServerParameters"]

#: CA names that a server sends, in bytes. Beyond that a client may send any certificate: a list
#: of everybody, such as a platform's CAs, guides nobody.
MAX_AUTHORITIES_LENGTH = 2**13

MAX_TICKETS_ISSUED = 16

#: The most early data that a server accepts in one handshake, in bytes. Another server of the same
#: name may have to skip it: BoringSSL accepts no more, and skips little more.
MAX_EARLY_DATA_ACCEPTED = 14_336


#: Whom a server is for a client, if it is anybody.
ServerIdentity: TypeAlias = "Credentials | Sequence[Credentials] | ServerConfig | None"
SelectServerCredentials: TypeAlias = (
    "Callable[[ClientHello], ServerIdentity | Awaitable[ServerIdentity]]"
)


@dataclass(frozen=True)
class ServerConfig(CommonConfig):
    """What a server accepts and who it is.

    Args:
        credentials: its certificate chain and key. Or several: each client gets the first for
            the name that it asks for (else for a wildcard that covers it, else any) with which
            we can sign so that the client understands it.
        select_credentials: instead of ``credentials``, is called with each
            :class:`ClientHello` and gives ``Credentials``, several of them, a whole other
            ``ServerConfig`` to go on with, or None to refuse the name (``unrecognized_name``). It
            may give an awaitable of that, which is awaited in the task that does the handshake.
        alpn_protocols: application protocols (RFC 7301), most wanted first. A client that offers
            ALPN and none of these is refused with ``no_application_protocol``.
        cipher_suites: names of the IANA registry, most wanted first.
        groups: key exchanges, likewise; ``"P-256"`` is understood too.
        signature_schemes: what clients may sign with, likewise.
        certificate_compression: what certificates, our own and clients', may be compressed with
            (RFC 8879), the most wanted first: ``"zlib"``, on Python 3.14 ``"zstd"``, or a
            :class:`CertificateCompressor`. Nothing by default.
        record_size_limit: the largest plaintext record that the client may send, in bytes, with
            its content type (RFC 8449): 64 to 16,385.
        max_fragment_size: how much one record carries that we send, in bytes: 64 to 16,384. A peer
            on a slow line can read small records sooner; for both sides they are more work.
        key_update_bytes: go on to new keys (KeyUpdate) whenever about so many bytes of application
            data were sent, 16,384 at least; by default only when the cipher suite needs it.
        key_log: where the secrets of each connection are written (RFC 9850), so that Wireshark
            can read a recording: a path, a function that is given each line, or
            :func:`key_log_from_environment`. Whoever has the log can read the connections.
        client_auth: whether clients are asked for a certificate: ``"none"``, ``"optional"``
            (those without one are let in) or ``"required"``.
        client_trust: the CAs that may have issued their certificates. Clients are told the CAs'
            names, if that is no more than 8 KiB.
        require_cookie: have each client repeat a cookie (RFC 9846 4.3.2) before a key exchange and
            a signature are computed for it; it costs a round trip. GnuTLS 3.7, mbedTLS 3.6 and s2n
            cannot do that. ``select_credentials``, ``ticket_store`` and ``psks`` are asked before
            it.
        verify: is called with the :class:`Peer` after it has shown that it holds its key and the
            built-in verification has accepted it, to refuse it nevertheless, by raising
            :class:`CertificateError`; or several such functions, one after the other. Each gives
            None, or an awaitable, which is awaited in the task that does the handshake. Ready-made
            are :func:`pin_spki`, :func:`check_stapled_ocsp` and :func:`check_crl`.
        verify_replaces_builtin: have ``verify`` alone decide. It is then asked about every peer;
            what the built-in verification says against one is its ``error``.
        tickets: how many session tickets each client gets that can use them, 0 to 16. They leave
            with the first data that is sent.
        ticket_keys: what the tickets are sealed with; by default keys of this configuration's
            own, which rotate.
        ticket_store: where what is in the tickets is kept. The client then gets no more than a
            name for it, and each ticket is good for one use.
        ticket_application_data: what of the application's own rides in the tickets, up to 255
            bytes: the same in each, or a function that is given ``negotiated``. A connection that
            resumes has it in ``negotiated.ticket_application_data``.
        max_early_data_size: how much early data (0-RTT, RFC 9846 2.3) a client may send that
            resumes a session, in bytes: up to 14,336. None by default, and only who calls
            :meth:`TLSStream.receive_replayable_early_data` gets any. Whoever records early data
            can replay it: the register below stops what it hears of, and the rest is for the
            application to stand.
        anti_replay_cache: remembers early data that was accepted, so that a replay is rejected; by
            default a :class:`MemoryAntiReplayCache` of this configuration's own. With
            ``ticket_keys`` it is required: servers that share the keys must share the cache.
        psks: keys that clients may be known by instead of certificates; or a mapping of them by
            their identities, which may change; or a function that is called with an identity and
            gives its :class:`ExternalPSK`, or None where there is none. It may give an awaitable
            of that, which is awaited in the task that does the handshake. A client that offers
            none that is known here gets a certificate; without ``credentials`` it is refused, just
            as one that does not have the key of its identity (``decrypt_error``). No certificate
            is asked of a client that has a key, whatever ``client_auth`` says, and ``verify`` is
            not asked about it.
        psk_without_key_exchange: do without a key exchange for clients that have a key and want
            it so. Whoever gets hold of the key later can read such a connection.
        grease: put values that mean nothing (RFC 8701) where the peer has to ignore them.
        max_chain_length: how many certificates the peer may send, 1 to 255. This is not the length
            of the path that is built from them, which has 8 intermediate CAs at most.
        clock: gives the time by which certificates are judged.

    Raises:
        ConfigError: a name is unknown or a value out of range.
    """

    select_credentials: SelectServerCredentials | None = None
    client_auth: Literal["none", "optional", "required"] = "none"
    client_trust: Trust | None = None
    require_cookie: bool = False
    tickets: int = 2
    ticket_keys: TicketKeys | None = None
    ticket_store: TicketStore | None = None
    ticket_application_data: TicketApplicationData = field(default=b"", repr=False)
    max_early_data_size: int = 0
    anti_replay_cache: AntiReplayCache | None = None
    psks: PSKs = ()

    def __post_init__(self) -> None:
        check_fields(self, SERVER_FIELDS)
        _ = self.parameters  # a mistake is raised when the configuration is made

    @cached_property
    def parameters(self) -> ServerParameters:
        """The options as the handshake uses them, resolved once."""
        return _resolve(self)


@dataclass(frozen=True, kw_only=True)
class ServerParameters(CommonParameters):
    """A :class:`ServerConfig` as the handshake uses it, with its own ticket keys and cache."""

    select_credentials: SelectServerCredentials | None
    client_auth: Literal["none", "optional", "required"]
    client_trust: TrustStore | None
    client_authorities: tuple[bytes, ...]
    client_policy: bytes
    require_cookie: bool
    tickets: int
    ticket_sealer: TicketKeys
    ticket_store: TicketStore | None
    make_ticket_application_data: Callable[[Negotiated], bytes] = field(repr=False)
    max_early_data_size: int
    early_data_register: AntiReplayCache | None
    find_psk: FindPSK | None


def _resolve(config: ServerConfig) -> ServerParameters:
    common = resolve_common(config)
    find_psk = psk_finder(config.psks)
    _check_client_auth(config)
    _check_identity(config, common, find_psk)
    _check_limits(config)
    keys = TicketKeys(clock=config.clock) if config.ticket_keys is None else config.ticket_keys
    trust = load_trust("client_trust", config.client_trust)
    trusted = () if trust is None else trust.certificates
    return ServerParameters(
        **vars(common),
        select_credentials=config.select_credentials,
        client_auth=config.client_auth,
        client_trust=trust,
        client_authorities=_authorities(trusted),
        client_policy=_client_policy(config.client_auth, trusted),
        require_cookie=config.require_cookie,
        tickets=config.tickets,
        ticket_sealer=keys,
        ticket_store=config.ticket_store,
        make_ticket_application_data=application_data_source(config.ticket_application_data),
        max_early_data_size=config.max_early_data_size,
        early_data_register=_anti_replay_cache(config),
        find_psk=find_psk,
    )


def _check_identity(
    config: ServerConfig, common: CommonParameters, find_psk: FindPSK | None
) -> None:
    if common.candidates and config.select_credentials is not None:
        raise ConfigError("a server needs either credentials= or select_credentials=, not both")
    certified = bool(common.candidates) or config.select_credentials is not None
    if not certified and find_psk is None:
        raise ConfigError("a server needs credentials=, select_credentials= or psks=")
    if not certified and config.client_auth != "none":
        raise ConfigError(
            "a server with psks alone asks for no certificates (RFC 9846 4.4.2): "
            "client_auth needs credentials"
        )


def _check_client_auth(config: ServerConfig) -> None:
    if config.client_auth not in ("none", "optional", "required"):
        raise ConfigError(
            f"client_auth is 'none', 'optional' or 'required', not {config.client_auth!r}"
        )
    trusting = config.client_trust is not None or config.verify_replaces_builtin
    if config.client_auth != "none" and not trusting:
        raise ConfigError(f"client_auth={config.client_auth!r} needs client_trust")
    if config.client_auth == "none" and config.client_trust is not None:
        raise ConfigError("client_trust is of no use unless client_auth asks for certificates")


def _check_limits(config: ServerConfig) -> None:
    if not 0 <= config.tickets <= MAX_TICKETS_ISSUED:
        raise ConfigError(f"tickets is {config.tickets}; 0 to {MAX_TICKETS_ISSUED} are allowed")
    if not 0 <= config.max_early_data_size <= MAX_EARLY_DATA_ACCEPTED:
        raise ConfigError(
            f"max_early_data_size is {config.max_early_data_size} bytes; "
            f"0 to {MAX_EARLY_DATA_ACCEPTED} are allowed"
        )


def _authorities(trusted: Iterable[x509.Certificate]) -> tuple[bytes, ...]:
    """The names that clients are sent in a CertificateRequest; none if they are too many."""
    names = tuple(dict.fromkeys(subject_name(ca).der for ca in trusted))
    return names if sum(len(name) + 2 for name in names) <= MAX_AUTHORITIES_LENGTH else ()


def _client_policy(client_auth: str, trusted: Iterable[x509.Certificate]) -> bytes:
    """A digest of how clients are verified; a ticket can be used under the same policy only."""
    digest = hashlib.sha256(client_auth.encode())
    for certificate in trusted:
        digest.update(certificate.fingerprint(hashes.SHA256()))
    return digest.digest()


def _anti_replay_cache(config: ServerConfig) -> AntiReplayCache | None:
    if not config.max_early_data_size:
        return None
    if config.anti_replay_cache is not None:
        return config.anti_replay_cache
    if config.ticket_keys is not None:
        raise ConfigError(
            "max_early_data_size with ticket_keys needs anti_replay_cache: early data could "
            "be replayed to servers that accept these tickets but do not ask the same cache"
        )
    return MemoryAntiReplayCache(clock=config.clock)
