"""Certificates that ``cryptography`` reads only in part, or only with a warning."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import trio
import trio.testing
from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from trio_tlsx import (
    AlertDescription,
    AlertReceived,
    CertificateError,
    ClientConfig,
    ConfigError,
    Credentials,
    Peer,
    ServerConfig,
    TLSStream,
    TrustStore,
    check_stapled_ocsp,
)
from trio_tlsx.cli.report import certificate_facts
from trio_tlsx.testing import CA, credentials_to_pem, memory_tls_pair

NAME = "test.example"

KEY_USAGE = b"\x06\x03\x55\x1d\x0f"
SUBJECT_ALTERNATIVE_NAME = b"\x06\x03\x55\x1d\x11"
P_256 = bytes.fromhex("06082a8648ce3d030107")


@pytest.fixture(scope="module")
def ca() -> CA:
    return CA()


@pytest.fixture(scope="module")
def leaf(ca: CA) -> Credentials:
    return ca.issue(NAME)


def negative_serial_number(leaf: Credentials) -> bytes:
    """RFC 5280 4.1.2.2 forbids it, and ``cryptography`` warns of it: an error here."""
    [der] = leaf.der_chain
    number = leaf.chain[0].serial_number
    serial = number.to_bytes(number.bit_length() // 8 + 1)  # as DER has it: not always 20 octets
    return der.replace(serial, bytes((serial[0] | 0x80,)) + serial[1:])


def subject_that_is_no_text(leaf: Credentials) -> bytes:
    [der] = leaf.der_chain
    common_name = b"\x0c" + bytes((len(NAME),)) + NAME.encode()
    return der.replace(common_name, common_name[:-1] + b"\xff")


def extension_twice(leaf: Credentials) -> bytes:
    [der] = leaf.der_chain
    return der.replace(KEY_USAGE, SUBJECT_ALTERNATIVE_NAME)


def unknown_curve(leaf: Credentials) -> bytes:
    [der] = leaf.der_chain
    return der.replace(P_256, P_256[:-1] + b"\x7f")


Alter: TypeAlias = Callable[[Credentials], bytes]


async def broken(stream: TLSStream[Any], into: list[BaseException | None]) -> None:
    with pytest.raises(trio.BrokenResourceError) as failure:
        await stream.receive_some()
    into.append(failure.value.__cause__)


def altered(leaf: Credentials, alter: Alter) -> Credentials:
    odd = Credentials(leaf.chain, leaf.signer)
    odd.der_chain = (alter(leaf),)
    return odd


@pytest.mark.parametrize(
    "alter", [negative_serial_number, subject_that_is_no_text, extension_twice]
)
async def test_unreadable_certificate_of_a_peer_is_rejected(
    ca: CA, leaf: Credentials, alter: Alter
) -> None:
    client, server = memory_tls_pair(
        ClientConfig(trust=ca.trust), ServerConfig(credentials=altered(leaf, alter))
    )
    errors: list[BaseException | None] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(broken, client, errors)
        nursery.start_soon(broken, server, errors)
    [ours] = [error for error in errors if isinstance(error, CertificateError)]
    [theirs] = [error for error in errors if isinstance(error, AlertReceived)]
    assert ours.alert is theirs.alert is AlertDescription.bad_certificate


@pytest.mark.parametrize("alter", [subject_that_is_no_text, extension_twice])
async def test_unreadable_certificate_with_insecure_skip_verification(
    leaf: Credentials, alter: Alter
) -> None:
    client, server = memory_tls_pair(
        ClientConfig(insecure_skip_verification=True),
        ServerConfig(credentials=altered(leaf, alter)),
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.do_handshake)
        nursery.start_soon(server.do_handshake)
    identity = client.negotiated.peer_identity
    assert identity is not None
    no_text = NAME[:-1].encode().hex() + "ff"
    shown = f"#{no_text}" if alter is subject_that_is_no_text else NAME
    assert identity.subject == f"CN={shown}"
    assert identity.dns_names == (() if alter is extension_twice else (NAME,))


def test_unreadable_own_certificate_is_rejected_when_loaded(leaf: Credentials) -> None:
    der = negative_serial_number(leaf)
    with pytest.raises(ConfigError, match="not DER"):
        Credentials.from_der([der], b"")
    with pytest.raises(ConfigError, match="broken"):
        TrustStore.from_pem(ssl.DER_cert_to_PEM_cert(der).encode())


@pytest.mark.parametrize("alter", [extension_twice, unknown_curve])
def test_unreadable_own_certificate_is_rejected_when_used(leaf: Credentials, alter: Alter) -> None:
    certificate = x509.load_der_x509_certificate(alter(leaf))
    with pytest.raises(ConfigError, match="is malformed"):
        Credentials([certificate], leaf.signer)


def test_unreadable_certificate_description(leaf: Credentials) -> None:
    twice = x509.load_der_x509_certificate(extension_twice(leaf))
    assert certificate_facts(twice)["names"] == []
    no_text = x509.load_der_x509_certificate(subject_that_is_no_text(leaf))
    assert certificate_facts(no_text)["subject"] == f"CN=#{NAME[:-1].encode().hex()}ff"
    assert certificate_facts(no_text)["issuer"] == leaf.chain[0].issuer.rfc4514_string()
    curve = x509.load_der_x509_certificate(unknown_curve(leaf))
    assert certificate_facts(curve)["public_key"] == "of an unknown kind"


def test_unreadable_tls_feature_extension(ca: CA) -> None:
    """Where nothing has verified it, nobody has noticed yet."""
    garbled = x509.UnrecognizedExtension(ExtensionOID.TLS_FEATURE, b"\x30\x03\x02\x01")
    leaf = ca.issue(NAME, extensions=[(garbled, False)]).chain[0]
    peer = Peer((leaf,), NAME, None, (), None, leaf.not_valid_before_utc)
    with pytest.raises(CertificateError, match="cannot be read") as refusal:
        check_stapled_ocsp()(peer)
    assert refusal.value.alert is AlertDescription.bad_certificate


async def test_unreadable_certificate_over_openssl(leaf: Credentials, tmp_path: Path) -> None:
    """The connection stands; what cannot be told raises where it is asked for."""
    _, key = credentials_to_pem(leaf)
    file = tmp_path / "server.pem"
    file.write_bytes(ssl.DER_cert_to_PEM_cert(negative_serial_number(leaf)).encode() + key)
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_context.load_cert_chain(file)
    client_context = ssl.create_default_context()
    client_context.check_hostname = False
    client_context.verify_mode = ssl.CERT_NONE
    transports = trio.testing.memory_stream_pair()
    client = TLSStream(transports[0], client_context, server_hostname=NAME)
    server = TLSStream(transports[1], server_context, server_side=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.do_handshake)
        nursery.start_soon(server.do_handshake)
    with pytest.raises(CertificateError, match=r"getpeercert\(binary_form=True\)"):
        _ = client.negotiated
    assert client.getpeercert(binary_form=True) == negative_serial_number(leaf)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.send_all, b"hello")
        assert await server.receive_some() == b"hello"
