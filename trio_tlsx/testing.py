"""Tools for tests of TLS programs: a test CA, and connected streams in memory."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TypeAlias

import trio
import trio.testing
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .clock import utc_now
from .config.client import ClientConfig
from .config.server import ServerConfig
from .crypto.signatures import PrivateKey, PurePrivateKey
from .errors import ConfigError
from .io.stream import TLSStream
from .pki.credentials import Credentials, PrivateKeySigner
from .pki.server_name import ServerName
from .pki.trust import TrustStore

__all__ = ["CA", "credentials_to_pem", "memory_tls_pair", "write_pem_files"]

MemoryTLSStream: TypeAlias = TLSStream[
    trio.StapledStream[trio.testing.MemorySendStream, trio.testing.MemoryReceiveStream]
]

BACKDATED = datetime.timedelta(hours=1)  #: for clocks that differ
VALIDITY = datetime.timedelta(days=30)

MAX_COMMON_NAME_LENGTH = 64  # RFC 5280 appendix A, ub-common-name

LEAF_KEY_USAGE = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)
CA_KEY_USAGE = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)
SERVER_AND_CLIENT = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)

_CURVES: dict[str, type[ec.EllipticCurve]] = {
    "P-256": ec.SECP256R1,
    "P-384": ec.SECP384R1,
    "P-521": ec.SECP521R1,
}
_PURE_KEYS: dict[str, type[PurePrivateKey]] = {
    "ed25519": ed25519.Ed25519PrivateKey,
    "ed448": ed448.Ed448PrivateKey,
    "ML-DSA-44": mldsa.MLDSA44PrivateKey,
    "ML-DSA-65": mldsa.MLDSA65PrivateKey,
    "ML-DSA-87": mldsa.MLDSA87PrivateKey,
}


class CA:
    """A certificate authority for tests.

    Args:
        name: the common name of the CA.
        key_type: the type of its key: ``"P-256"``, ``"P-384"``, ``"P-521"``, ``"ed25519"``,
            ``"ed448"``, ``"ML-DSA-44"``, ``"ML-DSA-65"``, ``"ML-DSA-87"``, or ``"RSA-"`` with the
            number of bits. RSA keys are slow to generate. So all CAs of a process share one key of
            each size, and all leaf certificates share another.
        not_before: the start of its validity; an hour ago by default.
        not_after: the end of its validity; in 30 days by default.
        extensions: additional extensions, as pairs of an extension and a bool, true if it is
            critical. An extension of the same type as a default one replaces it.
        without: the types of the default extensions to omit.

    Attributes:
        certificate: the CA's certificate.
        private_key: the CA's key.
        chain: the CA's certificate and those of the CAs above it, without the root.
        root: the root CA; the CA itself if it is self-signed.

    Raises:
        ConfigError: the key type is unknown.
    """

    def __init__(
        self,
        name: str = "trio-tlsx throw-away CA",
        *,
        key_type: str = "P-256",
        not_before: datetime.datetime | None = None,
        not_after: datetime.datetime | None = None,
        extensions: Iterable[tuple[x509.ExtensionType, bool]] = (),
        without: Collection[type[x509.ExtensionType]] = (),
        _issuer: CA | None = None,
    ) -> None:
        self.private_key: PrivateKey = _key(key_type, "CA")
        self.certificate: x509.Certificate = _certificate(
            name,
            self.private_key,
            _issuer,
            (not_before, not_after),
            [
                (x509.BasicConstraints(ca=True, path_length=None), True),
                (CA_KEY_USAGE, True),
                *extensions,
            ],
            without,
        )
        self.root: CA = _issuer.root if _issuer else self
        self.chain: tuple[x509.Certificate, ...] = (
            (self.certificate, *_issuer.chain) if _issuer else ()
        )

    def intermediate(
        self,
        name: str = "trio-tlsx throw-away intermediate CA",
        *,
        key_type: str = "P-256",
        not_before: datetime.datetime | None = None,
        not_after: datetime.datetime | None = None,
        extensions: Iterable[tuple[x509.ExtensionType, bool]] = (),
        without: Collection[type[x509.ExtensionType]] = (),
    ) -> CA:
        """Create a CA below this one. The arguments are those of the class."""
        return CA(
            name,
            key_type=key_type,
            not_before=not_before,
            not_after=not_after,
            extensions=extensions,
            without=without,
            _issuer=self,
        )

    def issue(
        self,
        *names: str,
        common_name: str | None = None,
        key_type: str = "P-256",
        not_before: datetime.datetime | None = None,
        not_after: datetime.datetime | None = None,
        extended_key_usage: Iterable[x509.ObjectIdentifier] = SERVER_AND_CLIENT,
        extensions: Iterable[tuple[x509.ExtensionType, bool]] = (),
        without: Collection[type[x509.ExtensionType]] = (),
    ) -> Credentials:
        """Issue a certificate with a new key.

        Args:
            names: the DNS names, wildcards and IP addresses of the certificate.
            common_name: the common name of the subject; the first of ``names`` by default.
            key_type: see the class.
            not_before: the start of the validity; an hour ago by default.
            not_after: the end of the validity; in 30 days by default.
            extended_key_usage: the purposes; servers and clients by default. If it is empty, the
                certificate has no such extension.
            extensions: additional extensions; see the class.
            without: the types of the default extensions to omit.

        Returns:
            The certificate chain and the private key.

        Raises:
            ConfigError: a name is invalid or the key type is unknown.
        """
        key = _key(key_type, "leaf")
        usages = list(extended_key_usage)
        leaf_extensions: list[tuple[x509.ExtensionType, bool]] = [(LEAF_KEY_USAGE, True)]
        if names:
            leaf_extensions.append((x509.SubjectAlternativeName(map(_general_name, names)), False))
        if usages:
            leaf_extensions.append((x509.ExtendedKeyUsage(usages), False))
        leaf = _certificate(
            common_name or "".join(names[:1]) or "nobody",
            key,
            self,
            (not_before, not_after),
            [*leaf_extensions, *extensions],
            without,
        )
        return Credentials([leaf, *self.chain], PrivateKeySigner(key, leaf))

    @functools.cached_property
    def trust(self) -> TrustStore:
        """Return a trust store with only the root CA."""
        return TrustStore.from_certificates([self.root.certificate])

    @functools.cached_property
    def pem(self) -> bytes:
        """Return the certificate of the root CA, in PEM."""
        return self.root.certificate.public_bytes(Encoding.PEM)

    def __repr__(self) -> str:
        return f"<CA {self.certificate.subject.rfc4514_string()!r}>"


def credentials_to_pem(credentials: Credentials) -> tuple[bytes, bytes]:
    """Return the certificate chain and the unencrypted private key, in PEM.

    Raises:
        ConfigError: the private key is not in this process.
    """
    if not isinstance(credentials.signer, PrivateKeySigner):
        raise ConfigError(
            f"{credentials!r} has no private key in this process; "
            "its signer must be a PrivateKeySigner"
        )
    key_pem = credentials.signer.private_key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    return b"".join(c.public_bytes(Encoding.PEM) for c in credentials.chain), key_pem


def write_pem_files(
    credentials: Credentials, directory: str | os.PathLike[str]
) -> tuple[Path, Path]:
    """Write ``cert.pem`` and ``key.pem`` into a directory, and return their paths.

    Raises:
        ConfigError: the private key is not in this process.
        OSError: a file cannot be written.
    """
    cert_pem, key_pem = credentials_to_pem(credentials)
    cert, key = Path(directory, "cert.pem"), Path(directory, "key.pem")
    cert.write_bytes(cert_pem)
    key.touch(mode=0o600)
    key.write_bytes(key_pem)
    return cert, key


def memory_tls_pair(
    client_config: ClientConfig | None = None,
    server_config: ServerConfig | None = None,
    *,
    server_hostname: str = "test.example",
) -> tuple[MemoryTLSStream, MemoryTLSStream]:
    """Return a connected client and server in memory, before their handshake.

    Args:
        client_config: the client's configuration. If it has neither ``trust`` nor ``psks``, the
            client trusts the server's certificates instead of the platform's CAs.
        server_config: the server's configuration; by default one with a test certificate.
        server_hostname: the name of the server for the client.

    Returns:
        The client's stream and the server's stream.
    """
    if server_config is None:
        server_config = ServerConfig(credentials=_throw_away_credentials(server_hostname))
    client_config = client_config or ClientConfig()
    if client_config.trust is None and not client_config.parameters.psk_required:
        owned = server_config.parameters.candidates
        leaves = [credentials.chain[0] for credentials in owned if credentials.chain]
        keys = [each.raw_public_key for each in owned if each.raw_public_key is not None]
        trust = TrustStore(leaves, public_keys=keys)
        client_config = dataclasses.replace(client_config, trust=trust)
    client, server = trio.testing.memory_stream_pair()
    return (
        TLSStream(client, client_config, server_hostname=server_hostname),
        TLSStream(server, server_config),
    )


@functools.cache
def _throw_away_credentials(name: str) -> Credentials:
    return CA().issue(name)


def _key(key_type: str, owner: str) -> PrivateKey:
    if key_type in _CURVES:
        return ec.generate_private_key(_CURVES[key_type]())
    if key_type in _PURE_KEYS:
        return _PURE_KEYS[key_type].generate()
    kind, _, bits = key_type.partition("-")
    if kind == "RSA" and bits.isdecimal():
        return _rsa_key(int(bits), owner)
    known = ", ".join([*_CURVES, *_PURE_KEYS])
    raise ConfigError(
        f"unknown key type {key_type!r}; use one of {known}, or RSA- with a size, such as RSA-2048"
    )


@functools.cache
def _rsa_key(bits: int, owner: str) -> rsa.RSAPrivateKey:
    # A CA and its leaves never share a key: a signature would not identify its signer.
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def _general_name(name: str) -> x509.GeneralName:
    if name.startswith("*."):
        return x509.DNSName("*." + ServerName.parse(name[2:]).host)
    return ServerName.parse(name).subject


def _certificate(
    common_name: str,
    key: PrivateKey,
    issuer: CA | None,
    validity: tuple[datetime.datetime | None, datetime.datetime | None],
    extensions: Iterable[tuple[x509.ExtensionType, bool]],
    without: Collection[type[x509.ExtensionType]],
) -> x509.Certificate:
    """Create a certificate; without an issuer it is self-signed."""
    now = utc_now()
    not_before, not_after = validity
    subject = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, common_name[:MAX_COMMON_NAME_LENGTH])]
    )
    signing_key = issuer.private_key if issuer else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before or min(now, not_after or now) - BACKDATED)
        .not_valid_after(not_after or max(now, not_before or now) + VALIDITY)
    )
    identifiers: list[tuple[x509.ExtensionType, bool]] = [
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()), False),
    ]
    # Of two extensions with the same identifier the later one wins.
    chosen = {extension.oid: (extension, critical) for extension, critical in identifiers}
    chosen |= {extension.oid: (extension, critical) for extension, critical in extensions}
    for extension, critical in chosen.values():
        if not isinstance(extension, tuple(without)):
            builder = builder.add_extension(extension, critical)
    return builder.sign(
        signing_key, None if isinstance(signing_key, PurePrivateKey) else hashes.SHA256()
    )
