"""The attributes and methods of ``trio.SSLStream`` and the stdlib, on both engines."""

from __future__ import annotations

import ipaddress
import ssl
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID
from tls_pairs import MEMORY, SERVER_NAME, AnyStream, Engine, connected, handshake, paired

from trio_tlsx import (
    ClientConfig,
    Credentials,
    MemorySessionStore,
    PrivateKeySigner,
    ServerConfig,
    TrustStore,
)
from trio_tlsx.engine.certificate_dict import ATTRIBUTE_NAMES
from trio_tlsx.io.stream import TLSStream
from trio_tlsx.testing import CA, write_pem_files

SETTLED_BY_THE_HANDSHAKE = [
    "getpeercert",
    "cipher",
    "group",
    "client_sigalg",
    "server_sigalg",
    "shared_ciphers",
    "compression",
    "selected_alpn_protocol",
    "selected_npn_protocol",
    "version",
    "get_channel_binding",
    "verify_client_post_handshake",
]
#: What acts and does not ask: a stream has its own; and what trio has not, ``negotiated`` tells.
NOT_OURS = {"read", "write", "do_handshake", "unwrap"} | {
    "get_unverified_chain",
    "get_verified_chain",
}


def test_every_name_of_the_stdlib_and_of_trio_is_there() -> None:
    stdlib = {name for name in dir(ssl.SSLObject) if not name.startswith("_")}
    trios = {name for name in dir(trio.SSLStream) if not name.startswith("_")}
    assert (stdlib - NOT_OURS) | trios <= {*dir(TLSStream)}


@pytest.mark.parametrize("name", SETTLED_BY_THE_HANDSHAKE)
async def test_ssl_names_before_the_handshake_raise(engine: Engine, name: str) -> None:
    async with paired(engine, MEMORY) as pair:
        for stream in pair:
            with pytest.raises(trio.NeedHandshakeError, match=name):
                getattr(stream, name)()
            with pytest.raises(trio.NeedHandshakeError):
                _ = stream.session_reused


async def test_ssl_names_available_before_the_handshake(engine: Engine) -> None:
    async with paired(engine, MEMORY) as (client, server):
        assert client.context is engine.client_config
        assert server.context is engine.server_config
        assert client.server_hostname == SERVER_NAME
        assert server.server_hostname is None
        assert server.server_side
        assert not client.server_side
        assert client.session is None
        assert client.pending() == server.pending() == 0


@pytest.mark.parametrize(
    ("name", "why"),
    [("context", "cannot be replaced"), ("session", "made with an ssl.SSLContext")],
)
async def test_context_and_session_cannot_be_set_natively(
    native: Engine, name: str, why: str
) -> None:
    async with paired(native, MEMORY) as (client, _):
        with pytest.raises(AttributeError, match=why):
            setattr(client, name, ssl.create_default_context())


async def test_ssl_names_after_the_handshake(engine: Engine) -> None:
    async with connected(engine, MEMORY) as (client, server):
        name, version, bits = client.cipher() or ("", "", 0)
        assert client.cipher() == server.cipher()
        assert name in {cipher["name"] for cipher in ssl.create_default_context().get_ciphers()}
        assert name == client.negotiated.cipher_suite or engine.name == "native-tls12"
        assert version == engine.version
        assert bits == (128 if "128" in name else 256)
        for stream in (client, server):
            assert stream.version() == engine.version
            assert stream.compression() is None
            assert stream.selected_alpn_protocol() is None
            assert stream.selected_npn_protocol() is None
            assert stream.session_reused is stream.negotiated.resumed
        if not engine.is_openssl or sys.version_info >= (3, 11, 3):
            assert client.shared_ciphers() is None  # an older ssl knows them at a client too
        assert client.cipher() in (server.shared_ciphers() or [])


def without_sessions(engine: Engine) -> Engine:
    """The same engine, whose client does not resume the session of an earlier test."""
    return engine if engine.is_openssl else engine.with_client(resumption=False)


def with_client_certificate(engine: Engine, ca: CA, directory: Path) -> Engine:
    """The same engine, whose server requires the client's certificate."""
    own = ca.issue("client.example", key_type="P-384")
    if not engine.is_openssl:
        asking = engine.with_server(client_auth="required", client_trust=ca.trust)
        return asking.with_client(credentials=own)
    client = ssl.create_default_context(cadata=ca.pem.decode())
    client.load_cert_chain(*write_pem_files(own, directory))
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=ca.pem.decode())
    server.load_cert_chain(*write_pem_files(ca.issue(SERVER_NAME), directory))
    server.verify_mode = ssl.CERT_REQUIRED
    return Engine(engine.name, client, server)


