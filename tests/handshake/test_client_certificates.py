"""Client certificates: the request, the selection, and the identity in ``negotiated``."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from hook_pairs import NAME, Connect, MakeHook, over_memory, run_handshake

from trio_tlsx import (
    AlertDescription,
    AlertReceived,
    CertificateError,
    CertificateRequest,
    ClientConfig,
    ConfigError,
    Credentials,
    Identity,
    InternalError,
    NegotiationError,
    ServerConfig,
    SignatureScheme,
    TrustStore,
)
from trio_tlsx.testing import CA

pytestmark = pytest.mark.usefixtures("each_version")

Alert = AlertDescription
DAY = datetime.timedelta(days=1)

#: The alert for a certificate that is required and missing; TLS 1.2 has none of its own
#: (RFC 5246 7.4.6).
NONE_SENT = {"TLSv1.3": Alert.certificate_required, "TLSv1.2": Alert.handshake_failure}


@pytest.fixture(scope="module")
def asking(ca: CA) -> ServerConfig:
    return ServerConfig(credentials=ca.issue(NAME), client_auth="required", client_trust=ca.trust)


@pytest.fixture(scope="module")
def client_config(ca: CA) -> ClientConfig:
    return ClientConfig(trust=ca.trust)


# What the server says that it knows


async def request_of(client_config: ClientConfig, asking: ServerConfig) -> CertificateRequest:
    requests: list[CertificateRequest] = []
    config = replace(client_config, select_credentials=requests.append)
    await run_handshake(config, replace(asking, client_auth="optional"), await over_memory())
    [request] = requests
    return request


async def test_certificate_request_shows_what_the_server_accepts(
    ca: CA, client_config: ClientConfig, asking: ServerConfig, version: str
) -> None:
    other = CA("another CA")
    trust = TrustStore([ca.certificate, other.certificate])
    request = await request_of(client_config, replace(asking, client_trust=trust))
    assert request.server_name == NAME
    assert request.authorities == (
        ca.certificate.subject.public_bytes(),
        other.certificate.subject.public_bytes(),
    )
    assert SignatureScheme.ed25519 in request.signature_schemes
    assert (13 in request.extensions) == (version == "TLSv1.3")


async def test_certificate_authorities_are_left_out_if_there_are_too_many(
    client_config: ClientConfig, asking: ServerConfig
) -> None:
    trust = TrustStore([CA(f"CA {number} {'x' * 50}").certificate for number in range(200)])
    request = await request_of(client_config, replace(asking, client_trust=trust))
    assert request.authorities == ()


# What the client answers


async def sent(
    client_config: ClientConfig, asking: ServerConfig, own: Sequence[Credentials]
) -> int | None:
    """Which of its credentials a client sends, if any."""
    config = replace(client_config, credentials=own)
    _, server = await run_handshake(
        config, replace(asking, client_auth="optional"), await over_memory()
    )
    chain = server.settled().peer_certificates
    return [c.chain for c in own].index(chain) if chain else None


async def test_client_credentials_selected_by_authority(
    ca: CA, client_config: ClientConfig, asking: ServerConfig
) -> None:
    known, unknown = ca.issue("client.example"), CA("another CA").issue("client.example")
    assert await sent(client_config, asking, [known]) == 0
    assert await sent(client_config, asking, [unknown, known]) == 1
    assert await sent(client_config, asking, [unknown]) is None
    assert await sent(client_config, asking, []) is None
    below = ca.intermediate().issue("client.example")
    assert await sent(client_config, asking, [unknown, below]) == 1


async def test_client_credentials_trusted_directly(
    client_config: ClientConfig, asking: ServerConfig
) -> None:
    own = CA("another CA").issue("client.example")
    trusting = replace(asking, client_trust=TrustStore([own.chain[0]]))
    assert await sent(client_config, trusting, [own]) == 0


async def test_client_credentials_selected_by_signature_scheme(
    ca: CA, client_config: ClientConfig, asking: ServerConfig
) -> None:
    own = [ca.issue("client.example"), ca.issue("client.example", key_type="RSA-2048")]
    assert await sent(client_config, asking, own) == 0
    choosy = replace(asking, signature_schemes=["rsa_pss_rsae_sha256"])
    assert await sent(client_config, choosy, own) == 1
    assert await sent(client_config, choosy, own[:1]) is None


async def test_client_credentials_from_a_function(
    ca: CA,
    client_config: ClientConfig,
    asking: ServerConfig,
    connect: Connect,
    make_hook: MakeHook,
) -> None:
    own = ca.issue("client.example")
    hook = make_hook(own)
    config = replace(client_config, select_credentials=hook)
    client, server = await run_handshake(config, asking, await connect())
    client.settled()
    assert server.settled().peer_certificates == own.chain
    [(request,)] = hook.calls
    assert isinstance(request, CertificateRequest)


async def test_client_credentials_from_a_function_that_returns_several(
    ca: CA, client_config: ClientConfig, asking: ServerConfig, make_hook: MakeHook
) -> None:
    own = [ca.issue("client.example"), ca.issue("client.example", key_type="RSA-2048")]
    config = replace(client_config, select_credentials=make_hook(own))
    choosy = replace(asking, signature_schemes=["rsa_pss_rsae_sha256"])
    _, server = await run_handshake(config, choosy, await over_memory())
    assert server.settled().peer_certificates == own[1].chain


async def test_client_credentials_function_overrides_the_authorities(
    client_config: ClientConfig, asking: ServerConfig, make_hook: MakeHook
) -> None:
    own = CA("another CA").issue("client.example")
    config = replace(client_config, select_credentials=make_hook(own))
    client, server = await run_handshake(config, asking, await over_memory())
    client.settled_before(Alert.unknown_ca)
    assert server.failed(CertificateError).alert is Alert.unknown_ca


async def test_client_credentials_function_that_returns_none(
    client_config: ClientConfig,
    asking: ServerConfig,
    connect: Connect,
    make_hook: MakeHook,
    version: str,
) -> None:
    config = replace(client_config, select_credentials=make_hook(None))
    client, server = await run_handshake(config, asking, await connect())
    alert = NONE_SENT[version]
    client.settled_before(alert)
    assert server.failed(CertificateError).alert is alert


@pytest.mark.parametrize(
    "outcome", [LookupError("no such card"), b"", "client.pem", [None]], ids=repr
)
async def test_client_credentials_function_that_raises(
    client_config: ClientConfig,
    asking: ServerConfig,
    connect: Connect,
    make_hook: MakeHook,
    outcome: object,
) -> None:
    config = replace(client_config, select_credentials=make_hook(outcome))
    client, server = await run_handshake(config, asking, await connect())
    error = client.failed(InternalError)
    assert error.__cause__ is outcome or "select_credentials returned" in str(error)
    assert server.failed(AlertReceived).alert is Alert.internal_error


async def test_client_credentials_function_that_rejects(
    client_config: ClientConfig, asking: ServerConfig, connect: Connect, make_hook: MakeHook
) -> None:
    refusal = NegotiationError("not to this server", Alert.access_denied)
    config = replace(client_config, select_credentials=make_hook(refusal))
    client, server = await run_handshake(config, asking, await connect())
    assert client.failed(NegotiationError) is refusal
    assert server.failed(AlertReceived).alert is Alert.access_denied


async def test_client_credentials_function_cannot_return_a_server_config(
    client_config: ClientConfig, asking: ServerConfig, make_hook: MakeHook
) -> None:
    config = replace(client_config, select_credentials=make_hook(asking))
    client, _ = await run_handshake(config, asking, await over_memory())
    assert "ServerConfig" in str(client.failed(InternalError))


async def test_client_credentials_function_not_called_without_a_request(
    client_config: ClientConfig, asking: ServerConfig, make_hook: MakeHook
) -> None:
    hook = make_hook(None)
    config = replace(client_config, select_credentials=hook)
    plain = replace(asking, client_auth="none", client_trust=None)
    client, _ = await run_handshake(config, plain, await over_memory())
    client.settled()
    assert hook.calls == []


def test_credentials_and_select_credentials_exclude_each_other(
    ca: CA, client_config: ClientConfig
) -> None:
    with pytest.raises(ConfigError, match="pass one of them"):
        replace(client_config, credentials=ca.issue("client.example"), select_credentials=print)


# How a client learns that it is refused


@pytest.mark.parametrize(
    ("alert", "sentence"),
    [
        (
            "certificate_required",
            "it requires a client certificate, and we had none that it accepts",
        ),
        ("unknown_ca", "it does not trust the CA that issued our certificate"),
        ("certificate_expired", "our certificate has expired"),
        ("unsupported_certificate", "it does not support the type of our certificate"),
        ("bad_certificate", "it could not parse or verify our certificate"),
    ],
)
async def test_client_certificate_rejected_by_the_server(
    ca: CA,
    client_config: ClientConfig,
    asking: ServerConfig,
    connect: Connect,
    alert: str,
    sentence: str,
    version: str,
) -> None:
    now = datetime.datetime.now(datetime.UTC)
    name = "client.example"
    own = {
        "certificate_required": lambda: None,
        "unknown_ca": lambda: CA().issue(name),  # of the same name as the right one
        "certificate_expired": lambda: ca.issue(name, not_after=now - DAY),
        "unsupported_certificate": lambda: ca.issue(
            name, extended_key_usage=[ExtendedKeyUsageOID.SERVER_AUTH]
        ),
        "bad_certificate": lambda: ca.issue(name, key_type="RSA-1024"),
    }[alert]()
    client, server = await run_handshake(
        replace(client_config, credentials=own), asking, await connect()
    )
    expected = NONE_SENT[version] if own is None else AlertDescription[alert]
    # In TLS 1.3 the client's handshake was over before the server had judged it.
    client.settled_before(expected)
    assert sentence in str(client.error)
    assert server.failed(CertificateError).alert is expected


# Who it was


async def test_client_certificate_identity(
    ca: CA, client_config: ClientConfig, asking: ServerConfig
) -> None:
    own = ca.issue("client.example", "192.0.2.1", common_name="a client")
    client, server = await run_handshake(
        replace(client_config, credentials=own), asking, await over_memory()
    )
    assert server.settled().peer_identity == Identity(
        dns_names=("client.example",),
        ip_addresses=(ipaddress.IPv4Address("192.0.2.1"),),
        email_addresses=(),
        uris=(),
        spiffe_id=None,
        subject="CN=a client",
    )
    identity = client.settled().peer_identity
    assert identity is not None
    assert identity.dns_names == (NAME,)


async def test_client_certificate_without_identity(
    client_config: ClientConfig, asking: ServerConfig
) -> None:
    _, server = await run_handshake(
        client_config, replace(asking, client_auth="optional"), await over_memory()
    )
    assert server.settled().peer_identity is None


def identity_with(ca: CA, *names: x509.GeneralName) -> Identity:
    san = x509.SubjectAlternativeName(names)
    return Identity.of(ca.issue(common_name="x", extensions=[(san, False)]).chain[0])


URI = x509.UniformResourceIdentifier
LONGEST = "spiffe://example.org/" + "a" * (2048 - 21)


@pytest.mark.parametrize(
    "uri",
    ["spiffe://example.org/ns/prod/sa/web", "spiffe://example.org", "spiffe://a_b.c-d/E", LONGEST],
)
def test_client_certificate_spiffe_id(ca: CA, uri: str) -> None:
    identity = identity_with(ca, URI(uri), x509.DNSName("web.example"))
    assert identity.spiffe_id == uri
    assert identity.uris == (uri,)


@pytest.mark.parametrize(
    "uri",
    [
        "https://example.org/web",
        "spiffe://",
        "spiffe:///web",
        "spiffe://Example.org/web",
        "spiffe://example.org:8443/web",
        "spiffe://user@example.org/web",
        "spiffe://example.org/web?x=1",
        "spiffe://example.org/web#x",
        "spiffe://example.org/a//b",
        "spiffe://example.org/",
        "spiffe://example.org/a/../b",
        "spiffe://example.org/%41",
        LONGEST + "a",
    ],
)
def test_invalid_spiffe_ids_are_ignored(ca: CA, uri: str) -> None:
    identity = identity_with(ca, URI(uri))
    assert identity.spiffe_id is None
    assert identity.uris == (uri,)


def test_two_spiffe_ids_are_ignored(ca: CA) -> None:
    identity = identity_with(ca, URI("spiffe://a.example/x"), URI("spiffe://b.example/x"))
    assert identity.spiffe_id is None


def test_client_certificate_other_names(ca: CA) -> None:
    identity = identity_with(
        ca,
        x509.RFC822Name("someone@mail.example"),
        x509.IPAddress(ipaddress.ip_address("2001:db8::1")),
        x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
    )
    assert identity.email_addresses == ("someone@mail.example",)
    assert identity.ip_addresses == (ipaddress.ip_address("2001:db8::1"),)
    assert identity.dns_names == identity.uris == ()


def test_client_certificate_without_any_name(ca: CA) -> None:
    identity = Identity.of(ca.issue(common_name="only a subject").chain[0])
    assert identity.dns_names == ()
    assert identity.subject == "CN=only a subject"
