"""What BoringSSL's runner found in how this side authenticates itself."""

from __future__ import annotations

from dataclasses import replace

from engine_pairs import ASKING_SERVER, CLIENT, SERVER, connections, credentials, shake_hands

from trio_tlsx.crypto.signatures import SignatureScheme
from trio_tlsx.pki.credentials import Credentials, PrivateKeySigner


def test_what_the_peer_may_sign_with_does_not_bind_this_side() -> None:
    # RFC 9846 4.3.3: signature_algorithms is what its sender can verify.
    server = replace(SERVER, signature_schemes=["ed25519"])
    client, other = connections(CLIENT, server)
    shake_hands(client, other)
    assert client.negotiated.signature_scheme == "ecdsa_secp256r1_sha256"


def test_neither_does_it_bind_a_client() -> None:
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


def test_the_signers_preference_decides() -> None:
    own = credentials("RSA-2048")
    picky = Credentials(own.chain, Picky(own))
    client, server = connections(CLIENT, replace(SERVER, credentials=picky))
    shake_hands(client, server)
    assert client.negotiated.signature_scheme == SignatureScheme.rsa_pss_rsae_sha512.name
