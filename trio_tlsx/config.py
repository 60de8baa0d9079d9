"""What a client or a server is willing to do: frozen, checked when made, shared by connections."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Literal, TypeAlias

from cryptography.hazmat.primitives import hashes

from .clock import Clock, utc_now
from .crypto.cipher_suites import CIPHER_SUITES, CipherSuite
from .crypto.groups import DEFAULT_GROUPS, GROUPS, Group
from .crypto.signatures import (
    CERTIFICATE_VERIFY_SCHEMES,
    CLIENT_ONLY_SCHEMES,
    DEFAULT_SCHEMES,
    SignatureScheme,
)
from .errors import ConfigError
from .key_log import KeyLog, key_log_writer
from .messages.info import CertificateRequest, ClientHello
from .names import GROUP_ALIASES, encode_alpn, look_up
from .pki.compression import CertificateCompressor, compressors_of
from .pki.credentials import Credentials
from .pki.negotiated import Negotiated
from .pki.peer import Peer
from .pki.trust import TrustStore
from .record.protection import (
    MAX_INNER_PLAINTEXT_LENGTH,
    MAX_PLAINTEXT_LENGTH,
    MIN_RECORD_SIZE_LIMIT,
)
from .sessions.anti_replay import MemoryReplayRegister, ReplayRegister
from .sessions.client import MemorySessionStore, SessionStore
from .sessions.external_psk import MAX_PSKS, ExternalPSK, FindPSK, PSKs, list_psks, psk_finder
from .sessions.ticket_keys import TicketKeys
from .sessions.ticket_store import TicketApplicationData, TicketStore, application_data_source

__all__ = ["ClientConfig", "ServerConfig"]

#: CA names that a server sends, in bytes. Beyond that a client may send any certificate: a list
#: of everybody, such as a platform's CAs, guides nobody.
MAX_AUTHORITIES_LENGTH = 2**13

MIN_KEY_UPDATE_BYTES = 2**14

MAX_TICKETS_ISSUED = 16

#: Early data in one handshake, in bytes. It is also what a server skips that rejects it, as any
#: server of that name may on any other day: BoringSSL takes no more, and does not skip much more.
MAX_EARLY_DATA_SIZE = 14_336


def _list_credentials(
    credentials: Credentials | Sequence[Credentials] | None,
) -> tuple[Credentials, ...]:
    if credentials is None:
        return ()
    candidates = (credentials,) if isinstance(credentials, Credentials) else tuple(credentials)
    for candidate in candidates:
        if not isinstance(candidate, Credentials):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(
                f"credentials holds a {type(candidate).__name__}: "
                "give Credentials, made by Credentials.from_pem_files(...) or the like"
            )
    return candidates


#: Trusts a peer by giving nothing, at once or later; refuses it by raising CertificateError.
Verify: TypeAlias = Callable[[Peer], Awaitable[None] | None]


@dataclass(frozen=True)
class _Config:
    """What both roles have; the fields with ``init=False`` are derived from the others."""

    _: KW_ONLY
    credentials: Credentials | Sequence[Credentials] | None = None
    alpn_protocols: Sequence[str | bytes] = ()
    cipher_suites: Sequence[str] = tuple(suite.name for suite in CIPHER_SUITES.values())
    groups: Sequence[str] = tuple(group.name for group in DEFAULT_GROUPS)
    signature_schemes: Sequence[str] = tuple(s.name for s in DEFAULT_SCHEMES)
    certificate_compression: Sequence[str | CertificateCompressor] = ()
    record_size_limit: int = MAX_INNER_PLAINTEXT_LENGTH
    max_fragment_size: int = MAX_PLAINTEXT_LENGTH
    key_update_bytes: int | None = None
    key_log: KeyLog | None = None
    verify: Verify | Sequence[Verify] = ()
    verify_replaces_builtin: bool = False
    grease: bool = False
    psk_without_key_exchange: bool = False
    clock: Clock = utc_now

    verifiers: tuple[Verify, ...] = field(init=False, repr=False, compare=False)
    candidates: tuple[Credentials, ...] = field(init=False, repr=False, compare=False)
    alpn: tuple[bytes, ...] = field(init=False, repr=False, compare=False)
    suite_table: Mapping[int, CipherSuite] = field(init=False, repr=False, compare=False)
    group_table: Mapping[int, Group] = field(init=False, repr=False, compare=False)
    scheme_table: tuple[SignatureScheme, ...] = field(init=False, repr=False, compare=False)
    compressors: Mapping[int, CertificateCompressor] = field(init=False, repr=False, compare=False)
    write_key_log: Callable[[str], object] | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        suites = look_up("cipher suite", self.cipher_suites, CIPHER_SUITES.values())
        groups = look_up("group", self.groups, GROUPS.values(), GROUP_ALIASES)
        schemes = look_up("signature scheme", self.signature_schemes, CERTIFICATE_VERIFY_SCHEMES)
        if not MIN_RECORD_SIZE_LIMIT <= self.record_size_limit <= MAX_INNER_PLAINTEXT_LENGTH:
            raise ConfigError(
                f"record_size_limit is {self.record_size_limit} bytes; RFC 8449 allows "
                f"{MIN_RECORD_SIZE_LIMIT} to {MAX_INNER_PLAINTEXT_LENGTH}"
            )
        if not MIN_RECORD_SIZE_LIMIT <= self.max_fragment_size <= MAX_PLAINTEXT_LENGTH:
            raise ConfigError(
                f"max_fragment_size is {self.max_fragment_size} bytes; "
                f"{MIN_RECORD_SIZE_LIMIT} to {MAX_PLAINTEXT_LENGTH} are allowed"
            )
        if self.key_update_bytes is not None and self.key_update_bytes < MIN_KEY_UPDATE_BYTES:
            raise ConfigError(
                f"key_update_bytes is {self.key_update_bytes}; below {MIN_KEY_UPDATE_BYTES} "
                "the updates would cost more than the data"
            )
        resolve = object.__setattr__  # the dataclass is frozen for everyone else
        verifiers = (self.verify,) if callable(self.verify) else tuple(self.verify)
        if not all(map(callable, verifiers)):
            raise ConfigError("verify is a function that is called with the peer, or several")
        if self.verify_replaces_builtin and not verifiers:
            raise ConfigError("verify_replaces_builtin=True needs verify=: nothing else would ask")
        resolve(self, "verifiers", verifiers)
        resolve(self, "candidates", _list_credentials(self.credentials))
        resolve(self, "alpn", encode_alpn(self.alpn_protocols))
        resolve(self, "suite_table", {suite.code: suite for suite in suites})
        resolve(self, "group_table", {group.code: group for group in groups})
        resolve(self, "scheme_table", schemes)
        resolve(self, "compressors", compressors_of(self.certificate_compression))
        log = None if self.key_log is None else key_log_writer(self.key_log)
        resolve(self, "write_key_log", log)


#: Who a client is for a server, if it is anybody.
ClientIdentity: TypeAlias = Credentials | Sequence[Credentials] | None
SelectClientCredentials: TypeAlias = Callable[
    [CertificateRequest], ClientIdentity | Awaitable[ClientIdentity]
]


@dataclass(frozen=True)
class ClientConfig(_Config):
    """What a client offers and whom it trusts.

    Args:
        trust: the CAs that may have issued the server's certificate; the platform's by default.
        alpn_protocols: application protocols (RFC 7301), most wanted first.
        cipher_suites: names of the IANA registry, most wanted first.
        groups: key exchanges, likewise; ``"P-256"`` is understood too.
        key_shares: those of ``groups`` that a key share is sent for at once. With the right one
            the server needs to ask no second time; with none at all (``()``) it says first which
            it wants. By default the first post-quantum group and the first other one.
        signature_schemes: what the server may sign with, likewise.
        certificate_compression: what certificates, the server's and our own, may be compressed
            with (RFC 8879), the most wanted first: ``"zlib"``, on Python 3.14 ``"zstd"``, or a
            :class:`CertificateCompressor`. Nothing by default.
        record_size_limit: the largest plaintext record that the server may send, in bytes, with
            its content type (RFC 8449): 64 to 16,385.
        max_fragment_size: how much one record carries that we send, in bytes: 64 to 16,384. A peer
            on a slow line can read small records sooner; for both sides they are more work.
        key_update_bytes: go on to new keys (KeyUpdate) whenever about so many bytes of application
            data were sent, 16,384 at least; by default only when the cipher suite needs it.
        key_log: where the secrets of each connection are written (RFC 9850), so that Wireshark
            can read a recording: a path, a function that is given each line, or
            :func:`key_log_from_environment`. Whoever has the log can read the connections.
        credentials: our certificate chain and key, for a server that asks for them; or several, of
            which the first is sent that comes from a CA that the server knows and can sign so that
            it understands. None is sent if none does.
        select_credentials: instead of ``credentials``, is called with the
            :class:`CertificateRequest` and gives ``Credentials``, several of them, or None. It may
            give an awaitable of that, which is awaited in the task that does the handshake.
        middlebox_compatibility: make the handshake look like a resumption of TLS 1.2 to whatever
            is in between (RFC 9846 E.4).
        resumption: keep the session tickets that servers send, and resume with them.
        session_store: where sessions are kept; by default in memory, in a store that belongs to
            this configuration alone.
        session_context: with a ``session_store``, and then never empty: says under which trust
            its sessions were made. One that was kept under another context is not resumed.
        ocsp_stapling: ask servers to staple an OCSP response, ``Peer.ocsp_response``; by default
            where there is a ``verify`` that could look at it.
        timestamps: ask servers for signed certificate timestamps (RFC 6962),
            ``Peer.timestamps``, for a ``verify`` that looks at them.
        verify_on_resumption: judge a server anew in each connection that resumes another, by the
            certificates that it showed then; so that a pin or a revocation that came since counts.
            Early data leaves after that only.
        insecure_skip_verification: trust whoever answers. Such a connection is open to anyone in
            the middle; it is for looking at servers, never for talking to them.
        verify: is called with the :class:`Peer` after it has shown that it holds its key and the
            built-in verification has accepted it, to refuse it nevertheless, by raising
            :class:`CertificateError`; or several such functions, one after the other. Each gives
            None, or an awaitable, which is awaited in the task that does the handshake. Ready-made
            are :func:`pin_spki`, :func:`check_stapled_ocsp` and :func:`check_crl`.
        verify_replaces_builtin: have ``verify`` alone decide. It is then asked about every peer;
            what the built-in verification says against one is its ``error``.
        psks: keys that the server may know us by instead of certificates: four at most, each
            with an identity of its own. Unless ``trust`` is given, a server that takes none of
            them is refused (``missing_extension``); else its certificate counts. ``verify`` is
            not asked about a server that has one of them.
        psk_without_key_exchange: let a server that has a key do without a key exchange as well.
            Whoever gets hold of the key later can read such a connection.
        grease: put values that mean nothing (RFC 8701) where the peer has to ignore them.
        clock: gives the time by which certificates are judged.

    Raises:
        ConfigError: a name is unknown or a value out of range.
    """

    trust: TrustStore | None = None
    key_shares: Sequence[str] | None = None
    select_credentials: SelectClientCredentials | None = None
    middlebox_compatibility: bool = True
    insecure_skip_verification: bool = False
    resumption: bool = True
    session_store: SessionStore | None = None
    session_context: bytes = b""
    verify_on_resumption: bool = False
    ocsp_stapling: bool | None = None
    timestamps: bool = False
    psks: Sequence[ExternalPSK] = ()

    psk_required: bool = field(init=False, repr=False, compare=False)
    asks_for_ocsp: bool = field(init=False, repr=False, compare=False)
    sessions: SessionStore | None = field(init=False, repr=False, compare=False)
    key_share_codes: frozenset[int] | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if legacy := [s.name for s in self.scheme_table if s in CLIENT_ONLY_SCHEMES]:
            raise ConfigError(
                f"{', '.join(legacy)}: for signatures of clients (RFC 9963), a server has none"
            )
        if self.candidates and self.select_credentials is not None:
            raise ConfigError("a client needs credentials= or select_credentials=, not both")
        if (self.session_store is None) != (not self.session_context):
            raise ConfigError(
                "a session_store and its session_context come together: a session made under one "
                "trust must not be resumed under another, so name the trust"
            )
        if self.session_store is not None and self.insecure_skip_verification:
            raise ConfigError(
                "a session_store is for sessions of verified servers: not with "
                "insecure_skip_verification"
            )
        stapling = bool(self.verifiers) if self.ocsp_stapling is None else self.ocsp_stapling
        object.__setattr__(self, "asks_for_ocsp", stapling)
        object.__setattr__(self, "key_share_codes", self._key_share_codes())
        self._resolve_psks()
        resumes = self.resumption and not self.psk_required
        object.__setattr__(self, "sessions", self._sessions() if resumes else None)

    def _key_share_codes(self) -> frozenset[int] | None:
        if self.key_shares is None:
            return None
        if not self.key_shares:
            return frozenset()
        offered = self.group_table.values()
        shares = look_up("key share", self.key_shares, offered, GROUP_ALIASES)
        return frozenset(group.code for group in shares)

    def _resolve_psks(self) -> None:
        psks = list_psks(self.psks)
        if len(psks) > MAX_PSKS:
            raise ConfigError(f"a client offers {MAX_PSKS} PSKs at most, not {len(psks)}")
        judges = self.insecure_skip_verification or self.verify_replaces_builtin
        required = bool(psks) and self.trust is None and not judges
        object.__setattr__(self, "psks", psks)
        object.__setattr__(self, "psk_required", required)
        if not required:
            return
        if self.verifiers or self.candidates or self.select_credentials or self.session_store:
            raise ConfigError(
                "with psks and without trust there will be no certificates (nor sessions made "
                "with them): give trust=TrustStore.platform(), say, to take either"
            )
        # A suite with another hash than all the keys' could only fail.
        suites = {
            suite.code: suite
            for suite in self.suite_table.values()
            if any(psk.imported or psk.hash_function is suite.hash for psk in psks)
        }
        if not suites:
            raise ConfigError("none of the cipher_suites goes with the hash of one of the psks")
        object.__setattr__(self, "suite_table", suites)

    def _sessions(self) -> SessionStore:
        # A store of our own is never copied to another configuration, so it needs no context.
        return MemorySessionStore() if self.session_store is None else self.session_store


#: Whom a server is for a client, if it is anybody.
ServerIdentity: TypeAlias = "Credentials | Sequence[Credentials] | ServerConfig | None"
SelectServerCredentials: TypeAlias = (
    "Callable[[ClientHello], ServerIdentity | Awaitable[ServerIdentity]]"
)


@dataclass(frozen=True)
class ServerConfig(_Config):
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
            a signature are computed for it; it costs a round trip. ``select_credentials``,
            ``ticket_store`` and ``psks`` are asked before it.
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
        replay_register: what tells early data that was sent first from its replays; by default a
            :class:`MemoryReplayRegister` of this configuration's own. With ``ticket_keys`` it must
            be given: whoever shares the one must share the other.
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
        clock: gives the time by which certificates are judged.

    Raises:
        ConfigError: a name is unknown or a value out of range.
    """

    select_credentials: SelectServerCredentials | None = None
    client_auth: Literal["none", "optional", "required"] = "none"
    client_trust: TrustStore | None = None
    require_cookie: bool = False
    tickets: int = 2
    ticket_keys: TicketKeys | None = None
    ticket_store: TicketStore | None = None
    ticket_application_data: TicketApplicationData = field(default=b"", repr=False)
    max_early_data_size: int = 0
    replay_register: ReplayRegister | None = None
    psks: PSKs = ()

    early_data_register: ReplayRegister | None = field(init=False, repr=False, compare=False)
    find_psk: FindPSK | None = field(init=False, repr=False, compare=False)
    ticket_sealer: TicketKeys = field(init=False, repr=False, compare=False)
    ticket_rider: Callable[[Negotiated], bytes] = field(init=False, repr=False, compare=False)
    client_policy: bytes = field(init=False, repr=False, compare=False)

    client_authorities: tuple[bytes, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "find_psk", psk_finder(self.psks))
        if self.candidates and self.select_credentials is not None:
            raise ConfigError(
                "a server needs either credentials= or select_credentials=, not both"
            )
        certified = bool(self.candidates) or self.select_credentials is not None
        if not certified and self.find_psk is None:
            raise ConfigError("a server needs credentials=, select_credentials= or psks=")
        if not certified and self.client_auth != "none":
            raise ConfigError(
                "a server with psks alone asks for no certificates (RFC 9846 4.4.2): "
                "client_auth needs credentials"
            )
        if self.client_auth not in ("none", "optional", "required"):
            raise ConfigError(
                f"client_auth is 'none', 'optional' or 'required', not {self.client_auth!r}"
            )
        trusting = self.client_trust is not None or self.verify_replaces_builtin
        if self.client_auth != "none" and not trusting:
            raise ConfigError(f"client_auth={self.client_auth!r} needs client_trust")
        if self.client_auth == "none" and self.client_trust is not None:
            raise ConfigError("client_trust is of no use unless client_auth asks for certificates")
        trusted = self.client_trust.certificates if self.client_trust is not None else ()
        authorities = tuple(dict.fromkeys(ca.subject.public_bytes() for ca in trusted))
        if sum(len(name) + 2 for name in authorities) > MAX_AUTHORITIES_LENGTH:
            authorities = ()
        object.__setattr__(self, "client_authorities", authorities)
        if not 0 <= self.tickets <= MAX_TICKETS_ISSUED:
            raise ConfigError(f"tickets is {self.tickets}; 0 to {MAX_TICKETS_ISSUED} are allowed")
        keys = TicketKeys(clock=self.clock) if self.ticket_keys is None else self.ticket_keys
        object.__setattr__(self, "ticket_sealer", keys)
        rider = application_data_source(self.ticket_application_data)
        object.__setattr__(self, "ticket_rider", rider)
        object.__setattr__(self, "client_policy", self._client_policy())
        object.__setattr__(self, "early_data_register", self._early_data_register())

    def _early_data_register(self) -> ReplayRegister | None:
        if not 0 <= self.max_early_data_size <= MAX_EARLY_DATA_SIZE:
            raise ConfigError(
                f"max_early_data_size is {self.max_early_data_size} bytes; "
                f"0 to {MAX_EARLY_DATA_SIZE} are allowed"
            )
        if not self.max_early_data_size:
            return None
        if self.replay_register is not None:
            return self.replay_register
        if self.ticket_keys is not None:
            raise ConfigError(
                "max_early_data_size with ticket_keys needs replay_register: early data could be "
                "replayed to others who take these tickets and do not ask the same register"
            )
        return MemoryReplayRegister(clock=self.clock)

    def _client_policy(self) -> bytes:
        """A digest of how clients are judged; tickets are good under the same policy only."""
        digest = hashlib.sha256(self.client_auth.encode())
        for certificate in self.client_trust.certificates if self.client_trust else ():
            digest.update(certificate.fingerprint(hashes.SHA256()))
        return digest.digest()
