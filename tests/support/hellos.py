"""ClientHellos of the engine, and the transfer of one flight at a time."""

from __future__ import annotations

from dataclasses import replace

from engine_pairs import (
    CLIENT,
    SERVER_NAME,
    connections,
    plain,
    read_all,
    records,
    send,
)

from trio_tlsx.config.client import ClientConfig
from trio_tlsx.engine.connection import Connection
from trio_tlsx.handshake.wants import Want
from trio_tlsx.messages.extensions import ExtensionType
from trio_tlsx.messages.handshake import (
    MESSAGE_HEADER_LENGTH,
    ClientHello,
    Message,
    ServerHello,
    encode_message,
)
from trio_tlsx.record.protection import RECORD_HEADER_LENGTH


def exchange(client: Connection, server: Connection) -> None:
    for one, other in [(client, server), (server, client)]:
        send(one, other, b"hello")
        assert read_all(other) == b"hello"


def flight(one: Connection, other: Connection) -> bytes:
    """Go on, and carry the output over; give it too."""
    one.do_handshake()
    output = one.data_to_send()
    other.receive_data(output)
    return output


def first_hello(config: ClientConfig, server_hostname: str = SERVER_NAME) -> ClientHello:
    client = Connection.client(config, server_hostname)
    client.do_handshake()
    ((_, record),) = records(client.data_to_send())
    return ClientHello.decode(record[9:])


def retry_of(output: bytes) -> ServerHello:
    (_, record), *_ = records(output)
    retry = ServerHello.decode(record[9:])
    assert retry.is_hello_retry_request
    return retry


def sent_hello(client: Connection) -> ClientHello:
    """The ClientHello that ``client`` sends next."""
    assert client.do_handshake() is Want.WRITE
    *_, (_, record) = records(client.data_to_send())
    return ClientHello.decode(record[RECORD_HEADER_LENGTH + MESSAGE_HEADER_LENGTH :])


def give(connection: Connection, message: Message) -> None:
    connection.receive_data(plain(encode_message(message)))


def hello_with_early_data() -> ClientHello:
    """A ClientHello that offers early data and has no key share that the server wants."""
    client, _ = connections(replace(CLIENT, groups=["x25519", "P-256"]))
    client.do_handshake()
    hello = ClientHello.decode(
        client.data_to_send()[RECORD_HEADER_LENGTH + MESSAGE_HEADER_LENGTH :]
    )
    return replace(hello, extensions={**hello.extensions, ExtensionType.early_data: b""})
