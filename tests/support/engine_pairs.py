"""Engines without a transport, connected by hand."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Generator, Iterator
from dataclasses import replace
from typing import Any, TypeVar

from trio_tlsx.config.client import ClientConfig
from trio_tlsx.config.server import ServerConfig
from trio_tlsx.crypto.groups import GROUPS, EphemeralKey, Group
from trio_tlsx.crypto.signatures import SignatureScheme
from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import AlertDescription, TLSError
from trio_tlsx.handshake.wants import Want
from trio_tlsx.pki.credentials import Credentials
from trio_tlsx.record.protection import ContentType, Sealer, record_header
from trio_tlsx.record.receive import Incoming
from trio_tlsx.record.send import Outgoing
from trio_tlsx.testing import CA

SERVER_NAME = "test.example"
MAX_TURNS = 10

AnyConfig = TypeVar("AnyConfig", ClientConfig, ServerConfig)

authority = CA()


@functools.cache
def credentials(key_type: str = "P-256") -> Credentials:
    return authority.issue(SERVER_NAME, key_type=key_type)


# X25519 alone: what these tests are about is not the key exchange. No tickets either: each
# connection is like the one before it.
CLIENT = ClientConfig(trust=authority.trust, groups=["x25519"], resumption=False)
SERVER = ServerConfig(credentials=credentials(), groups=["x25519"])
ASKING_SERVER = replace(SERVER, client_auth="required", client_trust=authority.trust)


def connections(
    client: ClientConfig = CLIENT, server: ServerConfig = SERVER
) -> tuple[Connection, Connection]:
    """A client and a server that have not spoken yet."""
    return Connection.client(client, SERVER_NAME), Connection.server(server)


def shake_hands(client: Connection, server: Connection) -> None:
    """Carry everything over until both have finished; raise what either raises."""
    for _ in range(MAX_TURNS):
        wants = [advance(client, server), advance(server, client)]
        if wants == [Want.NOTHING, Want.NOTHING]:
            return
    raise AssertionError("the handshake does not end")


def advance(one: Connection, other: Connection) -> object:
    """Advance the handshake of ``one`` and carry its output over, even if it fails."""
    try:
        return one.do_handshake()
    finally:
        carry(one, other)


def carry(one: Connection, other: Connection) -> None:
    if output := one.data_to_send():
        other.receive_data(output)


def next_want(connection: Connection) -> object:
    """Return what it wants of its driver, or its error; if it has finished, what it reads."""
    try:
        want = connection.do_handshake()
        return connection.read() if want is Want.NOTHING else want
    except TLSError as error:
        return error


def established(
    client: ClientConfig = CLIENT, server: ServerConfig = SERVER
) -> tuple[Connection, Connection]:
    """A client and a server that can exchange application data."""
    pair = connections(client, server)
    shake_hands(*pair)
    return pair


def failure_of(call: Callable[[], object]) -> TLSError:
    """What ``call`` raises."""
    try:
        call()
    except TLSError as error:
        return error
    raise AssertionError("it did not fail")


def read_all(connection: Connection) -> bytes:
    """Everything that can be read now, up to ``close_notify`` at the most."""
    data = bytearray()
    while (piece := connection.read()) and isinstance(piece, bytes):
        data += piece
    return bytes(data)


def send(one: Connection, other: Connection, data: bytes) -> None:
    """Have ``one`` write all of ``data``, and carry it over."""
    rest = memoryview(data)
    while rest:
        rest = rest[one.write(rest) :]
        carry(one, other)


# What no honest peer does


def outgoing(connection: Connection) -> Outgoing:
    return connection._outgoing  # pyright: ignore[reportPrivateUsage]


def incoming(connection: Connection) -> Incoming:
    return connection._incoming  # pyright: ignore[reportPrivateUsage]


def sealer(connection: Connection) -> Sealer:
    found = outgoing(connection).sealer
    if not isinstance(found, Sealer):
        raise AssertionError("there are no keys yet")
    return found


def sealed(
    connection: Connection,
    content: bytes,
    content_type: int = ContentType.application_data,
    padding: int = 0,
) -> bytes:
    """A record that ``connection`` could have sent next, with whatever content."""
    if padding:
        return sealer(connection).seal(0, content + bytes((content_type,)) + bytes(padding - 1))
    found = outgoing(connection).sealer
    if found is None:
        raise AssertionError("there are no keys yet")
    return found.seal(content_type, content)


def plain(content: bytes, content_type: int = ContentType.handshake) -> bytes:
    """A record without protection."""
    return record_header(content_type, len(content)) + content


def records(stream: bytes) -> Iterator[tuple[int, bytes]]:
    """The records of a stream: the offset of each, and its octets."""
    offset = 0
    while offset < len(stream):
        end = offset + 5 + int.from_bytes(stream[offset + 3 : offset + 5])
        yield offset, stream[offset:end]
        offset = end


class Never:
    """What a signer gives that will answer later."""

    def __await__(self) -> Generator[Any, Any, bytes]:
        raise AssertionError("the test answers by itself")


class AbsentSigner:
    """A signer far away, in one scheme; notes what it is asked."""

    def __init__(self, scheme: SignatureScheme) -> None:
        self.schemes = (scheme,)
        self.asked: list[bytes] = []

    def sign(self, scheme: SignatureScheme, message: bytes) -> Awaitable[bytes]:
        if scheme not in self.schemes:
            raise ValueError(scheme)
        self.asked.append(message)
        return Never()


# What makes a handshake come out the same each time


def fixed_group(code: int, generate: Callable[[], EphemeralKey]) -> Group:
    """The group with this code, whose keys on both sides are those that ``generate`` gives."""

    def respond(peer: bytes) -> tuple[bytes, bytes]:
        own = generate()
        return own.public, own.exchange(peer)

    return GROUPS[code]._replace(generate=generate, respond=respond)


def with_groups(config: AnyConfig, *groups: Group) -> AnyConfig:
    """A copy of ``config`` that has these groups and no others."""
    copy = replace(config)
    table = {group.code: group for group in groups}
    tls12 = replace(copy.parameters.tls12, group_table=table)
    vars(copy)["parameters"] = replace(copy.parameters, group_table=table, tls12=tls12)
    return copy


def alert_of(call: Callable[[], object]) -> AlertDescription | None:
    error = failure_of(call)
    assert error.refused_by == "us"
    return error.alert
