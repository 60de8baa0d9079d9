"""The options that clients and servers share."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, fields
from typing import Literal, TypeAlias

from ..arguments import Expected, check
from ..clock import Clock, utc_now
from ..crypto.cipher_suites import CIPHER_SUITES, CipherSuite
from ..crypto.cipher_suites12 import CIPHER_SUITES_12
from ..crypto.groups import DEFAULT_GROUPS, GROUPS, Group
from ..crypto.signatures import CERTIFICATE_VERIFY_SCHEMES, DEFAULT_SCHEMES, SignatureScheme
from ..errors import ConfigError
from ..messages.versions import TLS12, TLS13
from ..pki.compression import CertificateCompressor, compressors_of
from ..pki.credentials import Credentials
from ..pki.peer import Peer
from ..pki.trust import TrustStore
from ..record.protection import (
    MAX_INNER_PLAINTEXT_LENGTH,
    MAX_PLAINTEXT_LENGTH,
    MIN_RECORD_SIZE_LIMIT,
)
from .events import OnEvent
from .key_log import KeyLog, key_log_writer
from .names import GROUP_ALIASES, encode_protocol_names, look_up
from .tls12 import Parameters12, check_needs_of_tls13, look_up_versions, resolve_12

__all__ = [
    "MIN_KEY_UPDATE_BYTES",
    "CommonConfig",
    "CommonParameters",
    "Trust",
    "Verify",
    "check_fields",
    "load_trust",
    "resolve_common",
]

MIN_KEY_UPDATE_BYTES = 2**14

#: A server may send its whole bundle, with CAs that did not issue its certificate.
DEFAULT_MAX_CHAIN_LENGTH = 32
MAX_CHAIN_LENGTH_ALLOWED = 255

#: Of all versions, the most preferred ones of each version first.
ALL_CIPHER_SUITES: tuple[CipherSuite, ...] = (
    *CIPHER_SUITES.values(),
    *CIPHER_SUITES_12.values(),
)

#: Returns None, or an awaitable of None, to accept a peer; raises CertificateError to reject it.
Verify: TypeAlias = Callable[[Peer], Awaitable[None] | None]

#: The CAs that may have issued a peer's certificate: a store, or the path of a PEM file.
Trust: TypeAlias = TrustStore | str | os.PathLike[str]

CertificateWithPSK: TypeAlias = Literal["never", "optional", "required"]


@dataclass(frozen=True)
class CommonConfig:
    """The options that clients and servers share. All are keyword arguments.

    Args:
        versions: the versions of TLS that may be negotiated: ``"TLSv1.3"`` and ``"TLSv1.2"``, by
            default both. The newest version that both sides have is negotiated. A version that
            ``cipher_suites``, ``groups`` or ``signature_schemes`` leave nothing for is not
            negotiated. Options that only TLS 1.3 has do nothing in a connection of TLS 1.2:
            post-quantum ``groups``, ``psks``, early data, ``key_update_bytes`` and
            ``certificate_compression``.
        alpn_protocols: application protocols (RFC 7301), most preferred first. A server rejects a
            client that offers ALPN and none of these with ``no_application_protocol``.
        cipher_suites: names of the IANA registry, most preferred first.
        groups: the names of the key exchanges, most preferred first; ``"P-256"`` is an alias.
        signature_schemes: the schemes that the peer may sign with, most preferred first.
        certificate_compression: the algorithms that the certificates of both sides may be
            compressed with (RFC 8879), most preferred first: ``"zlib"``, on Python 3.14
            ``"zstd"``, or a :class:`CertificateCompressor`. None by default.
        record_size_limit: the largest plaintext record that the peer may send, in bytes, with its
            content type (RFC 8449): 64 to 16,385.
        max_fragment_size: the most data that one sent record carries, in bytes: 64 to 16,384.
            A peer on a slow line can read small records sooner; they are more work for both sides.
        max_chain_length: the most certificates that the peer may send, 1 to 255. This is not the
            length of a path, which has at most 8 intermediate CAs.
        peer_certificate_types: the types of certificates that the peer may send (RFC 7250), most
            preferred first, of ``"X509"`` and ``"RawPublicKey"``. By default the types that the
            trust store has something of, X.509 first. A raw public key has to be in the trust
            store (:meth:`TrustStore.from_public_keys`), unless ``verify_replaces_builtin`` is set.
        key_update_bytes: update the keys (KeyUpdate) each time about this many bytes of
            application data were sent, at least 16,384. By default the keys are updated only when
            the cipher suite needs it.
        key_log: where to write the secrets of each connection (RFC 9850), so that Wireshark can
            read a recording: a path, a function that is called with each line, or the result of
            :func:`key_log_from_environment`. Anyone who has the log can decrypt the connections.
        verify: a function that is called with the :class:`Peer` after the peer has proved that it
            has its key and the built-in verification has accepted it; or several, called one after
            the other. Return None, or an awaitable of None, to accept the peer; raise
            :class:`CertificateError` to reject it. An awaitable is awaited in the task that does
            the handshake. :func:`pin_spki`, :func:`check_stapled_ocsp` and :func:`check_crl`
            return such functions.
        verify_replaces_builtin: let ``verify`` alone decide. It is then called for every peer; a
            fault that the built-in verification finds is the peer's ``error``.
        psk_without_key_exchange: allow a handshake with a PSK and no key exchange. Anyone who gets
            the PSK later can decrypt such a connection.
        certificate_with_psk: whether a server that has one of the ``psks`` sends its certificate
            too (RFC 9973), and may request the client's: ``"never"``, ``"optional"`` or
            ``"required"``. The connection then stays secret as long as the key does, even if the
            key exchange is broken, and peers that share a key cannot impersonate each other. A
            client rejects a server that uses the key alone. With ``"required"`` each side also
            rejects a peer that has no such key or does not support this; TLS 1.2 is off, and a
            client resumes no sessions.
        require_extended_master_secret: in TLS 1.2, reject a peer without the extended master
            secret (RFC 7627).
        grease: send reserved values (RFC 8701) where the peer has to ignore them.
        on_event: a function that is called with each :class:`ConnectionEvent`: a handshake that
            completed or failed, a KeyUpdate, session tickets, the end. It runs in the connection's
            own task and must not wait. An exception that it raises is logged and ignored.
        clock: returns the time, with a time zone. Certificates and tickets are verified by it.
    """

    _: KW_ONLY
    credentials: Credentials | Sequence[Credentials] | None = None
    versions: Sequence[str] = ("TLSv1.3", "TLSv1.2")
    alpn_protocols: Sequence[str | bytes] = ()
    cipher_suites: Sequence[str] = tuple(suite.name for suite in ALL_CIPHER_SUITES)
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
    certificate_with_psk: CertificateWithPSK = "never"
    require_extended_master_secret: bool = field(default=False, repr=False)
    max_chain_length: int = DEFAULT_MAX_CHAIN_LENGTH
    peer_certificate_types: Sequence[str] | None = None
    on_event: OnEvent | None = None
    clock: Clock = utc_now


def check_fields(config: CommonConfig, expected: Mapping[str, Expected]) -> None:
    """Check the types of all fields.

    Raises:
        ConfigError: a field has the wrong type.
    """
    for one in fields(config):
        check(one.name, getattr(config, one.name), expected[one.name])


@dataclass(frozen=True, eq=False, kw_only=True)
class CommonParameters:
    """The options of a configuration as the handshake of either role uses them.

    They are resolved once, when the configuration is created: names are looked up, values are
    checked, and defaults are filled in. All connections of the configuration share them.

    Attributes:
        versions: the versions that can be negotiated.
        tls12: the parameters of TLS 1.2; none without that version.
        suite_table: the cipher suites of TLS 1.3; none without that version.
    """

    versions: frozenset[int]
    tls12: Parameters12
    verifiers: tuple[Verify, ...]
    candidates: tuple[Credentials, ...]
    alpn_protocols: tuple[bytes, ...]
    suite_table: Mapping[int, CipherSuite]
    group_table: Mapping[int, Group]
    scheme_table: tuple[SignatureScheme, ...]
    compressors: Mapping[int, CertificateCompressor]
    record_size_limit: int
    max_fragment_size: int
    key_update_bytes: int | None
    write_key_log: Callable[[str], object] | None
    verify_replaces_builtin: bool
    grease: bool
    psk_without_key_exchange: bool
    certificate_with_psk: CertificateWithPSK
    max_chain_length: int
    clock: Clock


def resolve_common(config: CommonConfig, *, is_client: bool) -> CommonParameters:
    """Resolve the options that both roles have.

    Raises:
        ConfigError: a name is unknown or a value out of range.
    """
    _check_sizes(config)
    suites = look_up("cipher suite", config.cipher_suites, ALL_CIPHER_SUITES)
    groups = look_up("group", config.groups, GROUPS.values(), GROUP_ALIASES)
    schemes = look_up("signature scheme", config.signature_schemes, CERTIFICATE_VERIFY_SCHEMES)
    versions = look_up_versions(config.versions)
    check_needs_of_tls13(
        versions,
        certificate_compression=config.certificate_compression,
        key_update_bytes=config.key_update_bytes,
    )
    tls12 = resolve_12(
        versions,
        suites,
        groups,
        schemes,
        is_client=is_client,
        require_extended_master_secret=config.require_extended_master_secret,
    )
    suites13 = {s.code: s for s in suites if s.version == TLS13 and TLS13 in versions}
    return CommonParameters(
        versions=_usable_versions(versions, suites13, tls12),
        tls12=tls12,
        verifiers=_list_verifiers(config),
        candidates=_list_credentials(config.credentials),
        alpn_protocols=encode_protocol_names(config.alpn_protocols),
        suite_table=suites13,
        group_table={group.code: group for group in groups},
        scheme_table=schemes,
        compressors=compressors_of(config.certificate_compression),
        record_size_limit=config.record_size_limit,
        max_fragment_size=config.max_fragment_size,
        key_update_bytes=config.key_update_bytes,
        write_key_log=None if config.key_log is None else key_log_writer(config.key_log),
        verify_replaces_builtin=config.verify_replaces_builtin,
        grease=config.grease,
        psk_without_key_exchange=config.psk_without_key_exchange,
        certificate_with_psk=config.certificate_with_psk,
        max_chain_length=config.max_chain_length,
        clock=config.clock,
    )


def _usable_versions(
    versions: frozenset[int], suites13: Mapping[int, CipherSuite], tls12: Parameters12
) -> frozenset[int]:
    """Return the versions that the other options leave something for."""
    reasons: dict[int, str] = {}
    if TLS12 in versions and tls12.unusable_option:
        reasons[TLS12] = f"{tls12.unusable_option} leaves nothing for TLS 1.2"
    if TLS13 in versions and not suites13:
        reasons[TLS13] = "cipher_suites leaves nothing for TLS 1.3"
    usable = versions - reasons.keys()
    if not usable:
        why = " and ".join(reasons.values())
        raise ConfigError(f"{why}: add a name that goes with the version, or another version")
    return usable


def _check_sizes(config: CommonConfig) -> None:
    if not MIN_RECORD_SIZE_LIMIT <= config.record_size_limit <= MAX_INNER_PLAINTEXT_LENGTH:
        raise ConfigError(
            f"record_size_limit is {config.record_size_limit} bytes; pass "
            f"{MIN_RECORD_SIZE_LIMIT} to {MAX_INNER_PLAINTEXT_LENGTH} (RFC 8449)"
        )
    if not MIN_RECORD_SIZE_LIMIT <= config.max_fragment_size <= MAX_PLAINTEXT_LENGTH:
        raise ConfigError(
            f"max_fragment_size is {config.max_fragment_size} bytes; "
            f"pass {MIN_RECORD_SIZE_LIMIT} to {MAX_PLAINTEXT_LENGTH}"
        )
    if config.key_update_bytes is not None and config.key_update_bytes < MIN_KEY_UPDATE_BYTES:
        raise ConfigError(
            f"key_update_bytes is {config.key_update_bytes}; pass at least "
            f"{MIN_KEY_UPDATE_BYTES}, or None: more frequent updates would cost more than the data"
        )
    if not 1 <= config.max_chain_length <= MAX_CHAIN_LENGTH_ALLOWED:
        raise ConfigError(
            f"max_chain_length is {config.max_chain_length} certificates; "
            f"pass 1 to {MAX_CHAIN_LENGTH_ALLOWED}"
        )


def _list_verifiers(config: CommonConfig) -> tuple[Verify, ...]:
    verifiers = (config.verify,) if callable(config.verify) else tuple(config.verify)
    if config.verify_replaces_builtin and not verifiers:
        raise ConfigError(
            "verify_replaces_builtin=True without verify= would accept any peer: pass verify="
        )
    return verifiers


def _list_credentials(
    credentials: Credentials | Sequence[Credentials] | None,
) -> tuple[Credentials, ...]:
    if credentials is None:
        return ()
    return (credentials,) if isinstance(credentials, Credentials) else tuple(credentials)


def load_trust(name: str, trust: Trust | None) -> TrustStore | None:
    """Return the trust store of the argument ``name``; read the file if it is a path.

    Raises:
        ConfigError: the file cannot be read or has no certificate in PEM, or ``trust`` is PEM
            text or a directory.
    """
    if trust is None or isinstance(trust, TrustStore):
        return trust
    path = os.fspath(trust)
    if "-----BEGIN" in path:
        raise ConfigError(
            f"{name} is PEM text, not the path of a PEM file; "
            "pass TrustStore.from_pem(pem.encode())"
        )
    if os.path.isdir(path):
        raise ConfigError(
            f"{name} is the directory {path!r}; pass TrustStore.from_directory({path!r})"
        )
    try:
        return TrustStore.from_pem_file(path)
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from error
