"""Random octets, records and messages: the engine accepts them, waits, or raises a TLSError."""

from __future__ import annotations

from dataclasses import replace

from engine_pairs import (
    ASKING_SERVER,
    CLIENT,
    SERVER,
    AbsentSigner,
    connections,
    credentials,
    established,
    outgoing,
    plain,
    records,
    sealed,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from pairs12 import CLIENT_12, SERVER_12

from trio_tlsx.crypto.signatures import SignatureScheme
from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import InternalError, TLSError
from trio_tlsx.handshake.wants import Want
from trio_tlsx.messages.codec import opaque24, uint8
from trio_tlsx.messages.handshake import HandshakeType
from trio_tlsx.pki.credentials import Credentials
from trio_tlsx.record.protection import ContentType


def check_refusal_or_wait(connection: Connection, octets: bytes) -> None:
    """Feed ``octets``, then the end of the transport; only a TLSError may come out."""
    try:
        for data in filter(None, (octets, None)):
            connection.receive_data(data)
            go_on(connection)
        connection.receive_data(b"")
        go_on(connection)
    except InternalError as error:
        raise AssertionError("the engine was not prepared for this") from error
    except TLSError:
        return
    assert connection.handshake_complete


def go_on(connection: Connection) -> None:
    while connection.do_handshake() is Want.WRITE:
        connection.data_to_send()
    if connection.handshake_complete:
        while isinstance(data := connection.read(), bytes) and data:
            pass


#: The configurations of each version.
CONFIGS = {
    "TLSv1.3": (CLIENT, SERVER),
    "TLSv1.2": (
        CLIENT_12,
        replace(SERVER_12, client_auth="optional", client_trust=ASKING_SERVER.client_trust),
    ),
}
versions = st.sampled_from(list(CONFIGS))


content_types = st.sampled_from(list(ContentType)) | st.integers(0, 255)


def handshake_message(handshake_type: int, body: bytes) -> bytes:
    return uint8(handshake_type) + opaque24(body)


handshake_messages = st.builds(
    handshake_message,
    st.sampled_from(list(HandshakeType)) | st.integers(0, 255),
    st.binary(max_size=80),
)


contents = st.one_of(
    st.binary(max_size=80),
    handshake_messages,
    st.lists(handshake_messages, max_size=4).map(b"".join),
    st.sampled_from([b"\1\0", b"\2\x28", b"\1\x5a", b"\1", b"\2\xff"]),
)


random_records = st.lists(st.tuples(content_types, contents, st.integers(0, 3)), max_size=6)


CLIENT_SIDE, SERVER_SIDE = 0, 1


either_side = st.sampled_from([CLIENT_SIDE, SERVER_SIDE])


@settings(deadline=None, max_examples=100)
@given(octets=st.binary(max_size=300), side=either_side, version=versions)
def test_random_octets_raise_only_tls_errors(octets: bytes, side: int, version: str) -> None:
    for pair in pairs_at_each_stage(version, side):
        check_refusal_or_wait(pair[side], octets)


@settings(deadline=None, max_examples=100)
@given(script=random_records, side=either_side, version=versions)
def test_random_plaintext_records_raise_only_tls_errors(
    script: list[tuple[int, bytes, int]], side: int, version: str
) -> None:
    octets = b"".join(plain(content, content_type) for content_type, content, _ in script)
    for pair in pairs_at_each_stage(version, side):
        check_refusal_or_wait(pair[side], octets)


@settings(deadline=None, max_examples=100)
@given(script=random_records, side=either_side)
def test_random_sealed_records_raise_only_tls_errors(
    script: list[tuple[int, bytes, int]], side: int
) -> None:
    for pair in (halfway(side), established()):
        octets = b"".join(
            sealed(pair[1 - side], content, content_type, padding)
            for content_type, content, padding in script
        )
        check_refusal_or_wait(pair[side], octets)


@settings(deadline=None, max_examples=100)
@given(script=random_records, side=either_side)
def test_random_sealed_records_of_tls_1_2_raise_only_tls_errors(
    script: list[tuple[int, bytes, int]], side: int
) -> None:
    """Before Finished, and after the handshake."""
    for pair in (before_finished(side), established(*CONFIGS["TLSv1.2"])):
        octets = b"".join(
            sealed(pair[1 - side], content, content_type) for content_type, content, _ in script
        )
        check_refusal_or_wait(pair[side], octets)


def before_finished(attacked: int) -> tuple[Connection, Connection]:
    """A client and a server of TLS 1.2; the attacked side waits for the other's Finished."""
    pair = client, server = connections(*CONFIGS["TLSv1.2"])
    flights = [(client, server), (server, client), (client, server), (server, client)]
    for one, other in flights[: 4 if attacked == CLIENT_SIDE else 3]:
        assert one.do_handshake() is Want.WRITE
        output = one.data_to_send()
        sealer = outgoing(one).sealer
        if sealer is not None and other is pair[attacked]:
            *_, (finished, _) = records(output)
            output = output[:finished]
            sealer.sequence_number = 0  # of the record that takes its place
        other.receive_data(output)
    assert pair[attacked].do_handshake() is Want.READ
    return pair


@settings(deadline=None, max_examples=30)
@given(
    edits=st.lists(st.tuples(st.integers(0, 10**4), st.binary(max_size=3)), max_size=4),
    version=versions,
)
def test_randomly_edited_client_hello_raises_only_tls_errors(
    edits: list[tuple[int, bytes]], version: str
) -> None:
    client, server = connections(*CONFIGS[version])
    client.do_handshake()
    octets = client.data_to_send()
    for position, replacement in edits:
        start = position % len(octets)
        octets = octets[:start] + replacement + octets[start + 1 :]
    check_refusal_or_wait(server, octets)


def pairs_at_each_stage(version: str, attacked: int) -> list[tuple[Connection, Connection]]:
    """Pairs before, in and after the handshake."""
    configs = CONFIGS[version]
    middle = halfway(attacked) if version == "TLSv1.3" else before_finished(attacked)
    return [connections(*configs), middle, established(*configs)]


def halfway(attacked: int) -> tuple[Connection, Connection]:
    """A client and a server in the middle of the handshake, both with handshake keys.

    The client waits for CertificateVerify. The server waits for the client's Certificate if it is
    the one to be attacked, else for its own signer.
    """
    leaf = credentials().chain[0]
    signer = AbsentSigner(SignatureScheme.ecdsa_secp256r1_sha256)
    absent = Credentials([leaf], signer)
    client, server = connections(CLIENT, replace(ASKING_SERVER, credentials=absent))
    for one, other in ((client, server), (server, client), (client, server)):
        assert one.do_handshake() is Want.WRITE
        other.receive_data(one.data_to_send())
    if attacked == SERVER_SIDE:
        server.answer(b"a signature that nobody will see")
        assert server.do_handshake() is Want.WRITE
        server.data_to_send()
        assert server.do_handshake() is Want.READ
    else:
        assert client.do_handshake() is Want.READ
    return client, server
