"""Certificate and CertificateVerify: chains, and the selection of signature schemes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from engine_pairs import (
    ASKING_SERVER,
    CLIENT,
    SERVER,
    alert_of,
    authority,
    connections,
    credentials,
    established,
    failure_of,
    shake_hands,
)
from hellos import exchange, flight

from trio_tlsx.config.client import ClientConfig
from trio_tlsx.config.server import ServerConfig
from trio_tlsx.crypto.signatures import PrivateKey, SignatureScheme, schemes_for
from trio_tlsx.errors import AlertDescription, ConfigError
from trio_tlsx.pki.credentials import Credentials, PrivateKeySigner

A = AlertDescription


@pytest.mark.parametrize("from_client", [False, True])
def test_certificate_chain_longer_than_the_limit_is_rejected(from_client: bool) -> None:
    for length, refused in [(3, False), (4, True)]:
        own = authority.issue("test.example")
        issuer = authority.certificate.public_bytes(Encoding.DER)
        own.der_chain = (*own.der_chain, *[issuer] * (length - 1))
        if from_client:
            server = replace(ASKING_SERVER, max_chain_length=3)
            pair = connections(replace(CLIENT, credentials=own), server)
        else:
            client = replace(CLIENT, max_chain_length=3)
            pair = connections(client, replace(SERVER, credentials=own))
        if refused:
            assert alert_of(lambda pair=pair: shake_hands(*pair)) is A.bad_certificate
        else:
            shake_hands(*pair)


def test_signature_schemes_do_not_limit_the_servers_own_signature() -> None:
    # RFC 9846 4.3.3: signature_algorithms is what its sender can verify.
    server = replace(SERVER, signature_schemes=["ed25519"])
    client, other = connections(CLIENT, server)
    shake_hands(client, other)
    assert client.negotiated.signature_scheme == "ecdsa_secp256r1_sha256"


def test_signature_schemes_do_not_limit_the_clients_own_signature() -> None:
    client = replace(CLIENT, signature_schemes=["ed25519"], credentials=credentials())
    server = replace(ASKING_SERVER, credentials=credentials("ed25519"))
    one, other = connections(client, server)
    shake_hands(one, other)
    assert other.negotiated.signature_scheme == "ecdsa_secp256r1_sha256"


class Picky(PrivateKeySigner):
    """Wants the last scheme of its key most."""

    def __init__(self, own: Credentials) -> None:
        assert isinstance(own.signer, PrivateKeySigner)
        super().__init__(own.signer.private_key, own.chain[0])
        self.schemes = tuple(reversed(self.schemes))


def test_signers_preference_selects_the_scheme() -> None:
    own = credentials("RSA-2048")
    picky = Credentials(own.chain, Picky(own))
    client, server = connections(CLIENT, replace(SERVER, credentials=picky))
    shake_hands(client, server)
    assert client.negotiated.signature_scheme == SignatureScheme.rsa_pss_rsae_sha512.name


KEY_TYPES = {
    "P-256": "ecdsa_secp256r1_sha256",
    "P-384": "ecdsa_secp384r1_sha384",
    "P-521": "ecdsa_secp521r1_sha512",
    "ed25519": "ed25519",
    "ed448": "ed448",
    "RSA-2048": "rsa_pss_rsae_sha256",
    "ML-DSA-44": "mldsa44",
    "ML-DSA-65": "mldsa65",
    "ML-DSA-87": "mldsa87",
}


CA_SCHEME = "ecdsa_secp256r1_sha256"


def private_key(own: Credentials) -> PrivateKey:
    assert isinstance(own.signer, PrivateKeySigner)
    return own.signer.private_key


@pytest.mark.parametrize("key_type", KEY_TYPES)
def test_each_key_type_authenticates(key_type: str) -> None:
    own = credentials(key_type)
    schemes = [*ClientConfig.signature_schemes, "mldsa44", "mldsa65", "mldsa87"]
    server_config = replace(SERVER, client_auth="required", client_trust=authority.trust)
    client, server = established(
        replace(CLIENT, credentials=own, signature_schemes=schemes),
        replace(server_config, credentials=own, signature_schemes=schemes),
    )
    for connection in (client, server):
        assert connection.negotiated.peer_certificates == own.chain
        assert connection.negotiated.signature_scheme == KEY_TYPES[key_type]


def signed_in(client_config: ClientConfig, server_config: ServerConfig) -> str | None:
    """The scheme of the client's signature."""
    client, server = established(client_config, server_config)
    exchange(client, server)
    return server.negotiated.signature_scheme


def test_pkcs1_signatures_of_clients() -> None:
    """RFC 9963: where the server takes them, and after PSS."""
    rsa = credentials("RSA-2048")
    leaf, key = rsa.chain[0], private_key(rsa)
    legacy = "rsa_pkcs1_sha256_legacy"
    asking = replace(SERVER, client_auth="required", client_trust=authority.trust)
    taking = replace(asking, signature_schemes=[legacy, "ecdsa_secp256r1_sha256"])
    both = Credentials([leaf], PrivateKeySigner(key, leaf, schemes_for(leaf, legacy=True)))
    only = Credentials([leaf], PrivateKeySigner(key, leaf, [SignatureScheme[legacy]]))
    assert signed_in(replace(CLIENT, credentials=only), taking) == legacy
    assert signed_in(replace(CLIENT, credentials=both), taking) == legacy
    both_known = replace(taking, signature_schemes=[legacy, "rsa_pss_rsae_sha256", CA_SCHEME])
    assert signed_in(replace(CLIENT, credentials=both), both_known) == "rsa_pss_rsae_sha256"
    # Who is not asked for such a signature, or cannot make one, has no certificate to send.
    for own, config in [(only, asking), (rsa, taking)]:
        optional = replace(config, client_auth="optional")
        assert signed_in(replace(CLIENT, credentials=own), optional) is None


def test_servers_never_sign_with_pkcs1() -> None:
    """RFC 9963 2: neither offered nor accepted by a client, whatever a server offers."""
    with pytest.raises(ConfigError, match="rsa_pkcs1_sha256_legacy: only clients may sign"):
        replace(CLIENT, signature_schemes=["ed25519", "rsa_pkcs1_sha256_legacy"])
    rsa = credentials("RSA-2048")
    leaf = rsa.chain[0]
    schemes = schemes_for(leaf, legacy=True)
    both = Credentials([leaf], PrivateKeySigner(private_key(rsa), leaf, schemes[::-1]))
    client, _ = established(CLIENT, replace(SERVER, credentials=both))
    assert client.negotiated.signature_scheme == "rsa_pss_rsae_sha512"


def test_mldsa_only_if_it_is_configured() -> None:
    own = credentials("ML-DSA-44")
    client, server = connections(CLIENT, replace(SERVER, credentials=own))
    flight(client, server)
    error = failure_of(server.do_handshake)
    assert error.alert is AlertDescription.handshake_failure
    assert "no signature that our key can make (mldsa44)" in str(error)
