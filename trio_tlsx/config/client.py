"""The options of a client: immutable, validated once, shared by connections."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias

from ..arguments import check
from ..crypto.cipher_suites import CipherSuite
from ..crypto.groups import Group
from ..crypto.signatures import CERTIFICATE_ONLY_SCHEMES, CLIENT_ONLY_SCHEMES
from ..errors import ConfigError
from ..messages import extensions as ext
from ..messages.certificate_types import (
    DEFAULT_TYPES,
    CertificateType,
    encode_certificate_types,
)
from ..messages.codec import uint16
from ..messages.ech import ECHConfig
from ..messages.extensions import Extensions, ExtensionType
from ..messages.extensions12 import INITIAL_CONNECTION, POINT_FORMATS
from ..messages.info import CertificateRequest
from ..messages.versions import TLS12, TLS13
from ..pki.credentials import Credentials
from ..pki.ech import candidates, decode_configs
from ..pki.trust import TrustStore
from ..record.protection import MAX_INNER_PLAINTEXT_LENGTH, MAX_PLAINTEXT_LENGTH
from ..sessions.client import MemorySessionStore, SessionStore
from ..sessions.external_psk import MAX_PSKS, ExternalPSK, list_psks
from ..sessions.selected_groups import SelectedGroups
from .certificate_types import accepted_types, offered_types
from .common import CommonConfig, CommonParameters, Trust, check_fields, load_trust, resolve_common
from .fields import CLIENT_FIELDS
from .names import GROUP_ALIASES, look_up
from .psks import with_certificates_and_psks, with_suites_of_psks
from .tls12 import Parameters12, check_needs_of_tls13

__all__ = ["MAX_TICKETS_WANTED", "ClientConfig", "ClientParameters"]

#: A connection ignores the tickets after this many.
MAX_TICKETS_WANTED = 64

_E = ExtensionType

#: The credentials of a client: one, several, or None.
ClientIdentity: TypeAlias = Credentials | Sequence[Credentials] | None
#: Looks up the ECHConfigList of a server's name.
ECHLookup: TypeAlias = Callable[[str], bytes | str | Awaitable[bytes | str | None] | None]
#: An ECHConfigList, a function that looks it up, or ``"grease"``.
ECHSource: TypeAlias = bytes | str | ECHLookup
SelectClientCredentials: TypeAlias = Callable[
    [CertificateRequest], ClientIdentity | Awaitable[ClientIdentity]
]


@dataclass(frozen=True)
class ClientConfig(CommonConfig):
    """The configuration of a client: its offers, its credentials and the servers that it trusts.

    The arguments that clients and servers share are those of
    :class:`~trio_tlsx.config.common.CommonConfig`. All are keyword arguments.

    Args:
        trust: the CAs that may have issued the server's certificate: a :class:`TrustStore`, or the
            path of a PEM file, which is read once, when the configuration is created. The
            platform's CAs by default.
        key_shares: those of ``groups`` that the first ClientHello has a key share for. With one
            that the server accepts, the handshake saves a round trip; with none (``()``) the
            server selects the group first. By default the first post-quantum group and the first
            other one.
        remember_groups: remember, in memory, which group a server selected if it has no key share
            by default, and send a key share for it in the next ClientHello to the same name and
            port. This saves the round trip of a HelloRetryRequest from the second connection on.
            It has no effect with ``key_shares``, with ``insecure_skip_verification``, and for an
            encrypted ClientHello.
        credentials: the client's certificate chain and key, for a server that requests them; or
            several. The client sends the first that comes from a CA that the server names and can
            sign with a scheme that the server accepts. If none does, it sends no certificate.
        select_credentials: a function to call instead of ``credentials``, with the
            :class:`CertificateRequest`. It returns ``Credentials``, several of them, None, or an
            awaitable of these, which is awaited in the task that does the handshake.
        own_certificate_types: the types of certificates that ``select_credentials`` may return
            (RFC 7250), most preferred first, of ``"X509"`` and ``"RawPublicKey"``. By default
            the types of ``credentials``, in their order; with ``select_credentials`` only X.509.
        middlebox_compatibility: make the handshake look like a resumption of TLS 1.2 to
            middleboxes (RFC 9846 E.4).
        resumption: store the session tickets that servers send, and resume with them.
        tickets_wanted: how many session tickets of TLS 1.3 the client asks for (RFC 9149): in a
            new connection, and in one that resumes a session, 0 to 64 each. A client that opens
            several connections at once needs a ticket for each. The server may send fewer. By
            default the client does not ask.
        session_store: where to store sessions. By default in memory, in a store of this
            configuration's own.
        session_context: names the trust under which the sessions of a ``session_store`` were
            made. Required with a ``session_store``. A session that was stored under another
            context is not resumed.
        ocsp_stapling: ask servers to staple an OCSP response, ``Peer.ocsp_response``. By default
            only if there is a ``verify`` that could check it.
        timestamps: ask servers for signed certificate timestamps (RFC 6962),
            ``Peer.timestamps``, for a ``verify`` that checks them.
        verify_on_resumption: verify the server again in each connection that resumes a session,
            by the certificates of the first handshake, so that a new pin or a revocation counts.
            Early data is sent only after that.
        insecure_skip_verification: skip certificate verification. Insecure: anyone on the path can
            intercept the connection. For inspection only.
        psks: keys that the server may accept instead of sending a certificate: at most four, each
            with its own identity. Without ``trust`` the client rejects a server that selects none
            of them (``missing_extension``); with it, or with ``certificate_with_psk``, the client
            verifies the server's certificate.
            ``verify`` is not called for a server that has one of the keys.
        max_fragment_length: also ask for records of at most so many bytes in the way that old
            servers understand (RFC 6066 4): 512, 1,024, 2,048 or 4,096. A server that supports
            ``record_size_limit`` ignores it.
        ech: hides the server's name, the application protocols and the pre-shared keys from
            everybody on the path (RFC 9849). Pass the server's ECHConfigList, as bytes or in
            base64; or a function that returns it for a name, or None, or an awaitable of these; or
            ``"grease"``, to look like a client that hides a name. If the server rejects the hidden
            hello, the handshake raises :class:`ECHRejected`. If a function returns no
            configuration that can be used, the name is sent in the clear.
        require_secure_renegotiation: in TLS 1.2, reject a server that does not signal secure
            renegotiation (RFC 5746).

    Raises:
        ConfigError: a value has the wrong type or is out of range, a name is unknown, a file
            cannot be read, or two arguments exclude each other.
    """

    trust: Trust | None = None
    key_shares: Sequence[str] | None = None
    remember_groups: bool = True
    select_credentials: SelectClientCredentials | None = None
    own_certificate_types: Sequence[str] | None = None
    middlebox_compatibility: bool = True
    insecure_skip_verification: bool = False
    resumption: bool = True
    tickets_wanted: tuple[int, int] | None = None
    session_store: SessionStore | None = None
    session_context: bytes = b""
    verify_on_resumption: bool = False
    ocsp_stapling: bool | None = None
    timestamps: bool = False
    psks: Sequence[ExternalPSK] = ()
    max_fragment_length: int | None = None
    ech: ECHSource | None = None
    require_secure_renegotiation: bool = True

    def __post_init__(self) -> None:
        check_fields(self, CLIENT_FIELDS)
        _ = self.parameters  # a mistake raises when the configuration is created

    @cached_property
    def parameters(self) -> ClientParameters:
        """The options as the handshake uses them, resolved once."""
        return _resolve(self)

    def with_ech(self, ech: ECHSource | None) -> ClientConfig:
        """Return a copy with another ``ech``, which shares the sessions of this configuration.

        Args:
            ech: as for this class.

        Raises:
            ConfigError: the configurations are malformed, or none can be used; or ``versions`` has
                no TLS 1.3.
        """
        check("ech", ech, CLIENT_FIELDS["ech"])
        parameters = replace(
            self.parameters, ech=_ech_source(ech, self.parameters), ech_grease=ech == "grease"
        )
        other = copy(self)
        vars(other).update(ech=ech, parameters=parameters)
        return other


@dataclass(frozen=True, eq=False, kw_only=True)
class ClientParameters(CommonParameters):
    """A :class:`ClientConfig` as the handshake uses it, with its own session store."""

    trust: TrustStore | None
    key_share_codes: frozenset[int] | None
    selected_groups: SelectedGroups | None
    select_credentials: SelectClientCredentials | None
    own_certificate_types: tuple[CertificateType, ...]
    peer_certificate_types: tuple[CertificateType, ...]
    middlebox_compatibility: bool
    insecure_skip_verification: bool
    session_store: SessionStore | None
    tickets_wanted: tuple[int, int] | None
    session_context: bytes
    verify_on_resumption: bool
    ocsp_stapling: bool
    timestamps: bool
    psks: tuple[ExternalPSK, ...]
    psk_required: bool
    max_fragment_length: int | None
    ech: ECHLookup | tuple[ECHConfig, ...] | None
    ech_grease: bool
    require_secure_renegotiation: bool
    in_inner_hello: bool = False
    for_public_name: bool = False

    @cached_property
    def ech_inner(self) -> ClientParameters:
        """The parameters of an inner hello, which offers TLS 1.3 alone (RFC 9849 6.1).

        Its key shares are those of the outer hello, so they must not depend on its name.
        """
        return replace(
            self,
            versions=frozenset({TLS13}),
            tls12=Parameters12(),
            selected_groups=None,
            in_inner_hello=True,
        )

    @cached_property
    def ech_outer(self) -> ClientParameters:
        """The parameters of an outer hello, which everybody on the path can read."""
        return replace(
            self,
            alpn_protocols=(),
            psks=(),
            psk_required=False,
            own_certificate_types=DEFAULT_TYPES,
            peer_certificate_types=DEFAULT_TYPES,  # a raw public key has no name
            certificate_with_psk="never",
        )

    @cached_property
    def ech_rejected(self) -> ClientParameters:
        """The parameters of the handshake after a rejection (RFC 9849 6.1.6, 6.1.7).

        It verifies the server of the public name, sends no certificate and keeps no ticket.
        """
        return replace(
            self.ech_outer,
            session_store=None,
            selected_groups=None,
            candidates=(),
            select_credentials=None,
            verify_replaces_builtin=False,
            for_public_name=True,
        )

    @cached_property
    def default_key_shares(self) -> tuple[Group, ...]:
        """The groups of the first key shares, in order of preference.

        Unless the configuration names them, they are the first post-quantum group and the first
        other group. A server without post-quantum groups then needs no further round trip.
        """
        groups = self.group_table.values() if TLS13 in self.versions else ()
        if self.key_share_codes is not None:
            return tuple(group for group in groups if group.code in self.key_share_codes)
        first_of_kind: dict[bool, Group] = {}
        for group in groups:
            first_of_kind.setdefault(group.is_post_quantum, group)
        return tuple(first_of_kind.values())

    @cached_property
    def negotiates_types(self) -> bool:
        """Whether the ClientHello offers a type of certificates besides X.509 (RFC 7250 4.1)."""
        return {self.own_certificate_types, self.peer_certificate_types} != {DEFAULT_TYPES}

    @cached_property
    def usable_suites(self) -> tuple[CipherSuite, ...]:
        """The cipher suites of all versions."""
        return (*self.suite_table.values(), *self.tls12.suite_table.values())

    @cached_property
    def offered_suites(self) -> tuple[int, ...]:
        """The code points of the cipher suites, the newest version's first."""
        return (*self.suite_table, *self.tls12.suite_table)

    @cached_property
    def hello_extensions(self) -> Extensions:
        """The extensions that are the same in all ClientHellos of this configuration."""
        extensions: dict[int, bytes] = {}
        has_13 = TLS13 in self.versions
        # Those that ECH takes from the outer hello come last, without another between them.
        if self.alpn_protocols:
            extensions[_E.application_layer_protocol_negotiation] = ext.encode_alpn(
                self.alpn_protocols
            )
        if self.own_certificate_types != DEFAULT_TYPES:
            types = encode_certificate_types(self.own_certificate_types)
            extensions[_E.client_certificate_type] = types
        if self.peer_certificate_types != DEFAULT_TYPES:
            types = encode_certificate_types(self.peer_certificate_types)
            extensions[_E.server_certificate_type] = types
        if has_13:
            versions = sorted(self.versions, reverse=True)
            extensions[_E.supported_versions] = ext.encode_supported_versions(versions)
        if self.max_fragment_length is not None:
            body = ext.encode_max_fragment_length(self.max_fragment_length)
            extensions[_E.max_fragment_length] = body
        if TLS12 in self.versions:
            extensions[_E.ec_point_formats] = POINT_FORMATS
            extensions[_E.extended_master_secret] = b""
            extensions[_E.renegotiation_info] = INITIAL_CONNECTION
        groups = self.group_table if has_13 else self.tls12.group_table
        extensions[_E.supported_groups] = ext.encode_uint16_list(groups)
        if not self.psk_required:
            schemes = (*self.scheme_table, *CERTIFICATE_ONLY_SCHEMES)
            extensions[_E.signature_algorithms] = ext.encode_uint16_list(schemes)
        if self.ocsp_stapling:
            extensions[_E.status_request] = ext.encode_status_request()
        if self.timestamps:
            extensions[_E.signed_certificate_timestamp] = b""
        if self.compressors and has_13:
            extensions[_E.compress_certificate] = ext.encode_compression_algorithms(
                self.compressors
            )
        # RFC 8449 4: at most what the newest of the versions allows.
        largest = MAX_INNER_PLAINTEXT_LENGTH if has_13 else MAX_PLAINTEXT_LENGTH
        extensions[_E.record_size_limit] = uint16(min(self.record_size_limit, largest))
        return extensions


