"""The messages between the supervisor and a worker, and their encoding on the socket pair.

A worker processes data from the network, and an attacker may control it. So the supervisor decodes
its messages as strictly as a peer's: a malformed one raises ProtocolError.
"""

from __future__ import annotations

import datetime
import json
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar, cast

from ..clock import EPOCH, MILLISECOND
from ..messages.codec import Reader, opaque8, opaque16, opaque24, uint8, uint32, uint64

__all__ = [
    "MAX_CONTROL_MESSAGE",
    "TO_SUPERVISOR",
    "TO_WORKER",
    "Claim",
    "ClaimAnswer",
    "DrainRequest",
    "Failed",
    "ReplaceRequest",
    "Start",
    "Started",
    "ToSupervisor",
    "ToWorker",
    "UseECHKeys",
    "UseTicketKeys",
    "decode",
    "encode",
]

T_Message = TypeVar("T_Message", "ToWorker", "ToSupervisor")

#: The most octets of a message. The longest is Start, with the arguments of the application.
MAX_CONTROL_MESSAGE = 2**20

#: The length of a reason, in characters: it may be logged.
MAX_FAILURE_LENGTH = 500

#: The end of the year 9999, in milliseconds since 1970: a datetime has no later time.
MAX_TIME = 253_402_300_799_999


@dataclass(frozen=True, slots=True)
class Start:
    """To a worker, as the first message: the function to run, and the keys.

    Attributes:
        function: the function to call, as ``package.module:function``.
        arguments: its arguments after the :class:`Worker`.
        number: the number of the worker, from 0 on.
        listeners: the numbers of the listening descriptors, which the worker inherits.
        drain_timeout: the time to finish if the supervisor dies, in seconds.
        ticket_lifetime: the lifetime of a ticket, in seconds.
        ticket_keys: the first ticket keys.
        ech_keys: the first ECH keys, in PEM.
    """

    function: str
    arguments: list[Any] = field(repr=False)
    number: int
    listeners: list[int]
    drain_timeout: float
    ticket_lifetime: int
    ticket_keys: tuple[bytes, ...] = field(repr=False)
    ech_keys: tuple[bytes, ...] = field(repr=False)

    def body(self) -> bytes:
        """Encode the message."""
        fields = {
            "function": self.function,
            "arguments": self.arguments,
            "number": self.number,
            "listeners": self.listeners,
            "drain_timeout": self.drain_timeout,
            "ticket_lifetime": self.ticket_lifetime,
        }
        keys = UseTicketKeys(self.ticket_keys).body() + UseECHKeys(self.ech_keys).body()
        return opaque24(json.dumps(fields).encode()) + keys

    @classmethod
    def read(cls, reader: Reader) -> Start:
        """Decode the message. Only workers receive it, and they trust the supervisor."""
        fields = cast("dict[str, Any]", json.loads(reader.opaque24()))
        ticket_keys = UseTicketKeys.read(reader).keys
        return cls(**fields, ticket_keys=ticket_keys, ech_keys=UseECHKeys.read(reader).keys)


@dataclass(frozen=True, slots=True)
class UseTicketKeys:
    """To a worker: the first of these keys encrypts tickets, all decrypt them."""

    keys: tuple[bytes, ...] = field(repr=False)

    def body(self) -> bytes:
        """Encode the message."""
        return uint8(len(self.keys)) + b"".join(map(opaque8, self.keys))

    @classmethod
    def read(cls, reader: Reader) -> UseTicketKeys:
        """Decode the message."""
        return cls(tuple(reader.opaque8() for _ in range(reader.uint8())))


@dataclass(frozen=True, slots=True)
class UseECHKeys:
    """To a worker: the ECH keys, in PEM, the current one first."""

    keys: tuple[bytes, ...] = field(repr=False)

    def body(self) -> bytes:
        """Encode the message."""
        return uint8(len(self.keys)) + b"".join(map(opaque16, self.keys))

    @classmethod
    def read(cls, reader: Reader) -> UseECHKeys:
        """Decode the message."""
        return cls(tuple(reader.opaque16() for _ in range(reader.uint8())))


