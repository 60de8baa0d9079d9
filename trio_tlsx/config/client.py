"""The options of a client: frozen, checked when made, shared by connections."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from ..crypto.signatures import CLIENT_ONLY_SCHEMES
from ..errors import ConfigError
from ..messages.info import CertificateRequest
from ..pki.credentials import Credentials
from ..pki.trust import TrustStore
from ..sessions.client import MemorySessionStore, SessionStore
from ..sessions.external_psk import MAX_PSKS, ExternalPSK, list_psks
from .common import CommonConfig
from .names import GROUP_ALIASES, look_up

__all__ = ["ClientConfig"]

#: Who a client is for a server, if it is anybody.
ClientIdentity: TypeAlias = Credentials | Sequence[Credentials] | None
SelectClientCredentials: TypeAlias = Callable[
    [CertificateRequest], ClientIdentity | Awaitable[ClientIdentity]
]


@dataclass(frozen=True)
class ClientConfig(CommonConfig):
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
