"""Deviations: a wrong action of a scripted peer at one step of its script."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from scripted_clients import AnyPeer
from scripted_peer import AnyMessage, Deviation, Peer, header
from scripted_peers12 import AnyPeer12

from trio_tlsx.errors import AlertDescription
from trio_tlsx.messages.extensions import Extensions
from trio_tlsx.messages.handshake import (
    MESSAGE_HEADER_LENGTH,
    Certificate,
    CertificateEntry,
    CertificateVerify,
    Finished,
    encode_message,
)


@dataclass(frozen=True)
class Row:
    """A wrong message, and what has to come of it.

    Attributes:
        section: of RFC 9846, where it says so.
        peer: who plays; the engine has the other role.
        place: the step of the script at which the peer deviates.
    """

    section: str
    peer: type[AnyPeer | AnyPeer12]
    place: str
    what: str
    deviation: Deviation
    alert: AlertDescription

    @property
    def name(self) -> str:
        return f"{self.peer.__name__}-{self.place}-{self.what}"


class Repeated(dict[int, bytes]):
    """Extensions of which one is written twice."""

    def __init__(self, extensions: Extensions, code: int) -> None:
        super().__init__(extensions)
        self._code = code

    def items(self) -> Any:
        for code, body in super().items():
            yield code, body
            if code == self._code:
                yield code, body


# Whole messages


def missing(peer: Peer, message: AnyMessage) -> None:
    """Go on as if it had been sent."""


def doubled(peer: Peer, message: AnyMessage) -> None:
    peer.send(message)
    peer.record(encode_message(message))  # which the engine refuses, so it has no part in the keys


def doubled_in_one_record(peer: Peer, message: AnyMessage) -> None:
    peer.send(message, message)


def instead(*others: AnyMessage | bytes) -> Deviation:
    return lambda peer, message: peer.send(*others)


def before(*others: AnyMessage | bytes) -> Deviation:
    def deviation(peer: Peer, message: AnyMessage) -> None:
        peer.send(*others)
        peer.send(message)

    return deviation


def along_with(*others: AnyMessage | bytes) -> Deviation:
    """In the same record, behind it."""
    return lambda peer, message: peer.send(message, *others)


# Their octets


def body(change: Callable[[bytes], bytes]) -> Deviation:
    """Change what is behind the header, which tells the length that comes out."""

    def deviation(peer: Peer, message: AnyMessage) -> None:
        changed = change(encode_message(message)[MESSAGE_HEADER_LENGTH:])
        peer.send(header(message.handshake_type, len(changed)) + changed)

    return deviation


empty = body(lambda octets: b"")
cut_short = body(lambda octets: octets[:-1])
cut_in_half = body(lambda octets: octets[: len(octets) // 2])
only_one_octet = body(lambda octets: octets[:1])
trailing = body(lambda octets: octets + b"\0")


def announced(length: int) -> Deviation:
    """Only the header, and that with this length."""
    return lambda peer, message: peer.send(header(message.handshake_type, length))


# Their fields


def but(**fields: Any) -> Deviation:
    return lambda peer, message: peer.send(replace(message, **fields))


def altered(change: Callable[[Any], AnyMessage]) -> Deviation:
    return lambda peer, message: peer.send(change(message))


def extensions_of(message: Any) -> dict[int, bytes]:
    if isinstance(message, Certificate):
        return dict(message.certificate_list[0].extensions)
    return dict(message.extensions)


def with_extensions(message: Any, extensions: Extensions) -> AnyMessage:
    if isinstance(message, Certificate):
        first, *others = message.certificate_list
        entry = CertificateEntry(first.cert_data, extensions)
        return replace(message, certificate_list=(entry, *others))
    return replace(message, extensions=extensions)


def extension(code: int, octets: bytes) -> Deviation:
    """Add it, or have it say something else."""
    return altered(lambda m: with_extensions(m, {**extensions_of(m), code: octets}))


def extension_first(code: int, octets: bytes) -> Deviation:
    return altered(lambda m: with_extensions(m, {code: octets, **extensions_of(m)}))


def without_extension(code: int) -> Deviation:
    def change(message: Any) -> AnyMessage:
        rest = {c: octets for c, octets in extensions_of(message).items() if c != code}
        return with_extensions(message, rest)

    return altered(change)


def extension_twice(code: int, octets: bytes | None = None) -> Deviation:
    def change(message: Any) -> AnyMessage:
        extensions = extensions_of(message)
        if octets is not None:
            extensions[code] = octets
        return with_extensions(message, Repeated(extensions, code))

    return altered(change)


def extension_changed(code: int, change: Callable[[bytes], bytes]) -> Deviation:
    return altered(
        lambda m: with_extensions(m, {**extensions_of(m), code: change(extensions_of(m)[code])})
    )


def one_bit_wrong(octets: bytes, position: int = 0) -> bytes:
    changed = bytearray(octets)
    changed[position] ^= 1
    return bytes(changed)


def wrong_finished(position: int) -> Deviation:
    def change(message: Any) -> AnyMessage:
        assert isinstance(message, Finished)
        return Finished(one_bit_wrong(message.verify_data, position))

    return altered(change)


def signed(sign: Callable[[Peer], CertificateVerify]) -> Deviation:
    return lambda peer, message: peer.send(sign(peer))


# Records


def record(content: bytes, content_type: int, padding: int = 0) -> Deviation:
    """Another record, then the message."""

    def deviation(peer: Peer, message: AnyMessage) -> None:
        peer.record(content, content_type, padding)
        peer.send(message)

    return deviation


def octets(raw: bytes) -> Deviation:
    """Octets as they are, then the message."""

    def deviation(peer: Peer, message: AnyMessage) -> None:
        peer.octets(raw)
        peer.send(message)

    return deviation


def interrupted_by(content: bytes, content_type: int) -> Deviation:
    """The message in two records, and another record between them."""

    def deviation(peer: Peer, message: AnyMessage) -> None:
        whole = encode_message(message)
        peer.transcript.add(whole)
        peer.record(whole[:3])
        peer.record(content, content_type)
        peer.record(whole[3:])

    return deviation


def rows(
    section: str,
    peers: Iterable[Any],
    places: Iterable[str],
    deviations: Mapping[str, Deviation],
    alert: AlertDescription,
) -> Iterator[Row]:
    """A row for each deviation at each of these places of each peer's script."""
    for place in places:
        for peer in peers:
            if place in peer.places:
                for what, deviation in deviations.items():
                    yield Row(section, peer, place, what, deviation, alert)
