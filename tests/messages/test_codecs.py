"""Encoding and decoding of messages; malformed messages raise ProtocolError."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from trio_tlsx.errors import ProtocolError
from trio_tlsx.messages import certificate_types, codec, ticket_request
from trio_tlsx.messages import extensions as ext
from trio_tlsx.messages.handshake import (
    Certificate,
    CertificateEntry,
    CertificateRequest,
    CertificateVerify,
    ClientHello,
    CompressedCertificate,
    EncryptedExtensions,
    EndOfEarlyData,
    Finished,
    HandshakeType,
    KeyUpdate,
    Message,
    NewSessionTicket,
    ServerHello,
    encode_message,
)
from trio_tlsx.messages.handshake12 import (
    Certificate12,
    CertificateRequest12,
    CertificateStatus,
    ClientKeyExchange,
    HelloRequest,
    NewSessionTicket12,
    RawCertificate12,
    ServerHelloDone,
    ServerKeyExchange,
)

uint8s, uint16s, uint24s, uint32s = (st.integers(0, 2**bits - 1) for bits in (8, 16, 24, 32))
short = st.binary(max_size=40)
some = st.binary(min_size=1, max_size=40)
randoms = st.binary(min_size=32, max_size=32)
session_ids = st.binary(max_size=32)
extension_blocks = st.dictionaries(uint16s, short, max_size=5)

MESSAGES: dict[type[Message], st.SearchStrategy[Message]] = {
    ClientHello: st.builds(
        ClientHello,
        uint16s,
        randoms,
        session_ids,
        st.lists(uint16s, min_size=1, max_size=9).map(tuple),
        some,
        extension_blocks,
    ),
    ServerHello: st.builds(
        ServerHello, uint16s, randoms, session_ids, uint16s, uint8s, extension_blocks
    ),
    EncryptedExtensions: st.builds(EncryptedExtensions, extension_blocks),
    CertificateRequest: st.builds(CertificateRequest, short, extension_blocks),
    Certificate: st.builds(
        Certificate,
        short,
        st.lists(st.builds(CertificateEntry, some, extension_blocks), max_size=3).map(tuple),
    ),
    CertificateVerify: st.builds(CertificateVerify, uint16s, short),
    CompressedCertificate: st.builds(CompressedCertificate, uint16s, uint24s, some),
    EndOfEarlyData: st.builds(EndOfEarlyData),
    Finished: st.builds(Finished, short),
    NewSessionTicket: st.builds(NewSessionTicket, uint32s, uint32s, short, some, extension_blocks),
    KeyUpdate: st.builds(KeyUpdate, st.booleans()),
    # Those that TLS 1.2 has for itself.
    HelloRequest: st.builds(HelloRequest),
    Certificate12: st.builds(Certificate12, st.lists(some, max_size=3).map(tuple)),
    RawCertificate12: st.builds(RawCertificate12, short),
    CertificateStatus: st.builds(CertificateStatus, some),
    ServerKeyExchange: st.builds(ServerKeyExchange, uint16s, some, uint16s, short),
    CertificateRequest12: st.builds(
        CertificateRequest12,
        some,
        st.lists(uint16s, min_size=1, max_size=9).map(tuple),
        st.lists(some, max_size=3).map(tuple),
    ),
    ServerHelloDone: st.builds(ServerHelloDone),
    ClientKeyExchange: st.builds(ClientKeyExchange, some),
    NewSessionTicket12: st.builds(NewSessionTicket12, uint32s, short),
}

EMPTY_MESSAGES = (EndOfEarlyData, HelloRequest, ServerHelloDone)

message_types = pytest.mark.parametrize("message_type", MESSAGES, ids=lambda m: m.__name__)
quick = settings(deadline=None, max_examples=30)


def test_every_message_type_has_an_example() -> None:
    without_class = {HandshakeType.message_hash}
    assert {m.handshake_type for m in MESSAGES} == set(HandshakeType) - without_class


@message_types
@quick
@given(data=st.data())
def test_messages_decode_to_what_was_encoded(
    message_type: type[Message], data: st.DataObject
) -> None:
    message = data.draw(MESSAGES[message_type])
    octets = encode_message(message)
    assert octets[0] == message.handshake_type
    assert int.from_bytes(octets[1:4]) == len(octets) - 4
    assert message_type.decode(octets[4:]) == message


@message_types
@quick
@given(data=st.data())
def test_damaged_messages_are_rejected_or_encode_to_the_same_octets(
    message_type: type[Message], data: st.DataObject
) -> None:
    """Whatever is accepted is written again as it was: no octet goes by without a meaning."""
    damaged = data.draw(damage(data.draw(MESSAGES[message_type]).encode()) | short)
    try:
        message = message_type.decode(damaged)
    except ProtocolError:
        return
    # The hellos of older versions may end before the extensions.
    may_lack_extensions = message_type in (ClientHello, ServerHello)
    assert message.encode() in {damaged, damaged + b"\0\0" if may_lack_extensions else damaged}


@message_types
@quick
@given(data=st.data())
def test_messages_of_a_wrong_length_are_rejected(
    message_type: type[Message], data: st.DataObject
) -> None:
    if message_type is Finished:
        return  # its length is for the one who knows the hash to check
    message = data.draw(MESSAGES[message_type])
    octets = message.encode()
    with pytest.raises(ProtocolError):
        message_type.decode(octets + data.draw(some))
    if message_type in EMPTY_MESSAGES:
        return  # nothing is shorter
    cut = octets[: data.draw(st.integers(0, len(octets) - 1))]
    if isinstance(message, ClientHello | ServerHello):
        # Those of older versions may end before the extensions.
        assume(octets != cut + ext.encode_extensions(message.extensions))
    with pytest.raises(ProtocolError):
        message_type.decode(cut)


def damage(octets: bytes) -> st.SearchStrategy[bytes]:
    """A few octets replaced, left out or added."""

    def apply(edits: list[tuple[int, int, bytes]]) -> bytes:
        damaged = octets
        for start, length, replacement in edits:
            damaged = damaged[:start] + replacement + damaged[start + length :]
        return damaged

    edit = st.tuples(
        st.integers(0, len(octets)), st.integers(0, 2), st.binary(min_size=0, max_size=2)
    )
    return st.lists(edit, min_size=1, max_size=3).map(apply)


# Extensions


@dataclass(frozen=True)
class Codec:
    """How the body of an extension is written and read."""

    values: st.SearchStrategy[Any]
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]


host_names = st.lists(st.sampled_from(b"az09.-"), min_size=1, max_size=40).map(bytes)

CODECS = {
    "server_name": Codec(host_names, ext.encode_server_name, ext.decode_server_name),
    "uint16_list": Codec(
        st.lists(uint16s, min_size=1, max_size=9).map(tuple),
        ext.encode_uint16_list,
        lambda octets: ext.decode_uint16_list(octets, "supported_groups"),
    ),
    "uint16": Codec(
        uint16s, codec.uint16, lambda octets: ext.decode_uint16(octets, "record_size_limit")
    ),
    "max_fragment_length": Codec(
        st.sampled_from(list(ext.MAX_FRAGMENT_LENGTHS.values())),
        lambda length: codec.uint8(length.bit_length() - 9),
        ext.decode_max_fragment_length,
    ),
    "certificate_status": Codec(
        some, ext.encode_certificate_status, ext.decode_certificate_status
    ),
    "supported_versions": Codec(
        st.lists(uint16s, min_size=1, max_size=9).map(tuple),
        ext.encode_supported_versions,
        ext.decode_supported_versions,
    ),
    "alpn": Codec(
        st.lists(some, min_size=1, max_size=4).map(tuple), ext.encode_alpn, ext.decode_alpn
    ),
    "key_share_entry": Codec(
        st.tuples(uint16s, some),
        lambda entry: ext.encode_key_share_entry(*entry),
        ext.decode_key_share_entry,
    ),
    "key_shares": Codec(
        st.dictionaries(uint16s, some, max_size=4), ext.encode_key_shares, ext.decode_key_shares
    ),
    "cookie": Codec(some, ext.encode_cookie, ext.decode_cookie),
    "max_early_data_size": Codec(uint32s, codec.uint32, ext.decode_max_early_data_size),
    "psk_key_exchange_modes": Codec(some, codec.opaque8, ext.decode_psk_key_exchange_modes),
    "certificate_authorities": Codec(
        st.lists(some, min_size=1, max_size=4).map(tuple),
        ext.encode_certificate_authorities,
        ext.decode_certificate_authorities,
    ),
    "compression_algorithms": Codec(
        st.lists(uint16s, min_size=1, max_size=4, unique=True).map(tuple),
        ext.encode_compression_algorithms,
        ext.decode_compression_algorithms,
    ),
    "certificate_types": Codec(
        st.lists(uint8s, min_size=2, max_size=4).map(bytes),
        certificate_types.encode_certificate_types,
        lambda octets: ext.decode_certificate_types(octets, "client_certificate_type"),
    ),
    "certificate_type": Codec(
        uint8s,
        certificate_types.encode_certificate_type,
        lambda octets: ext.decode_certificate_type(octets, "client_certificate_type"),
    ),
    "ticket_request": Codec(
        st.tuples(uint8s, uint8s),
        lambda counts: ticket_request.encode_ticket_request(*counts),
        ext.decode_ticket_request,
    ),
    "expected_tickets": Codec(
        uint8s, ticket_request.encode_expected_tickets, ext.decode_expected_tickets
    ),
    "timestamps": Codec(
        st.lists(some, min_size=1, max_size=4).map(tuple),
        ext.encode_timestamps,
        ext.decode_timestamps,
    ),
}

codecs = pytest.mark.parametrize("name", CODECS)


def test_every_extension_codec_has_an_example() -> None:
    decoders = {name for name in vars(ext) if name.startswith("decode_")} - {"decode_extensions"}
    assert decoders == {f"decode_{name}" for name in CODECS}


@codecs
@quick
@given(data=st.data())
def test_extensions_decode_to_what_was_encoded(name: str, data: st.DataObject) -> None:
    codec = CODECS[name]
    value = data.draw(codec.values)
    assert codec.decode(codec.encode(value)) == value


@codecs
@quick
@given(data=st.data())
def test_damaged_extensions_are_rejected_or_encode_to_the_same_octets(
    name: str, data: st.DataObject
) -> None:
    codec = CODECS[name]
    damaged = data.draw(damage(codec.encode(data.draw(codec.values))) | short)
    try:
        value = codec.decode(damaged)
    except ProtocolError:
        return
    assert codec.encode(value) == damaged


@codecs
@quick
@given(data=st.data())
def test_extensions_of_a_wrong_length_are_rejected(name: str, data: st.DataObject) -> None:
    codec = CODECS[name]
    octets = codec.encode(data.draw(codec.values))
    with pytest.raises(ProtocolError):
        codec.decode(octets + data.draw(some))
    with pytest.raises(ProtocolError):
        codec.decode(octets[: data.draw(st.integers(0, len(octets) - 1))])


@given(extension_blocks)
@quick
def test_extension_blocks_keep_their_order(extensions: dict[int, bytes]) -> None:
    block = ext.encode_extensions(extensions)
    assert int.from_bytes(block[:2]) == len(block) - 2
    decoded = ext.decode_extensions(block[2:], "ClientHello")
    assert list(decoded.items()) == list(extensions.items())


@given(extension_blocks, uint16s, short, short)
@quick
def test_duplicate_extensions_are_rejected(
    extensions: dict[int, bytes], code: int, one: bytes, other: bytes
) -> None:
    twice = [*((c, b) for c, b in extensions.items() if c != code), (code, one), (code, other)]
    block = b"".join(codec.uint16(c) + codec.opaque16(body) for c, body in twice)
    with pytest.raises(ProtocolError, match="twice"):
        ext.decode_extensions(block, "ClientHello")


def test_vectors_that_are_too_long_are_not_encoded() -> None:
    """A length that its field cannot hold is never cut down to one that it can."""
    for write, length in ((codec.opaque8, 2**8), (codec.opaque16, 2**16), (codec.opaque24, 2**24)):
        with pytest.raises(OverflowError):
            write(bytes(length))
        assert len(write(bytes(length - 1))) > length - 1


@pytest.mark.parametrize(
    ("count", "taken", "left"), [(2, b"ab", b"cd"), (9, b"abcd", b""), (None, b"abcd", b"")]
)
def test_bytes_are_taken_from_the_front(count: int | None, taken: bytes, left: bytes) -> None:
    buffer = bytearray(b"abcd")
    assert codec.take_bytes(buffer, count) == taken
    assert buffer == left
    buffer += b"x"  # no view of it is left


def test_server_key_exchange_has_a_named_curve() -> None:
    """RFC 8422 5.4: the explicit curve types are gone."""
    octets = ServerKeyExchange(0x001D, bytes(32), 0x0403, b"signature").encode()
    with pytest.raises(ProtocolError, match="curve type 1"):
        ServerKeyExchange.decode(b"\x01" + octets[1:])