def _resolve(config: ClientConfig) -> ClientParameters:
    common = resolve_common(config, is_client=True)
    _check_options(config, common)
    psks = _list_psks(config.psks)
    verified = not (config.insecure_skip_verification or config.verify_replaces_builtin)
    check_needs_of_tls13(common.versions, psks=psks)
    common = with_certificates_and_psks(config, common, has_psks=bool(psks))
    both = config.certificate_with_psk != "never"
    psk_required = bool(psks) and config.trust is None and verified and not both
    resumes = config.resumption and not psk_required and config.certificate_with_psk != "required"
    if both:
        common = with_suites_of_psks(common, psks)
    if psk_required:
        common = _with_psks_alone(config, common, psks)
    trust = load_trust("trust", config.trust)
    stapling = bool(common.verifiers) if config.ocsp_stapling is None else config.ocsp_stapling
    return ClientParameters(
        **vars(common),
        trust=trust,
        key_share_codes=_key_share_codes(config.key_shares, common.group_table),
        selected_groups=_selected_groups(config),
        select_credentials=config.select_credentials,
        own_certificate_types=offered_types(config.own_certificate_types, common.candidates),
        peer_certificate_types=accepted_types(
            config.peer_certificate_types, trust, verified=verified
        ),
        middlebox_compatibility=config.middlebox_compatibility,
        insecure_skip_verification=config.insecure_skip_verification,
        session_store=_session_store(config) if resumes else None,
        tickets_wanted=_tickets_wanted(config, common, resumes=resumes),
        session_context=config.session_context,
        verify_on_resumption=config.verify_on_resumption,
        ocsp_stapling=stapling,
        timestamps=config.timestamps,
        psks=psks,
        psk_required=psk_required,
        max_fragment_length=config.max_fragment_length,
        ech=_ech_source(config.ech, common),
        ech_grease=config.ech == "grease",
        require_secure_renegotiation=config.require_secure_renegotiation,
    )