@dataclass(frozen=True, slots=True)
class DrainRequest:
    """To a worker: accept no more connections, and end within this time.

    Attributes:
        seconds: the time to finish.
        last: whether no other worker will accept the connections in the listening sockets' queues.
    """

    seconds: float
    last: bool

    def body(self) -> bytes:
        """Encode the message."""
        return uint32(int(self.seconds * 1000)) + uint8(self.last)

    @classmethod
    def read(cls, reader: Reader) -> DrainRequest:
        """Decode the message."""
        return cls(reader.uint32() / 1000, bool(reader.uint8()))


@dataclass(frozen=True, slots=True)
class Claim:
    """To the supervisor: claim a ClientHello; see :meth:`AntiReplayCache.claim`."""

    question: int
    identifier: bytes
    since: datetime.datetime
    until: datetime.datetime

    def body(self) -> bytes:
        """Encode the message. Rounded times make the claim stricter, never looser."""
        since = (self.since - EPOCH) // MILLISECOND
        until = -((EPOCH - self.until) // MILLISECOND)
        return uint32(self.question) + opaque8(self.identifier) + uint64(since) + uint64(until)

    @classmethod
    def read(cls, reader: Reader) -> Claim:
        """Decode the message."""
        return cls(reader.uint32(), reader.opaque8(1), _read_time(reader), _read_time(reader))


def _read_time(reader: Reader) -> datetime.datetime:
    milliseconds = reader.uint64()
    if milliseconds > MAX_TIME:
        raise reader.error("has a time after the year 9999")
    return EPOCH + milliseconds * MILLISECOND


@dataclass(frozen=True, slots=True)
class ClaimAnswer:
    """To a worker: whether its claim was the first of this ClientHello."""

    question: int
    first: bool

    def body(self) -> bytes:
        """Encode the message."""
        return uint32(self.question) + uint8(self.first)

    @classmethod
    def read(cls, reader: Reader) -> ClaimAnswer:
        """Decode the message."""
        return cls(reader.uint32(), reader.uint8() == 1)


@dataclass(frozen=True, slots=True)
class Started:
    """To the supervisor: this worker accepts connections."""

    def body(self) -> bytes:
        """Encode the message."""
        return b""

    @classmethod
    def read(cls, reader: Reader) -> Started:
        """Decode the message."""
        return cls()


@dataclass(frozen=True, slots=True)
class Failed:
    """To the supervisor: the reason why this worker ends."""

    reason: str

    def body(self) -> bytes:
        """Encode the message."""
        return opaque24(self.reason[:MAX_FAILURE_LENGTH].encode(errors="replace"))

    @classmethod
    def read(cls, reader: Reader) -> Failed:
        """Decode the message."""
        return cls(reader.opaque24().decode(errors="replace")[:MAX_FAILURE_LENGTH])


@dataclass(frozen=True, slots=True)
class ReplaceRequest:
    """To the supervisor: this worker received SIGTERM, so another should take its place."""

    def body(self) -> bytes:
        """Encode the message."""
        return b""

    @classmethod
    def read(cls, reader: Reader) -> ReplaceRequest:
        """Decode the message."""
        return cls()


ToWorker: TypeAlias = Start | UseTicketKeys | DrainRequest | ClaimAnswer | UseECHKeys
ToSupervisor: TypeAlias = Started | Failed | ReplaceRequest | Claim

#: The messages of each direction. The index of a class is its type on the wire.
TO_WORKER: tuple[type[ToWorker], ...] = (
    Start,
    UseTicketKeys,
    DrainRequest,
    ClaimAnswer,
    UseECHKeys,
)
TO_SUPERVISOR: tuple[type[ToSupervisor], ...] = (Started, Failed, ReplaceRequest, Claim)


def encode(message: ToWorker | ToSupervisor) -> bytes:
    """Encode a message with its type, without its length."""
    types: tuple[type[object], ...] = TO_WORKER if isinstance(message, ToWorker) else TO_SUPERVISOR
    return uint8(types.index(type(message))) + message.body()


def decode(octets: bytes, types: tuple[type[T_Message], ...]) -> T_Message:
    """Decode a message of one direction.

    Raises:
        ProtocolError: there is no such type, or the octets do not match it.
    """
    reader = Reader(octets, "control message")
    number = reader.uint8()
    if number >= len(types):
        raise reader.error(f"has the unknown type {number}")
    message = types[number].read(reader)
    reader.finish()
    return message