@pytest.mark.parametrize("with_certificate", [False, True])
async def test_group_and_signature_schemes_as_of_python_3_15(
    engine: Engine, ca: CA, tmp_path: Path, with_certificate: bool
) -> None:
    if with_certificate:
        engine = with_client_certificate(engine, ca, tmp_path)
    else:
        engine = without_sessions(engine)
    async with connected(engine, MEMORY) as pair:
        for stream in pair:
            if engine.is_openssl and sys.version_info < (3, 15):
                for name in ("group", "client_sigalg", "server_sigalg"):
                    with pytest.raises(NotImplementedError, match=rf"{name}\(\).*Python 3\.15"):
                        getattr(stream, name)()
                continue
            assert stream.group() == stream.negotiated.group
            expected = "ecdsa_secp384r1_sha384" if with_certificate else None
            assert stream.client_sigalg() == expected
            assert stream.server_sigalg() == "ecdsa_secp256r1_sha256"


#: By version: the suites that a client names, the stdlib's names of them, and how many of them the
#: default configurations of both engines share.
SUITES = {
    "TLSv1.3": (
        ["TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256"],
        ["TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256"],
        3,
    ),
    "TLSv1.2": (
        [
            "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
            "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        ],
        ["ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES128-GCM-SHA256"],
        6,
    ),
}


@pytest.mark.parametrize("client_engine", ["native", "openssl"])
async def test_shared_ciphers_are_equal_on_both_engines(
    engines: dict[str, Engine], client_engine: str, version: str
) -> None:
    suffix = "-tls12" if version == "TLSv1.2" else ""
    shared: list[set[tuple[str, str, int]]] = []
    for server_engine in ("native", "openssl"):
        ends = await MEMORY.connect()
        client = engines[client_engine + suffix].client(ends[0])
        server = engines[server_engine + suffix].server(ends[1])
        await handshake(client, server)
        named = {suite for suite in server.shared_ciphers() or [] if suite[1] == version}
        # OpenSSL has other suites of TLS 1.2 too.
        shared.append(named & shared[0] if shared else named)
    assert len(shared[0]) == SUITES[version][2]
    assert shared[0] == shared[1]


async def test_shared_ciphers_come_in_the_clients_order(native: Engine) -> None:
    names, stdlibs_names, _ = SUITES[native.version]
    choosy = native.with_client(cipher_suites=names)
    async with connected(choosy, MEMORY) as (_, server):
        assert [name for name, _, _ in server.shared_ciphers() or []] == stdlibs_names
        assert server.cipher() == (stdlibs_names[1], native.version, 128)


async def test_pending(engine: Engine) -> None:
    async with connected(engine, MEMORY) as (client, server):
        await client.send_all(b"abcde")
        assert await server.receive_some(2) == b"ab"
        assert server.pending() == 3
        assert await server.receive_some() == b"cde"
        assert server.pending() == 0


# Channel bindings


async def test_channel_bindings_of_the_native_engine(native: Engine) -> None:
    async with connected(native, MEMORY) as (client, server):
        for kind in ("tls-exporter", "tls-server-end-point"):
            binding = client.get_channel_binding(kind)
            assert binding is not None
            assert len(binding) == 32
            assert binding == server.get_channel_binding(kind)
        if native.version == "TLSv1.2":
            assert client.get_channel_binding() == server.get_channel_binding("tls-unique")
            assert client.get_channel_binding()
        else:
            with pytest.raises(ValueError, match="tls-unique is not defined for"):
                client.get_channel_binding()
        with pytest.raises(ValueError, match="unknown channel binding 'tls-nothing'"):
            client.get_channel_binding("tls-nothing")


async def test_channel_bindings_of_the_stdlib(openssl: Engine) -> None:
    async with connected(openssl, MEMORY) as (client, server):
        assert client.get_channel_binding()
        assert client.get_channel_binding() == server.get_channel_binding("tls-unique")
        with pytest.raises(ValueError, match="not implemented"):
            client.get_channel_binding("tls-exporter")


async def test_session_reused_natively(native: Engine) -> None:
    resuming = native.with_client(session_store=MemorySessionStore(), session_context=b"test")
    certificates: list[object] = []
    for reused in (False, True):
        async with connected(resuming, MEMORY) as (client, server):
            assert client.session_reused is server.session_reused is reused
            signed = None if reused else "ecdsa_secp256r1_sha256"
            assert client.server_sigalg() == server.server_sigalg() == signed
            certificates.append(client.getpeercert())
            await server.send_all(b"and tickets")
            assert await client.receive_some() == b"and tickets"
    assert certificates[0] == certificates[1] is not None


# What only an SSLContext can


async def test_post_handshake_auth_that_was_not_offered_raises(
    native13: Engine, openssl: Engine
) -> None:
    """So a server cannot ask for its certificate after the handshake (RFC 9846 4.7.2)."""
    transports = await MEMORY.connect()
    client, server = native13.client(transports[0]), openssl.server(transports[1])
    await handshake(client, server)
    with pytest.raises(ssl.SSLError, match=r"(?i)extension.not.received"):
        server.verify_client_post_handshake()


async def test_session_of_the_stdlib_is_resumed(openssl: Engine) -> None:
    async with connected(openssl, MEMORY) as (client, server):
        await server.send_all(b"and tickets")
        assert await client.receive_some() == b"and tickets"
        session = client.session
        assert session is not None
    async with paired(openssl, MEMORY) as (client, server):
        client.session = session
        await handshake(client, server)
        assert client.session_reused
        assert server.session_reused
        assert client.negotiated.resumed


async def test_post_handshake_auth_over_openssl(ca: CA, tmp_path: Path) -> None:
    client_context = ssl.create_default_context(cadata=ca.pem.decode())
    client_context.post_handshake_auth = True
    client_context.load_cert_chain(*write_pem_files(ca.issue("client.example"), tmp_path))
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=ca.pem.decode())
    server_context.post_handshake_auth = True
    server_context.verify_mode = ssl.CERT_REQUIRED
    server_context.load_cert_chain(*write_pem_files(ca.issue(SERVER_NAME), tmp_path))
    asking = Engine("openssl", client_context, server_context)
    async with connected(asking, MEMORY) as (client, server):
        assert server.getpeercert() is None
        server.verify_client_post_handshake()
        for sender, receiver in ((server, client), (client, server)):
            await sender.send_all(b"x")
            assert await receiver.receive_some() == b"x"
        seen = server.getpeercert() or {}
        assert seen["subjectAltName"] == (("DNS", "client.example"),)


