"""The options that clients and servers share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import TypeAlias

from ..clock import Clock, utc_now
from ..crypto.cipher_suites import CIPHER_SUITES, CipherSuite
from ..crypto.groups import DEFAULT_GROUPS, GROUPS, Group
from ..crypto.signatures import CERTIFICATE_VERIFY_SCHEMES, DEFAULT_SCHEMES, SignatureScheme
from ..errors import ConfigError
from ..pki.compression import CertificateCompressor, compressors_of
from ..pki.credentials import Credentials
from ..pki.peer import Peer
from ..record.protection import (
    MAX_INNER_PLAINTEXT_LENGTH,
    MAX_PLAINTEXT_LENGTH,
    MIN_RECORD_SIZE_LIMIT,
)
from .key_log import KeyLog, key_log_writer
from .names import GROUP_ALIASES, encode_alpn, look_up

__all__ = ["MIN_KEY_UPDATE_BYTES", "CommonConfig", "Verify"]

MIN_KEY_UPDATE_BYTES = 2**14


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
class CommonConfig:
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
