"""The checks that each handshake repeats even if the path of the chain is cached."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from engine_pairs import (
    ASKING_SERVER,
    CLIENT,
    SERVER,
    authority,
    credentials,
    established,
    failure_of,
)

from trio_tlsx.crypto.signatures import SignatureScheme
from trio_tlsx.errors import AlertDescription, CertificateError
from trio_tlsx.pki.credentials import Credentials
from trio_tlsx.pki.peer import Peer

CERTIFIED_CLIENT = replace(CLIENT, credentials=credentials())
ROLES = pytest.mark.parametrize("role", ["server", "client"])


class WithoutTheKey:
    """A signer that has another key than the certificate's."""

    schemes = credentials().signer.schemes

    def sign(self, scheme: SignatureScheme, message: bytes) -> Any:
        return authority.issue("another").signer.sign(scheme, message)


@ROLES
def test_the_proof_of_the_key_each_time(role: str) -> None:
    """The path is known; the peer has the chain of another, but not its key."""
    established(CERTIFIED_CLIENT, ASKING_SERVER)
    own = credentials()
    impostor = Credentials(own.chain, WithoutTheKey())
    client, server = CERTIFIED_CLIENT, ASKING_SERVER
    if role == "server":
        server = replace(server, credentials=impostor)
    else:
        client = replace(client, credentials=impostor)
    error = failure_of(lambda: established(client, server))
    assert error.alert is AlertDescription.decrypt_error
    assert "does not hold the key" in str(error) or error.refused_by == "peer"


@ROLES
def test_hooks_are_called_each_time_with_the_path(role: str) -> None:
    peers: list[Peer] = []

    def verify(peer: Peer) -> None:
        peers.append(peer)
        if len(peers) > 2:
            raise CertificateError("not any more")

    client, server = CERTIFIED_CLIENT, ASKING_SERVER
    if role == "server":
        client = replace(client, verify=verify)
    else:
        server = replace(server, verify=verify)
    for _ in range(2):
        established(client, server)
    assert [peer.path for peer in peers] == [peers[0].path] * 2
    assert len(peers[0].path) == 2
    assert "not any more" in str(failure_of(lambda: established(client, server)))


def test_connections_share_the_certificates_of_a_verified_peer() -> None:
    one, other = (established()[0].negotiated.peer_certificates for _ in range(2))
    assert one == other
    assert one[0] is other[0]


def test_connections_share_no_certificates_that_were_not_verified() -> None:
    client = replace(CLIENT, trust=None, insecure_skip_verification=True)
    one, other = (established(client, SERVER)[0].negotiated.peer_certificates for _ in range(2))
    assert one == other
    assert one[0] is not other[0]
