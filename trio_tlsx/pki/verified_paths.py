"""The paths that were verified with a trust store, so that the next connection need not search.

A verification checks signatures, and takes a quarter of a handshake. Its result depends on the
trusted certificates, the peer's role, the name, the chain and the time; all other rules are
constants of the process. So a path is stored, and found again, under these conditions:

- The table belongs to one trust store, which never changes.
- The key is a hash of the role, the name and the whole chain as the peer sent it.
- The path counts only while each certificate on it is valid, the trusted one included.
- Only successes are stored.

That the peer has the key of its certificate is no part of the result: each handshake checks that
first. The ``verify`` hooks are called each time, with the stored path.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

from cryptography import x509

from ..messages.codec import opaque16, opaque24
from .server_name import ServerName

__all__ = ["VerifiedPaths", "path_key"]

V = TypeVar("V")

#: The number of paths and of certificates that are stored: those that were used last. A client
#: with a valid certificate can send it with other certificates each time, without an end.
MAX_STORED_PATHS = 128
MAX_STORED_CERTIFICATES = 128

#: The longest path and the longest certificate that is stored, in bytes of DER. A path is as long
#: as those of its certificates that the peer sent.
MAX_STORED_PATH_OCTETS = 2**14
MAX_STORED_CERTIFICATE_OCTETS = 2**12


class LastUsed(Generic[V]):
    """The values that were used last, by the hash of what they depend on.

    Threads can share it without a lock: each step is one operation of a dict. If two threads meet,
    one of them does not find a value that is there.
    """

    __slots__ = ("_max_entries", "_values")

    def __init__(self, max_entries: int) -> None:
        self._max_entries = max_entries
        self._values: dict[bytes, V] = {}  # in the order of their last use

    def get(self, key: bytes) -> V | None:
        value = self._values.pop(key, None)
        if value is not None:
            self._values[key] = value
        return value

    def put(self, key: bytes, value: V) -> None:
        self._values.pop(key, None)
        self._values[key] = value
        if len(self._values) > self._max_entries:
            for oldest in tuple(self._values)[: -self._max_entries]:
                self._values.pop(oldest, None)

    def __len__(self) -> int:
        return len(self._values)


class VerifiedPath(NamedTuple):
    """A path, and the time in which all its certificates are valid."""

    certificates: tuple[x509.Certificate, ...]
    not_before: datetime.datetime
    not_after: datetime.datetime

    @classmethod
    def of(cls, certificates: tuple[x509.Certificate, ...]) -> VerifiedPath:
        return cls(
            certificates,
            max(certificate.not_valid_before_utc for certificate in certificates),
            min(certificate.not_valid_after_utc for certificate in certificates),
        )


class VerifiedPaths:
    """The paths that were verified with one trust store, and the certificates on them."""

    __slots__ = ("_certificates", "_paths")

    def __init__(self) -> None:
        self._paths = LastUsed[VerifiedPath](MAX_STORED_PATHS)
        self._certificates = LastUsed[x509.Certificate](MAX_STORED_CERTIFICATES)

    def certificate(self, der: bytes) -> x509.Certificate | None:
        """Return the certificate with this DER if it was on a verified path lately."""
        return self._certificates.get(_digest(der))

    def find(self, key: bytes, at: datetime.datetime) -> tuple[x509.Certificate, ...] | None:
        """Return the path with this key if all its certificates are valid at this time."""
        path = self._paths.get(key)
        if path is not None and path.not_before <= at <= path.not_after:
            return path.certificates
        return None

    def keep(
        self,
        key: bytes,
        chain: Sequence[x509.Certificate],
        der_chain: Sequence[bytes],
        path: tuple[x509.Certificate, ...],
    ) -> None:
        """Store a path that was verified, and those certificates of the chain that are on it.

        Args:
            key: the path's, from :func:`path_key`.
            chain: the chain that the peer sent.
            der_chain: the same in DER.
            path: the result of the verification.
        """
        on_path = {id(certificate) for certificate in path}
        sent = [
            (certificate, der)
            for certificate, der in zip(chain, der_chain, strict=True)
            if id(certificate) in on_path
        ]
        if sum(len(der) for _, der in sent) <= MAX_STORED_PATH_OCTETS:
            self._paths.put(key, VerifiedPath.of(path))
        for certificate, der in sent:
            if len(der) <= MAX_STORED_CERTIFICATE_OCTETS:
                self._certificates.put(_digest(der), certificate)


def path_key(role: str, name: ServerName | None, der_chain: Sequence[bytes]) -> bytes:
    """Return a hash of what a verification depends on, besides the trust store and the time.

    Args:
        role: the role of the chain's owner.
        name: the name that the chain has to be for, as it is compared; None if any will do.
        der_chain: the whole chain, in DER, as it was sent.
    """
    host, address = (name.host, name.address) if name is not None else ("", None)
    kind = f"{role} {'name' if address is None else 'address'} {host}".encode()
    return _digest(b"".join((opaque16(kind), *map(opaque24, der_chain))))


def _digest(octets: bytes) -> bytes:
    return hashlib.sha256(octets).digest()
