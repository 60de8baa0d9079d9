"""The structures of Encrypted Client Hello (RFC 9849 4, 5)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeAlias

from ..errors import AlertDescription, ProtocolError
from .codec import Reader, opaque8, opaque16, split_uint16s, uint8, uint16, uint16s
from .extensions import Extensions, ExtensionType, decode_extensions, encode_extensions
from .handshake import RANDOM_LENGTH, ClientHello

__all__ = [
    "ECH_OUTER_EXTENSIONS",
    "INNER_ECH",
    "ECHConfig",
    "OuterECH",
    "decode_config_list",
    "decode_ech",
    "decode_inner_hello",
    "encode_config_list",
    "encode_inner_hello",
    "is_public_name",
]

_E = ExtensionType

ECH_VERSION = 0xFE0D
ECH_OUTER_EXTENSIONS = 0xFD00
OUTER, INNER = 0, 1  # an ECHClientHelloType

#: RFC 9849 4.2: the bit of an extension that a client must know to use the configuration.
MANDATORY = 0x8000

#: RFC 9849 6.1.3: an encoded inner hello has a multiple of this many bytes.
PADDING_UNIT = 32
#: The length of a server_name extension without the name, in bytes.
SERVER_NAME_OVERHEAD = 9

#: The extensions that an inner hello takes from the outer one if both have the same (RFC 9849
#: 5.1). They follow each other in both; after a gap none is taken. None has a value that depends
#: on the server's name, so the length of the encrypted hello does not disclose it (10.5).
SHARED_EXTENSIONS = frozenset(
    {
        _E.supported_versions,
        _E.max_fragment_length,
        _E.supported_groups,
        _E.signature_algorithms,
        _E.status_request,
        _E.signed_certificate_timestamp,
        _E.compress_certificate,
        _E.record_size_limit,
        _E.key_share,
        _E.psk_key_exchange_modes,
    }
)

#: The code points of a KDF and an AEAD of HPKE.
SymmetricSuite: TypeAlias = tuple[int, int]

#: RFC 1035 2.3.4 in the text form: no DNS name is longer, though a public_name may have 255 bytes.
MAX_PUBLIC_NAME_LENGTH = 253

_LDH_LABEL = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")


# Configurations


@dataclass(frozen=True, slots=True)
class ECHConfig:
    """An ECHConfig (RFC 9849 4).

    Attributes:
        config_id: names the server's key.
        kem_id: the KEM of HPKE.
        public_key: the server's key, as the KEM encodes it.
        cipher_suites: the code points of KDFs and AEADs that the server has.
        maximum_name_length: the longest name to pad to, in bytes; 0 if it is not known.
        public_name: the name in the outer hello.
        extensions: the extensions of the configuration.
        encoded: the whole structure, which the encryption is bound to.
    """

    config_id: int
    kem_id: int
    public_key: bytes
    cipher_suites: tuple[SymmetricSuite, ...]
    maximum_name_length: int
    public_name: str
    extensions: Extensions
    encoded: bytes

    @classmethod
    def create(
        cls,
        config_id: int,
        kem_id: int,
        public_key: bytes,
        cipher_suites: Iterable[SymmetricSuite],
        maximum_name_length: int,
        public_name: str,
    ) -> ECHConfig:
        """Make a configuration without extensions."""
        suites = tuple(cipher_suites)
        contents = (
            uint8(config_id)
            + uint16(kem_id)
            + opaque16(public_key)
            + opaque16(b"".join(map(uint16s, suites)))
            + uint8(maximum_name_length)
            + opaque8(public_name.encode("ascii"))
            + encode_extensions({})
        )
        encoded = uint16(ECH_VERSION) + opaque16(contents)
        return cls(
            config_id,
            kem_id,
            public_key,
            suites,
            maximum_name_length,
            public_name,
            {},
            encoded,
        )

    @property
    def has_unknown_mandatory_extension(self) -> bool:
        """Whether a client must ignore this configuration. No extension is supported (4.2)."""
        return any(extension & MANDATORY for extension in self.extensions)


def decode_config_list(octets: bytes) -> tuple[ECHConfig, ...]:
    """Decode an ECHConfigList; configurations of other versions are left out (RFC 9849 4).

    Raises:
        ProtocolError: it is malformed (``decode_error``).
    """
    what = "ECHConfigList"
    whole = Reader(octets, what)
    entries = Reader(whole.opaque16(minimum=4), what)
    whole.finish()
    configs: list[ECHConfig] = []
    while entries:
        version, contents = entries.uint16(), entries.opaque16()
        if version == ECH_VERSION:
            configs.append(_decode_contents(contents))
    return tuple(configs)


def _decode_contents(contents: bytes) -> ECHConfig:
    reader = Reader(contents, "ECHConfig")
    config_id, kem_id = reader.uint8(), reader.uint16()
    public_key = reader.opaque16(minimum=1)
    codes = split_uint16s(reader.opaque16(minimum=4), "ECHConfig")
    if len(codes) % 2:
        raise reader.error("has half a cipher suite")
    maximum_name_length = reader.uint8()
    public_name = reader.opaque8(minimum=1)
    extensions = reader.opaque16()
    reader.finish()
    return ECHConfig(
        config_id,
        kem_id,
        public_key,
        tuple(zip(codes[::2], codes[1::2], strict=True)),
        maximum_name_length,
        # RFC 9849 6.1.7 restricts it to ASCII; any other name is not used.
        public_name.decode("ascii", "backslashreplace"),
        _decode_config_extensions(extensions),
        uint16(ECH_VERSION) + opaque16(contents),
    )


def _decode_config_extensions(octets: bytes) -> Extensions:
    try:
        return decode_extensions(octets, "ECHConfig")
    except ProtocolError as error:
        # RFC 9849 4.2 forbids an extension twice; 6.1.6 has one alert for all that is invalid.
        raise ProtocolError(str(error), AlertDescription.decode_error) from error


def encode_config_list(configs: Iterable[ECHConfig]) -> bytes:
    """Encode an ECHConfigList."""
    return opaque16(b"".join(config.encoded for config in configs))


def is_public_name(name: str) -> bool:
    """Whether a client may use this public_name: a host name, and no address (RFC 9849 6.1.7)."""
    if len(name) > MAX_PUBLIC_NAME_LENGTH:
        return False
    labels = name.split(".")
    return all(map(_LDH_LABEL.fullmatch, labels)) and not _NUMBER.fullmatch(labels[-1])


# The extension of a ClientHello


@dataclass(frozen=True, slots=True)
class OuterECH:
    """The encrypted_client_hello of an outer ClientHello (RFC 9849 5)."""

    cipher_suite: SymmetricSuite
    config_id: int
    enc: bytes
    payload: bytes

    def encode(self) -> bytes:
        return (
            uint8(OUTER)
            + uint16s(self.cipher_suite)
            + uint8(self.config_id)
            + opaque16(self.enc)
            + opaque16(self.payload)
        )

    def additional_data(self, outer: ClientHello) -> bytes:
        """Return ClientHelloOuterAAD: the outer hello, with zeros for the payload (5.2)."""
        blank = replace(self, payload=bytes(len(self.payload))).encode()
        extensions = {**outer.extensions, _E.encrypted_client_hello: blank}
        return replace(outer, extensions=extensions).encode()


#: The encrypted_client_hello of an inner ClientHello.
INNER_ECH = uint8(INNER)


def decode_ech(octets: bytes) -> OuterECH | None:
    """Decode the encrypted_client_hello of a ClientHello; None for that of an inner one.

    Raises:
        ProtocolError: it is malformed (``decode_error``), or of an unknown type
            (``illegal_parameter``, RFC 9849 7).
    """
    reader = Reader(octets, "encrypted_client_hello")
    kind = reader.uint8()
    if kind == INNER:
        reader.finish()
        return None
    if kind != OUTER:
        raise ProtocolError(f"the peer's encrypted_client_hello is of the unknown type {kind}")
    outer = OuterECH(
        (reader.uint16(), reader.uint16()),
        reader.uint8(),
        reader.opaque16(),
        reader.opaque16(minimum=1),
    )
    reader.finish()
    return outer


# The inner ClientHello


def encode_inner_hello(inner: ClientHello, outer: ClientHello, maximum_name_length: int) -> bytes:
    """Encode an EncodedClientHelloInner with its padding (RFC 9849 5.1, 6.1.3).

    Args:
        outer: the hello that it goes into, for the extensions that they share.
        maximum_name_length: the name length of the configuration, in bytes.
    """
    shared: list[int] = []
    for code, body in inner.extensions.items():
        if code in SHARED_EXTENSIONS and outer.extensions.get(code) == body:
            shared.append(code)
        elif shared:
            break  # they follow each other
    extensions: dict[int, bytes] = {}
    for code, body in inner.extensions.items():
        if code not in shared:
            extensions[code] = body
        elif code == shared[0]:
            extensions[ECH_OUTER_EXTENSIONS] = opaque8(uint16s(shared))
    encoded = replace(inner, legacy_session_id=b"", extensions=extensions).encode()
    name = inner.extensions.get(_E.server_name)
    name_length = 0 if name is None else len(name) + 4
    padded_name = maximum_name_length + SERVER_NAME_OVERHEAD
    padding = max(0, padded_name - name_length)
    padding += -(len(encoded) + padding) % PADDING_UNIT
    return encoded + bytes(padding)


def decode_inner_hello(encoded: bytes, outer: ClientHello) -> ClientHello:
    """Decode an EncodedClientHelloInner (RFC 9849 5.1).

    Args:
        outer: the hello that it came in, for the extensions that they share.

    Raises:
        ProtocolError: it is malformed (``decode_error``), or violates one of the rules
            (``illegal_parameter``).
    """
    reader = Reader(encoded, "inner ClientHello")
    reader.take(2 + RANDOM_LENGTH)
    for read_vector in (reader.opaque8, reader.opaque16, reader.opaque8, reader.opaque16):
        read_vector()
    padding = reader.rest()
    if any(padding):
        raise ProtocolError("the padding of the peer's inner ClientHello is not zero")
    inner = ClientHello.decode(encoded[: len(encoded) - len(padding)])
    if inner.legacy_session_id:
        raise ProtocolError("the peer's inner ClientHello has a legacy_session_id of its own")
    extensions = _with_shared_extensions(inner.extensions, outer.extensions)
    return replace(inner, legacy_session_id=outer.legacy_session_id, extensions=extensions)


def _with_shared_extensions(inner: Extensions, outer: Extensions) -> Extensions:
    listed = inner.get(ECH_OUTER_EXTENSIONS)
    if listed is None:
        return inner
    what = "ech_outer_extensions"
    reader = Reader(listed, what)
    codes = split_uint16s(reader.opaque8(minimum=2), what)
    reader.finish()
    extensions: dict[int, bytes] = {}
    for code, body in inner.items():
        additions = _shared(codes, outer) if code == ECH_OUTER_EXTENSIONS else {code: body}
        if not extensions.keys().isdisjoint(additions):
            raise ProtocolError("the peer's inner ClientHello contains an extension twice")
        extensions |= additions
    return extensions


def _shared(codes: Iterable[int], outer: Extensions) -> dict[int, bytes]:
    """Return these extensions of the outer hello, where they must be in the same order.

    One pass over the outer hello finds each at most once, so that a client cannot make a large
    hello of a small one.
    """
    shared: dict[int, bytes] = {}
    remaining = iter(outer.items())
    for code in codes:
        if code in (_E.encrypted_client_hello, ECH_OUTER_EXTENSIONS):
            raise ProtocolError("the peer's ech_outer_extensions names an extension of ECH")
        for found, body in remaining:
            if found == code:
                shared[code] = body
                break
        else:
            raise ProtocolError(
                f"the peer's ech_outer_extensions names {code:#06x}, which the outer ClientHello "
                "does not have at this place"
            )
    return shared
