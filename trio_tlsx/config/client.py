"""The options of a client: immutable, validated once, shared by connections."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias

from ..crypto.groups import Group
from ..crypto.signatures import CLIENT_ONLY_SCHEMES
from ..errors import ConfigError
from ..messages.info import CertificateRequest
from ..pki.credentials import Credentials
from ..pki.trust import TrustStore
from ..sessions.client import MemorySessionStore, SessionStore
from ..sessions.external_psk import MAX_PSKS, ExternalPSK, list_psks
from .common import (
    CommonConfig,
    CommonParameters,
    Trust,
    check_fields,
    load_trust,
    resolve_common,
)
from .fields import CLIENT_FIELDS
from .names import GROUP_ALIASES, look_up

__all__ = ["ClientConfig", "ClientParameters"]

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
        max_chain_length: how many certificates the peer may send, 1 to 255. This is not the length
            of the path that is built from them, which has 8 intermediate CAs at most.
        clock: gives the time by which certificates are judged.

    Raises:
        ConfigError: a name is unknown or a value out of range.
    """

    trust: Trust | None = None
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

    def __post_init__(self) -> None:
        check_fields(self, CLIENT_FIELDS)
        _ = self.parameters  # a mistake is raised when the configuration is made

    @cached_property
    def parameters(self) -> ClientParameters:
        """The options as the handshake uses them, resolved once."""
        return _resolve(self)


@dataclass(frozen=True, kw_only=True)
class ClientParameters(CommonParameters):
    """A :class:`ClientConfig` as the handshake uses it, with its own store of sessions."""

    trust: TrustStore | None
    key_share_codes: frozenset[int] | None
    select_credentials: SelectClientCredentials | None
    middlebox_compatibility: bool
    insecure_skip_verification: bool
    sessions: SessionStore | None
    session_context: bytes
    verify_on_resumption: bool
    asks_for_ocsp: bool
    timestamps: bool
    psks: tuple[ExternalPSK, ...]
    psk_required: bool


def _resolve(config: ClientConfig) -> ClientParameters:
    common = resolve_common(config)
    _check_options(config, common)
    psks = _list_psks(config.psks)
    verified = not (config.insecure_skip_verification or config.verify_replaces_builtin)
    psk_required = bool(psks) and config.trust is None and verified
    if psk_required:
        common = _with_psks_alone(config, common, psks)
    stapling = bool(common.verifiers) if config.ocsp_stapling is None else config.ocsp_stapling
    return ClientParameters(
        **vars(common),
        trust=load_trust("trust", config.trust),
        key_share_codes=_key_share_codes(config.key_shares, common.group_table),
        select_credentials=config.select_credentials,
        middlebox_compatibility=config.middlebox_compatibility,
        insecure_skip_verification=config.insecure_skip_verification,
        sessions=_session_store(config) if config.resumption and not psk_required else None,
        session_context=config.session_context,
        verify_on_resumption=config.verify_on_resumption,
        asks_for_ocsp=stapling,
        timestamps=config.timestamps,
        psks=psks,
        psk_required=psk_required,
    )


def _check_options(config: ClientConfig, common: CommonParameters) -> None:
    if legacy := [s.name for s in common.scheme_table if s in CLIENT_ONLY_SCHEMES]:
        raise ConfigError(
            f"{', '.join(legacy)}: for signatures of clients (RFC 9963), a server has none"
        )
    if common.candidates and config.select_credentials is not None:
        raise ConfigError("a client needs credentials= or select_credentials=, not both")
    if (config.session_store is None) != (not config.session_context):
        raise ConfigError(
            "a session_store and its session_context come together: a session made under one "
            "trust must not be resumed under another, so name the trust"
        )
    if config.session_store is not None and config.insecure_skip_verification:
        raise ConfigError(
            "a session_store is for sessions of verified servers: not with "
            "insecure_skip_verification"
        )


def _key_share_codes(
    names: Sequence[str] | None, group_table: Mapping[int, Group]
) -> frozenset[int] | None:
    if names is None:
        return None
    if not names:
        return frozenset()
    shares = look_up("key share", names, group_table.values(), GROUP_ALIASES)
    return frozenset(group.code for group in shares)


def _list_psks(psks: Sequence[ExternalPSK]) -> tuple[ExternalPSK, ...]:
    listed = list_psks(psks)
    if len(listed) > MAX_PSKS:
        raise ConfigError(f"a client offers {MAX_PSKS} PSKs at most, not {len(listed)}")
    return listed


def _with_psks_alone(
    config: ClientConfig, common: CommonParameters, psks: Sequence[ExternalPSK]
) -> CommonParameters:
    """Check what goes with PSKs and no certificates; leave out the suites that no PSK can use."""
    certified = common.verifiers or common.candidates or config.select_credentials
    if certified or config.session_store:
        raise ConfigError(
            "with psks and without trust there will be no certificates (nor sessions made "
            "with them): give trust=TrustStore.platform(), say, to take either"
        )
    # A suite with another hash than all the keys' could only fail.
    suites = {
        suite.code: suite
        for suite in common.suite_table.values()
        if any(psk.imported or psk.hash_function is suite.hash for psk in psks)
    }
    if not suites:
        raise ConfigError("none of the cipher_suites goes with the hash of one of the psks")
    return replace(common, suite_table=suites)


def _session_store(config: ClientConfig) -> SessionStore:
    # A store of our own is never copied to another configuration, so it needs no context.
    return MemorySessionStore() if config.session_store is None else config.session_store