def _check_options(config: ClientConfig, common: CommonParameters) -> None:
    if legacy := [s.name for s in common.scheme_table if s in CLIENT_ONLY_SCHEMES]:
        raise ConfigError(
            f"signature_schemes of a client contains {', '.join(legacy)}: only clients may sign "
            "with it (RFC 9963); leave it out"
        )
    lengths = ext.MAX_FRAGMENT_LENGTHS.values()
    if config.max_fragment_length is not None and config.max_fragment_length not in lengths:
        raise ConfigError(
            f"max_fragment_length is {config.max_fragment_length} bytes; "
            f"pass {', '.join(map(str, lengths))} or None (RFC 6066 4)"
        )
    if common.candidates and config.select_credentials is not None:
        raise ConfigError(
            "a client has both credentials= and select_credentials=: pass one of them"
        )
    if (config.session_store is None) != (not config.session_context):
        raise ConfigError(
            "session_store and session_context need each other: pass a session_context that names "
            "the trust, so that a session is not resumed under another trust"
        )
    if config.session_store is not None and config.insecure_skip_verification:
        raise ConfigError(
            "session_store may only hold sessions of verified servers: leave out session_store or "
            "insecure_skip_verification"
        )


def _ech_source(
    ech: ECHSource | None, common: CommonParameters
) -> ECHLookup | tuple[ECHConfig, ...] | None:
    """Return the configurations, or the function that looks them up; None for no ECH."""
    if ech is None:
        return None
    if TLS13 not in common.versions:
        raise ConfigError(
            "ech needs TLS 1.3 (RFC 9849 6.1): add 'TLSv1.3' to versions, or leave out ech"
        )
    if ech == "grease":
        return None
    if callable(ech):
        return ech
    configs = decode_configs(ech)
    if not any(candidates(configs)):
        raise ConfigError(
            f"none of the {len(configs)} ECH configurations can be used: each has an unknown "
            "algorithm, an unknown mandatory extension, or a public name that no host can have"
        )
    return configs


