"""Connections of TLS 1.2 between tlslite-ng and OpenSSL, replayed through our record layer.

``tests/data/tls12/make_recordings.py`` recorded them, with their secrets.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from engine_pairs import records

from trio_tlsx.crypto.cipher_suites12 import CIPHER_SUITES_12, CipherSuite12
from trio_tlsx.crypto.key_schedule12 import DirectionKeys, MasterSecret
from trio_tlsx.messages.extensions import ExtensionType
from trio_tlsx.messages.handshake import (
    MESSAGE_HEADER_LENGTH,
    ClientHello,
    Finished,
    HandshakeType,
    ServerHello,
)
from trio_tlsx.messages.handshake12 import (
    Certificate12,
    ClientKeyExchange,
    ServerHelloDone,
    ServerKeyExchange,
)
from trio_tlsx.record.protection import ContentType
from trio_tlsx.record.protection12 import Opener12, Sealer12
from trio_tlsx.record.receive import Incoming, Record

DATA = json.loads((Path(__file__).parents[1] / "data/tls12/recordings.json").read_text())
CLIENT, SERVER = 0, 1
CLOSE_NOTIFY = b"\1\0"
FLIGHTS = (
    (ClientHello, ClientKeyExchange, Finished),
    (ServerHello, Certificate12, ServerKeyExchange, ServerHelloDone, Finished),
)


def messages_of(content: bytes) -> list[bytes]:
    """Split handshake messages, which keep their headers."""
    found: list[bytes] = []
    while content:
        length = MESSAGE_HEADER_LENGTH + int.from_bytes(content[1:MESSAGE_HEADER_LENGTH])
        found.append(content[:length])
        content = content[length:]
    return found


def body(message: bytes) -> bytes:
    return message[MESSAGE_HEADER_LENGTH:]


@dataclass(frozen=True)
class Recording:
    """A recorded connection.

    Attributes:
        streams: the octets of the client, and those of the server.
        premaster_secret: as tlslite-ng noted it.
        master_secret: as OpenSSL logged it.
    """

    streams: tuple[bytes, bytes]
    premaster_secret: bytes
    master_secret: bytes
    data: tuple[bytes, bytes]

    @cached_property
    def in_the_clear(self) -> tuple[list[bytes], list[bytes]]:
        """The messages before each change_cipher_spec."""
        client, server = (
            messages_of(b"".join(r[5:] for r in octets if r[0] == ContentType.handshake))
            for octets in map(self.before_keys, (CLIENT, SERVER))
        )
        return client, server

    def before_keys(self, side: int) -> list[bytes]:
        octets = [record for _, record in records(self.streams[side])]
        return octets[: self.change_cipher_spec(side)]

    def change_cipher_spec(self, side: int) -> int:
        kinds = [record[0] for _, record in records(self.streams[side])]
        return kinds.index(ContentType.change_cipher_spec)

    def sealed_records(self, side: int) -> list[bytes]:
        octets = [record for _, record in records(self.streams[side])]
        return octets[self.change_cipher_spec(side) + 1 :]

    @property
    def hellos(self) -> tuple[ClientHello, ServerHello]:
        client, server = self.in_the_clear
        return ClientHello.decode(body(client[0])), ServerHello.decode(body(server[0]))

    @property
    def suite(self) -> CipherSuite12:
        return CIPHER_SUITES_12[self.hellos[1].cipher_suite]

    @property
    def secret(self) -> MasterSecret:
        client, server = self.hellos
        return MasterSecret(self.suite, self.master_secret, (client.random, server.random))

    def keys(self, side: int) -> DirectionKeys:
        return self.secret.traffic_keys()[side]

    @cached_property
    def opened(self) -> tuple[list[Record], list[Record]]:
        """All records of each side, as our record layer opens them."""
        client, server = map(self.open, (CLIENT, SERVER))
        return client, server

    def open(self, side: int) -> list[Record]:
        incoming = Incoming()
        incoming.install_at_change_cipher_spec(Opener12(self.suite, self.keys(side)))
        before = self.before_keys(side)
        found = [Record(record[0], record[5:]) for record in before]
        incoming.feed(self.streams[side][sum(map(len, before)) :])
        while (record := incoming.next_record()) is not None:
            found.append(record)
        assert incoming.take_rest() == b""
        return found

    def messages(self, side: int) -> list[bytes]:
        handshake = (r.content for r in self.opened[side] if r.content_type == 22)
        return messages_of(b"".join(handshake))


def load(recording: dict[str, Any]) -> Recording:
    streams = bytes.fromhex(recording["client"]), bytes.fromhex(recording["server"])
    return Recording(
        streams,
        bytes.fromhex(recording["premaster_secret"]),
        bytes.fromhex(recording["master_secret"]),
        (recording["question"].encode(), recording["answer"].encode()),
    )


RECORDINGS = {recording["suite"]: load(recording) for recording in DATA["recordings"]}
each_recording = pytest.mark.parametrize("recording", RECORDINGS.values(), ids=RECORDINGS)


def test_each_cipher_is_recorded() -> None:
    assert [recording.suite.openssl_name for recording in RECORDINGS.values()] == [*RECORDINGS]
    assert "loopback" in DATA["made"]


@each_recording
@pytest.mark.parametrize("side", [CLIENT, SERVER])
def test_recorded_messages_encode_to_the_same_octets(recording: Recording, side: int) -> None:
    messages = [m for m in recording.messages(side) if m[0] != HandshakeType.new_session_ticket]
    for octets, message_type in zip(messages, FLIGHTS[side], strict=True):
        assert octets[0] == message_type.handshake_type
        assert message_type.decode(body(octets)).encode() == body(octets)


@each_recording
@pytest.mark.parametrize("side", [CLIENT, SERVER])
def test_recorded_records_are_opened(recording: Recording, side: int) -> None:
    """Those of the handshake, the data, and close_notify."""
    opened = recording.opened[side]
    data = b"".join(r.content for r in opened if r.content_type == ContentType.application_data)
    assert data == recording.data[side]
    if side == CLIENT:
        assert opened[-1] == Record(ContentType.alert, CLOSE_NOTIFY)


#: OpenSSL's explicit nonces of AES-GCM start at a random number; tlslite-ng's are ours.
WITH_OUR_NONCES = [
    (name, side)
    for name, recording in RECORDINGS.items()
    for side in (CLIENT, SERVER)
    if side == CLIENT or not recording.suite.explicit_nonce_length
]


@pytest.mark.parametrize(("name", "side"), WITH_OUR_NONCES)
def test_recorded_content_is_sealed_to_the_same_octets(name: str, side: int) -> None:
    recording = RECORDINGS[name]
    sealer = Sealer12(recording.suite, recording.keys(side))
    sealed = recording.sealed_records(side)
    contents = recording.opened[side][-len(sealed) :]
    assert [sealer.seal(*record) for record in contents] == sealed


def transcript(recording: Recording) -> list[bytes]:
    """All messages but the Finished of the server, in their order."""
    client, server = recording.messages(CLIENT), recording.messages(SERVER)
    hello_done = 1 + [m[0] for m in server].index(HandshakeType.server_hello_done)
    return [client[0], *server[:hello_done], *client[1:], *server[hello_done:-1]]


@each_recording
def test_recorded_finished_messages_are_verified(recording: Recording) -> None:
    client, server = recording.messages(CLIENT)[-1], recording.messages(SERVER)[-1]
    messages = transcript(recording)
    digest, secret = recording.suite.hash, recording.secret
    before_client = b"".join(messages[: messages.index(client)])
    assert secret.client_finished(digest(before_client).digest()) == body(client)
    assert secret.server_finished(digest(b"".join(messages)).digest()) == body(server)


@each_recording
def test_recorded_master_secret_is_derived(recording: Recording) -> None:
    """From the premaster secret and the messages up to ClientKeyExchange (RFC 7627 4)."""
    client, server = recording.hellos
    assert ExtensionType.extended_master_secret in server.extensions
    messages = transcript(recording)
    session_hash = recording.suite.hash(
        b"".join(messages[: messages.index(recording.messages(CLIENT)[1]) + 1])
    ).digest()
    derived = MasterSecret.derive(
        recording.suite,
        recording.premaster_secret,
        (client.random, server.random),
        session_hash,
    )
    assert derived.secret == recording.master_secret
