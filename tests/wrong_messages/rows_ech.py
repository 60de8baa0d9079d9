"""Wrong messages about Encrypted Client Hello. The sections are those of RFC 9849."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from deviations import (
    Row,
    altered,
    body,
    but,
    cut_short,
    extension,
    extension_changed,
    extension_twice,
    one_bit_wrong,
    rows,
    with_extensions,
    without_extension,
    wrong_finished,
)
from scripted_ech import (
    KEY,
    OTHER_KEY,
    AcceptingRetryingServerPeer,
    AcceptingServerPeer,
    EncryptingClientPeer,
    EncryptingRetriedClientPeer,
    GreasedRetryingServerPeer,
    GreasedServerPeer,
    RejectingRetryingServerPeer,
    RejectingServerPeer,
)
from scripted_peer import AnyMessage, Deviation, Peer, credentials
from scripted_servers import RetryingServerPeer, ServerPeer

from trio_tlsx.errors import AlertDescription as A
from trio_tlsx.messages.ech import ECH_OUTER_EXTENSIONS, INNER_ECH, OuterECH, decode_ech
from trio_tlsx.messages.extensions import ExtensionType as E
from trio_tlsx.messages.handshake import Certificate, CertificateEntry

ECH = E.encrypted_client_hello
CONFIGS = OTHER_KEY.config_list
CONTENTS = OTHER_KEY.config.encoded[4:]
#: The configuration up to its cipher suites, and from maximum_name_length on.
KEY_CONFIG, REST = CONTENTS[:37], CONTENTS[37 + 2 + 4 * 6 :]


def config_list(contents: bytes) -> bytes:
    config = b"\xfe\x0d" + len(contents).to_bytes(2) + contents
    return len(config).to_bytes(2) + config


MALFORMED_CONFIGS: Mapping[str, bytes] = {
    "nothing": b"",
    "an-empty-list": b"\0\0",
    "half-a-length": b"\0",
    "cut-short": CONFIGS[:-1],
    "octets-behind": CONFIGS + b"\0",
    "half-a-configuration": b"\0\x05\xfe\x0d\0\x05\0",
    "contents-empty": config_list(b""),
    "contents-cut-short": config_list(CONTENTS[:-1]),
    "contents-and-octets-behind": config_list(CONTENTS + b"\0"),
    "no-public-key": config_list(b"\x07\0\x20\0\0" + CONTENTS[37:]),
    "no-suites": config_list(KEY_CONFIG + b"\0\0" + REST),
    "half-a-suite": config_list(KEY_CONFIG + b"\0\x06\0\1\0\1\0\1" + REST),
    "an-odd-length-of-suites": config_list(KEY_CONFIG + b"\0\x05\0\1\0\1\0" + REST),
    "no-public-name": config_list(KEY_CONFIG + b"\0\x04\0\1\0\1" + b"\x40" + b"\0" + b"\0\0"),
    "an-extension-cut-short": config_list(CONTENTS[:-2] + b"\0\4\0\1\0\1"),
    "an-extension-twice": config_list(CONTENTS[:-2] + b"\0\x08\0\1\0\0\0\1\0\0"),
    "half-an-unknown-version": b"\0\x08\xfe\x0e\0\x05data",
}


# Servers


def hello_retry_requests() -> Iterator[Row]:
    table = partial(rows, places=["hello_retry_request"])
    lengths = {f"confirmation-of-{n}-octets": extension(ECH, bytes(n)) for n in (0, 1, 7, 9, 16)}
    yield from table(
        section="6.1.4, 6.2",
        peers=[
            AcceptingRetryingServerPeer,
            RejectingRetryingServerPeer,
            GreasedRetryingServerPeer,
        ],
        deviations=lengths,
        alert=A.decode_error,
    )
    yield from table(
        section="5, RFC 9846 4.3",
        peers=[RetryingServerPeer],
        deviations={"unsolicited-confirmation": extension(ECH, bytes(8))},
        alert=A.unsupported_extension,
    )
    yield from table(
        section="RFC 9846 4.2.3",
        peers=[AcceptingRetryingServerPeer, GreasedRetryingServerPeer],
        deviations={"confirmation-twice": extension_twice(ECH, bytes(8))},
        alert=A.illegal_parameter,
    )


def server_hellos() -> Iterator[Row]:
    yield from rows(
        section="6.1.5",
        peers=[AcceptingRetryingServerPeer],
        places=["server_hello"],
        deviations={
            "without-confirmation": but(random=b"r" * 32),
            **{
                f"confirmation-wrong-in-octet-{n}": altered(
                    lambda m, n=n: replace(m, random=one_bit_wrong(m.random, n))
                )
                for n in (24, 28, 31)
            },
        },
        alert=A.illegal_parameter,
    )
    yield from rows(
        section="11.1, RFC 9846 4.3",
        peers=[AcceptingServerPeer, AcceptingRetryingServerPeer, GreasedServerPeer],
        places=["server_hello"],
        deviations={"with-encrypted_client_hello": extension(ECH, bytes(8))},
        alert=A.illegal_parameter,
    )
    yield from rows(
        section="6.1.2",
        peers=[RejectingServerPeer, RejectingRetryingServerPeer],
        places=["server_hello"],
        deviations={"selects-a-psk": extension(E.pre_shared_key, b"\0\0")},
        alert=A.unsupported_extension,
    )
    yield from rows(
        section="5, RFC 5246 7.4.1.4",
        peers=[GreasedServerPeer, RejectingServerPeer],
        places=["server_hello"],
        deviations={
            "of-tls-1.2-with-configurations": altered(
                lambda m: replace(
                    m, legacy_session_id_echo=b"", cipher_suite=0xC02B, extensions={ECH: CONFIGS}
                )
            )
        },
        alert=A.unsupported_extension,
    )


def encrypted_extensions() -> Iterator[Row]:
    table = partial(rows, places=["encrypted_extensions"])
    yield from table(
        section="5",
        peers=[AcceptingServerPeer, AcceptingRetryingServerPeer],
        deviations={
            "configurations-though-accepted": extension(ECH, CONFIGS),
            "the-same-configurations-though-accepted": extension(ECH, KEY.config_list),
        },
        alert=A.unsupported_extension,
    )
    yield from table(
        section="5, RFC 9846 4.3",
        peers=[ServerPeer, RetryingServerPeer],
        deviations={"unsolicited-configurations": extension(ECH, CONFIGS)},
        alert=A.unsupported_extension,
    )
    yield from table(
        section="6.1.6, 6.2",
        peers=[RejectingServerPeer, RejectingRetryingServerPeer, GreasedServerPeer],
        deviations={what: extension(ECH, octets) for what, octets in MALFORMED_CONFIGS.items()},
        alert=A.decode_error,
    )
    yield from table(
        section="6.1.7",
        peers=[RejectingServerPeer],
        deviations={
            "a-protocol-of-the-inner-hello": extension(
                E.application_layer_protocol_negotiation, b"\0\x03\x02h2"
            ),
            "early-data-of-the-inner-hello": extension(E.early_data, b""),
        },
        alert=A.unsupported_extension,
    )


def certified_as(certificate: Any) -> Deviation:
    """The certificate of the real name, where that of the public one has to come."""

    def deviation(peer: Peer, message: AnyMessage) -> None:
        peer.signer = certificate
        entries = tuple(CertificateEntry(der, {}) for der in certificate.der_chain)
        peer.send(Certificate(b"", entries))

    return deviation


def rejections() -> Iterator[Row]:
    peers = [RejectingServerPeer, RejectingRetryingServerPeer]
    table = partial(rows, section="6.1.7", peers=peers)
    yield from table(
        places=["certificate"],
        deviations={"of-the-real-name": certified_as(credentials)},
        alert=A.bad_certificate,
    )
    yield from table(
        places=["certificate"],
        deviations={"empty": but(certificate_list=())},
        alert=A.decode_error,
    )
    yield from table(
        places=["finished"],
        deviations={"one-bit-wrong": wrong_finished(0)},
        alert=A.decrypt_error,
    )


# Clients


def outer_hellos() -> Iterator[Row]:
    table = partial(
        rows,
        peers=[EncryptingClientPeer, EncryptingRetriedClientPeer],
        places=["client_hello"],
    )
    yield from table(
        section="7",
        deviations={
            "inner-from-the-network": extension(ECH, INNER_ECH),
            "unknown-type-2": extension(ECH, b"\x02"),
            "unknown-type-255": extension(ECH, b"\xff"),
        },
        alert=A.illegal_parameter,
    )
    yield from table(
        section="5",
        deviations={
            "ech-empty": extension(ECH, b""),
            "inner-with-content": extension(ECH, b"\x01\0"),
            "outer-without-fields": extension(ECH, b"\0"),
            "enc-cut-short": extension(ECH, b"\0\0\1\0\1\x05\0\x20"),
            "payload-empty": extension(ECH, b"\0\0\1\0\1\x05\0\0\0\0"),
            "payload-cut-short": extension_changed(ECH, lambda octets: octets[:-1]),
            "octets-behind-the-payload": extension_changed(ECH, lambda octets: octets + b"\0"),
        },
        alert=A.decode_error,
    )
    yield from table(
        section="RFC 9846 4.3",
        deviations={"ech-twice": extension_twice(ECH)},
        alert=A.illegal_parameter,
    )


def ech_changed(**fields: object) -> Deviation:
    """Change a field of an outer hello's encrypted_client_hello."""

    def change(octets: bytes) -> bytes:
        outer = decode_ech(octets)
        assert isinstance(outer, OuterECH)
        return replace(outer, **fields).encode()

    return extension_changed(ECH, change)


