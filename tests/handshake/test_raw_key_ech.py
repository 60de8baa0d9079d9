"""Raw public keys with Encrypted Client Hello (RFC 9849)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ech_pairs import ECH_CLIENT, ECH_SERVER, STALE_SERVER, both_names
from engine_pairs import authority, connections, established, failure_of, records, shake_hands
from raw_key_pairs import SERVER_KEY, raw_key_of, trusting

from trio_tlsx import CertificateError, ECHRejected, Peer, TrustStore
from trio_tlsx.messages.extensions import ExtensionType
from trio_tlsx.messages.handshake import MESSAGE_HEADER_LENGTH, ClientHello
from trio_tlsx.record.protection import RECORD_HEADER_LENGTH

EITHER = TrustStore(authority.trust.certificates, public_keys=[raw_key_of(SERVER_KEY)])
CLIENT = replace(ECH_CLIENT, trust=EITHER)
BOTH = (SERVER_KEY, *both_names)


def test_raw_key_is_negotiated_in_the_inner_hello() -> None:
    client, _ = established(CLIENT, replace(ECH_SERVER, credentials=BOTH))
    assert client.negotiated.ech_accepted
    assert client.negotiated.peer_raw_public_key == SERVER_KEY.raw_public_key


def test_outer_hello_offers_no_types() -> None:
    client, _ = connections(replace(CLIENT, credentials=SERVER_KEY))
    client.do_handshake()
    _, record = next(records(client.data_to_send()))
    hello = ClientHello.decode(record[RECORD_HEADER_LENGTH + MESSAGE_HEADER_LENGTH :])
    assert ExtensionType.encrypted_client_hello in hello.extensions
    assert ExtensionType.server_certificate_type not in hello.extensions
    assert ExtensionType.client_certificate_type not in hello.extensions


def test_only_a_certificate_is_that_of_the_public_name() -> None:
    """A raw key has no name, so that it must not be that of the public_name (RFC 9849 6.1.7)."""
    seen: list[Peer] = []
    pair = connections(
        replace(CLIENT, verify=seen.append), replace(STALE_SERVER, credentials=BOTH)
    )
    error = failure_of(lambda: shake_hands(*pair))
    assert isinstance(error, ECHRejected)
    assert error.retry_configs is not None
    (peer,) = seen
    assert peer.for_public_name
    assert peer.raw_public_key is None
    assert peer.certificates


@pytest.mark.parametrize("names", [BOTH, both_names])
def test_client_that_trusts_only_keys_gets_no_retry_configs(names: object) -> None:
    client = replace(CLIENT, trust=trusting(SERVER_KEY))
    pair = connections(client, replace(STALE_SERVER, credentials=names))
    error = failure_of(lambda: shake_hands(*pair))
    assert isinstance(error, CertificateError)
    assert "only raw public keys are trusted" in str(error)