async def test_post_handshake_auth_of_a_closed_client(openssl: Engine) -> None:
    async with connected(openssl, MEMORY) as (_, server):
        with pytest.raises(ssl.SSLError, match="EXTENSION_NOT_RECEIVED"):
            server.verify_client_post_handshake()


async def test_post_handshake_auth_without_a_certificate(native: Engine) -> None:
    async with connected(native, MEMORY) as (_, server):
        with pytest.raises(NotImplementedError, match="client_auth"):
            server.verify_client_post_handshake()


# getpeercert()


def name_with(attributes: Iterable[tuple[str, str]]) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(x509.ObjectIdentifier(oid), value) for oid, value in attributes]
    )


NOT_AFTER = datetime(2051, 12, 31, 23, 59, 58, tzinfo=UTC)


def pinned(
    *extensions: x509.ExtensionType,
    subject: x509.Name | None = None,
    serial_number: int = 2**80 + 1,
    not_before: datetime = datetime(2021, 3, 4, 5, 6, 7, tzinfo=UTC),
) -> Credentials:
    """A certificate that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = subject or name_with([("2.5.4.3", SERVER_NAME)])
    server = x509.SubjectAlternativeName([x509.DNSName(SERVER_NAME)])
    if not any(isinstance(extension, x509.SubjectAlternativeName) for extension in extensions):
        extensions = (server, *extensions)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name)
    builder = builder.public_key(key.public_key()).serial_number(serial_number)
    builder = builder.not_valid_before(not_before).not_valid_after(NOT_AFTER)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    return Credentials([certificate], PrivateKeySigner(key, certificate))


async def seen_by(config: ClientConfig | ssl.SSLContext, credentials: Credentials) -> AnyStream:
    """A client of the server with these credentials."""
    ends = await MEMORY.connect()
    client = TLSStream(ends[0], config, server_hostname=SERVER_NAME)
    server_config = ServerConfig(credentials=credentials, versions=["TLSv1.3", "TLSv1.2"])
    await handshake(client, TLSStream(ends[1], server_config))
    return client


def uri(value: str) -> x509.UniformResourceIdentifier:
    return x509.UniformResourceIdentifier(value)


def crls_at(*names: x509.GeneralName) -> x509.DistributionPoint:
    return x509.DistributionPoint(names, None, None, None)


EVERY_ATTRIBUTE = [
    (oid, "DE" if name.endswith("ountryName") else f"Ärger {name}")
    for oid, name in ATTRIBUTE_NAMES.items()
    if name not in ("emailAddress", "domainComponent", "serialNumber", "dnQualifier")
]
PLAIN_ATTRIBUTES = [
    ("1.2.840.113549.1.9.1", "postmaster@test.example"),
    ("0.9.2342.19200300.100.1.25", "example"),
    ("2.5.4.5", "0815"),
    ("2.5.4.46", "qualifier"),
    ("1.3.6.1.4.1.99999.1", "of nobody's"),
]

CERTIFICATES = {
    "the least": pinned(),
    "a short serial number": pinned(serial_number=0xABC),
    "a year of four digits that is early": pinned(not_before=datetime(1999, 1, 1)),
    "every attribute": pinned(subject=name_with(EVERY_ATTRIBUTE)),
    "plain attributes": pinned(subject=name_with(PLAIN_ATTRIBUTES)),
    "several attributes in one": pinned(
        subject=x509.Name(
            [
                x509.RelativeDistinguishedName(
                    [
                        x509.NameAttribute(NameOID.COMMON_NAME, "one"),
                        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "two"),
                    ]
                ),
                x509.RelativeDistinguishedName([x509.NameAttribute(NameOID.LOCALITY_NAME, "x")]),
            ]
        )
    ),
    "alternative names": pinned(
        x509.SubjectAlternativeName(
            [
                x509.DNSName(SERVER_NAME),
                x509.DNSName("*.test.example"),
                x509.IPAddress(ipaddress.ip_address("192.0.2.1")),
                x509.IPAddress(ipaddress.ip_address("2001:db8::ab:0:1")),
                x509.RFC822Name("postmaster@test.example"),
                uri("https://test.example/a"),
                x509.DirectoryName(name_with([("2.5.4.10", "Dir"), ("2.5.4.3", "Name")])),
                x509.RegisteredID(x509.ObjectIdentifier("1.3.6.1.4.1.99999.7")),
                x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.99999.8"), b"\x0c\x01x"),
            ]
        )
    ),
    "addresses of services": pinned(
        x509.AuthorityInformationAccess(
            [
                x509.AccessDescription(method, location)
                for method, location in (
                    (AuthorityInformationAccessOID.OCSP, uri("http://ocsp.example/1")),
                    (AuthorityInformationAccessOID.CA_ISSUERS, uri("http://ca.example/1")),
                    (AuthorityInformationAccessOID.OCSP, uri("http://ocsp.example/2")),
                    (AuthorityInformationAccessOID.CA_ISSUERS, x509.DNSName("no.uri.example")),
                )
            ]
        ),
        x509.CRLDistributionPoints(
            [
                x509.DistributionPoint(
                    [uri("http://crl.example/1"), uri("x:y")], None, None, None
                ),
                x509.DistributionPoint([x509.DNSName("crl.example")], None, None, None),
                x509.DistributionPoint([uri("http://crl.example/2")], None, None, None),
            ]
        ),
    ),
    "addresses that are no URIs": pinned(
        x509.AuthorityInformationAccess(
            [
                x509.AccessDescription(
                    AuthorityInformationAccessOID.OCSP, x509.DNSName("ocsp.example")
                )
            ]
        ),
        x509.CRLDistributionPoints([crls_at(x509.DNSName("crl.example"))]),
    ),
}


@pytest.mark.parametrize("credentials", CERTIFICATES.values(), ids=CERTIFICATES)
async def test_getpeercert_equals_the_stdlibs(credentials: Credentials, version: str) -> None:
    [certificate] = credentials.chain
    der = certificate.public_bytes(Encoding.DER)
    context = ssl.create_default_context(cadata=der)
    trust = TrustStore.from_certificates([certificate])
    native = await seen_by(ClientConfig(trust=trust, versions=[version]), credentials)
    openssl = await seen_by(context, credentials)
    assert native.getpeercert() == openssl.getpeercert()
    assert native.getpeercert(binary_form=True) == openssl.getpeercert(binary_form=True) == der
    assert native.getpeercert(True) == der


async def test_getpeercert_of_an_unverified_peer_is_empty(version: str) -> None:
    credentials = CERTIFICATES["the least"]
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    config = ClientConfig(insecure_skip_verification=True, versions=[version])
    native = await seen_by(config, credentials)
    openssl = await seen_by(context, credentials)
    assert native.getpeercert() == openssl.getpeercert() == {}
    assert native.getpeercert(True) == openssl.getpeercert(True) is not None


async def test_getpeercert_of_a_client_that_has_none(engine: Engine) -> None:
    async with connected(engine, MEMORY) as (_, server):
        assert server.getpeercert() is None
        assert server.getpeercert(True) is None


async def test_getpeercert_of_a_client_that_has_one(native: Engine, ca: CA) -> None:
    mine = ca.issue("client.example", extended_key_usage=[ExtendedKeyUsageOID.CLIENT_AUTH])
    asking = native.with_server(client_auth="required", client_trust=ca.trust)
    async with connected(asking.with_client(credentials=mine), MEMORY) as (_, server):
        seen = server.getpeercert() or {}
        assert seen["subjectAltName"] == (("DNS", "client.example"),)
        assert server.getpeercert(True) == mine.der_chain[0]