def _key_share_codes(
    names: Sequence[str] | None, group_table: Mapping[int, Group]
) -> frozenset[int] | None:
    if names is None:
        return None
    if not names:
        return frozenset()
    shares = look_up("key share", names, group_table.values(), GROUP_ALIASES)
    return frozenset(group.code for group in shares)


def _tickets_wanted(
    config: ClientConfig, common: CommonParameters, *, resumes: bool
) -> tuple[int, int] | None:
    wanted = config.tickets_wanted
    if wanted is None:
        return None
    if len(wanted) != 2 or not all(0 <= count <= MAX_TICKETS_WANTED for count in wanted):
        raise ConfigError(
            f"tickets_wanted is {wanted!r}; pass two numbers, 0 to {MAX_TICKETS_WANTED} each: for "
            "a new connection, and for one that resumes a session"
        )
    if not resumes:
        raise ConfigError(
            "tickets_wanted has no effect without resumption: leave it out, or pass "
            "resumption=True, and trust with psks"
        )
    check_needs_of_tls13(common.versions, tickets_wanted=wanted)
    return wanted


def _selected_groups(config: ClientConfig) -> SelectedGroups | None:
    named = config.key_shares is not None
    if named or config.insecure_skip_verification or not config.remember_groups:
        return None
    return SelectedGroups()


def _list_psks(psks: Sequence[ExternalPSK]) -> tuple[ExternalPSK, ...]:
    listed = list_psks(psks)
    if len(listed) > MAX_PSKS:
        raise ConfigError(f"psks has {len(listed)} keys; pass at most {MAX_PSKS}")
    return listed


def _with_psks_alone(
    config: ClientConfig, common: CommonParameters, psks: Sequence[ExternalPSK]
) -> CommonParameters:
    """Check the options for PSKs without certificates; drop the suites that no PSK can use."""
    certified = common.verifiers or common.candidates or config.select_credentials
    if certified or config.session_store:
        raise ConfigError(
            "with psks and without trust a client uses no certificates and no stored sessions: "
            "pass trust=TrustStore.platform(), or leave out verify, credentials, "
            "select_credentials and session_store"
        )
    common = with_suites_of_psks(common, psks)
    return replace(common, versions=frozenset({TLS13}), tls12=Parameters12())


def _session_store(config: ClientConfig) -> SessionStore:
    # The default store belongs to one configuration only, so it needs no context.
    return MemorySessionStore() if config.session_store is None else config.session_store