def second_outer_hellos() -> Iterator[Row]:
    table = partial(
        rows,
        section="7.1.1",
        peers=[EncryptingRetriedClientPeer],
        places=["second_client_hello"],
    )
    yield from table(deviations={"without-ech": without_extension(ECH)}, alert=A.missing_extension)
    other_id = KEY.config.config_id ^ 1
    yield from table(
        deviations={
            "inner-from-the-network": extension(ECH, INNER_ECH),
            "unknown-type": extension(ECH, b"\x02"),
            "another-id": ech_changed(config_id=other_id),
            "another-kdf": ech_changed(cipher_suite=(2, 1)),
            "another-aead": ech_changed(cipher_suite=(1, 3)),
            "another-enc": ech_changed(enc=KEY.config.public_key),
            "an-enc-of-one-octet": ech_changed(enc=b"\0"),
        },
        alert=A.illegal_parameter,
    )
    yield from table(
        deviations={
            "another-payload": ech_changed(payload=bytes(200)),
            "a-payload-shorter-than-a-tag": ech_changed(payload=b"\0"),
            "payload-cut-short-by-one": ech_changed_payload(lambda payload: payload[:-1]),
            "payload-with-a-wrong-bit": ech_changed_payload(one_bit_wrong),
            "another-outer-name": extension(E.server_name, b"\0\x0b\0\0\x08an.other"),
            "another-outer-random": but(random=b"X" * 32),
            "an-outer-extension-more": extension(0xABCD, b""),
        },
        alert=A.decrypt_error,
    )
    yield from table(deviations={"payload-empty": ech_changed(payload=b"")}, alert=A.decode_error)


