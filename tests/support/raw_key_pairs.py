"""Configurations of our own two roles with raw public keys (RFC 7250)."""

from __future__ import annotations

from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from engine_pairs import CLIENT, SERVER, authority

from trio_tlsx import ClientConfig, Credentials, RawPublicKey, ServerConfig, TrustStore

__all__ = [
    "ASKING_SERVER",
    "CERTIFIED_CLIENT",
    "CLIENT",
    "CLIENT_KEY",
    "KEYS",
    "OTHER_KEY",
    "RAW_CLIENT",
    "RAW_SERVER",
    "SERVER_KEY",
    "pem_of",
    "raw_key_of",
    "trusting",
    "with_versions",
]

KEYS = {
    "P-256": ec.generate_private_key(ec.SECP256R1()),
    "P-384": ec.generate_private_key(ec.SECP384R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate(),
    "RSA": rsa.generate_private_key(65537, 2048),
}
GROUPS = ("x25519", "P-256", "P-384", "P-521")

#: The credentials of a server and of a client, and those of nobody.
SERVER_KEY = Credentials.from_raw_key(KEYS["P-256"])
CLIENT_KEY = Credentials.from_raw_key(KEYS["Ed25519"])
OTHER_KEY = Credentials.from_raw_key(ec.generate_private_key(ec.SECP256R1()))


def raw_key_of(credentials: Credentials) -> RawPublicKey:
    if credentials.raw_public_key is None:
        raise AssertionError("these are certificates")
    return credentials.raw_public_key


def trusting(*credentials: Credentials) -> TrustStore:
    """A trust store of the raw keys of these credentials."""
    return TrustStore.from_public_keys([raw_key_of(each) for each in credentials])


def pem_of(name: str) -> bytes:
    """One of the private keys in PEM."""
    return KEYS[name].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


#: A client that trusts nothing but the server's raw key, and that server.
RAW_CLIENT = replace(CLIENT, trust=trusting(SERVER_KEY), groups=GROUPS)
RAW_SERVER = replace(SERVER, credentials=SERVER_KEY, groups=GROUPS)
#: A client with a raw key, and a server that requires it; the server has a certificate.
CERTIFIED_CLIENT = replace(CLIENT, credentials=CLIENT_KEY, trust=authority.trust, groups=GROUPS)
ASKING_SERVER = replace(
    SERVER, client_auth="required", client_trust=trusting(CLIENT_KEY), groups=GROUPS
)


def with_versions(
    version: str, client: ClientConfig, server: ServerConfig
) -> tuple[ClientConfig, ServerConfig]:
    """The same configurations for this version alone."""
    return replace(client, versions=(version,)), replace(server, versions=(version,))