def ech_changed_payload(change: Callable[[bytes], bytes]) -> Deviation:
    def changed(octets: bytes) -> bytes:
        outer = decode_ech(octets)
        assert isinstance(outer, OuterECH)
        return replace(outer, payload=change(outer.payload)).encode()

    return extension_changed(ECH, changed)


def taking(*codes: int) -> Deviation:
    """Take these extensions from the outer hello, and no others."""
    octets = b"".join(code.to_bytes(2) for code in codes)
    return taking_octets(bytes((len(octets),)) + octets)


def taking_octets(octets: bytes) -> Deviation:
    def change(message: Any) -> AnyMessage:
        own = {c: v for c, v in message.extensions.items() if c != ECH_OUTER_EXTENSIONS}
        return with_extensions(message, {**own, ECH_OUTER_EXTENSIONS: octets})

    return altered(change)


def inner_hellos() -> Iterator[Row]:
    peers = [EncryptingClientPeer, EncryptingRetriedClientPeer]
    places = ["inner_client_hello", "inner_second_client_hello"]
    table = partial(rows, peers=peers, places=places)
    yield from table(
        section="7.1",
        deviations={
            "without-ech": without_extension(ECH),
            "ech-of-an-outer-hello": extension(ECH, b"\0\0\1\0\1\x05\0\0\0\1x"),
            "ech-empty": extension(ECH, b""),
            "ech-with-content": extension(ECH, b"\1\0"),
            "without-versions": without_extension(E.supported_versions),
            "tls-1.2-too": extension(E.supported_versions, b"\x04\x03\x04\x03\x03"),
            "tls-1.2-alone": extension(E.supported_versions, b"\x02\x03\x03"),
            "ssl-3.0-too": extension(E.supported_versions, b"\x04\x03\x04\x03\0"),
        },
        alert=A.illegal_parameter,
    )
    yield from table(
        section="5.1",
        deviations={
            "a-session-id": but(legacy_session_id=b"id"),
            "padding-of-ones": body(lambda octets: octets + b"\1"),
            "padding-with-a-one-at-its-end": body(lambda octets: octets + bytes(99) + b"\1"),
            "takes-a-missing-extension": taking(0xABCD),
            "takes-an-extension-twice": taking(E.supported_groups, E.supported_groups),
            "takes-extensions-in-another-order": taking(
                E.signature_algorithms, E.supported_groups
            ),
            "takes-the-outer-ech": taking(ECH),
            "takes-the-list-itself": taking(ECH_OUTER_EXTENSIONS),
            "takes-what-it-has": taking(E.server_name),
            "takes-from-outer-extensions-twice": extension_twice(ECH_OUTER_EXTENSIONS),
        },
        alert=A.illegal_parameter,
    )
    yield from table(
        section="5.1",
        deviations={
            "cut-short": cut_short,
            "empty": body(lambda octets: b""),
            "nothing-but-zeros": body(lambda octets: bytes(len(octets))),
            "takes-nothing": taking_octets(b"\0"),
            "takes-half-an-extension": taking_octets(b"\x03\0\0\0"),
            "takes-more-than-there-is": taking_octets(b"\x04\0\x0a"),
            "octets-behind-what-it-takes": taking_octets(b"\x02\0\x0a\0"),
        },
        alert=A.decode_error,
    )


def changed_inner_hellos() -> Iterator[Row]:
    """The rules for any second ClientHello hold for the inner one."""
    table = partial(
        rows,
        section="7.1.1, RFC 9846 4.2.2",
        peers=[EncryptingRetriedClientPeer],
        places=["inner_second_client_hello"],
    )
    yield from table(
        deviations={
            "another-name": extension(E.server_name, b"\0\x0b\0\0\x08an.other"),
            "another-random": but(random=b"X" * 32),
            "another-protocol": extension(
                E.application_layer_protocol_negotiation, b"\0\x03\x02h3"
            ),
            "another-cookie": extension_changed(E.cookie, one_bit_wrong_at_the_end),
        },
        alert=A.illegal_parameter,
    )
    yield from table(
        deviations={"without-the-cookie": without_extension(E.cookie)},
        alert=A.missing_extension,
    )


def one_bit_wrong_at_the_end(octets: bytes) -> bytes:
    return one_bit_wrong(octets, -1)


ROWS = [
    *hello_retry_requests(),
    *server_hellos(),
    *encrypted_extensions(),
    *rejections(),
    *outer_hellos(),
    *second_outer_hellos(),
    *inner_hellos(),
    *changed_inner_hellos(),
]
