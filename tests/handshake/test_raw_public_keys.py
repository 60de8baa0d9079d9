"""Raw public keys (RFC 7250) in both roles and both versions."""

from __future__ import annotations

import datetime
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from engine_pairs import (
    CLIENT,
    SERVER,
    authority,
    connections,
    established,
    failure_of,
    shake_hands,
)
from raw_key_pairs import (
    ASKING_SERVER,
    CERTIFIED_CLIENT,
    CLIENT_KEY,
    KEYS,
    OTHER_KEY,
    RAW_CLIENT,
    RAW_SERVER,
    SERVER_KEY,
    trusting,
    with_versions,
)

from trio_tlsx import (
    CertificateError,
    CertificateType,
    ClientConfig,
    Credentials,
    NegotiationError,
    Peer,
    RawPublicKey,
    ServerConfig,
    TLSError,
    TrustStore,
    check_crl,
    check_stapled_ocsp,
    pin_spki,
    spki_pin,
)
from trio_tlsx.errors import AlertDescription as A
from trio_tlsx.messages.info import CertificateRequest, ClientHello

BOTH_TYPES = ("X509", "RawPublicKey")
EITHER = TrustStore(authority.trust.certificates, public_keys=[SERVER_KEY.raw_public_key or b""])
SOME = authority.issue("test.example")
ANY_CLIENT = replace(CLIENT, groups=RAW_CLIENT.groups)


def fails(client: ClientConfig, server: ServerConfig) -> TLSError:
    """Return what the side that rejects raises."""
    pair = connections(client, server)
    return failure_of(lambda: shake_hands(*pair))


@pytest.mark.parametrize("name", KEYS)
def test_client_accepts_a_trusted_key(version: str, name: str) -> None:
    credentials = Credentials.from_raw_key(KEYS[name])
    client, server = established(
        *with_versions(
            version,
            replace(RAW_CLIENT, trust=trusting(credentials)),
            replace(RAW_SERVER, credentials=credentials),
        )
    )
    assert client.negotiated.version == version
    assert client.negotiated.peer_raw_public_key == credentials.raw_public_key
    assert client.negotiated.peer_public_key == KEYS[name].public_key()
    assert client.negotiated.peer_certificates == ()
    assert client.negotiated.peer_identity is None
    assert client.ssl_object.getpeercert() is None
    assert server.negotiated.peer_raw_public_key is None
    assert server.negotiated.peer_public_key is None
    for side in (client, server):
        assert side.channel_binding("tls-server-end-point") is None


def test_server_accepts_a_trusted_key(version: str) -> None:
    client, server = established(*with_versions(version, CERTIFIED_CLIENT, ASKING_SERVER))
    assert server.negotiated.peer_raw_public_key == CLIENT_KEY.raw_public_key
    assert server.negotiated.signature_scheme == "ed25519"
    assert client.negotiated.peer_public_key == SERVER.parameters.candidates[0].leaf.public_key()


def test_both_sides_have_raw_keys(version: str) -> None:
    client, server = established(
        *with_versions(
            version,
            replace(RAW_CLIENT, credentials=CLIENT_KEY),
            replace(ASKING_SERVER, credentials=SERVER_KEY),
        )
    )
    assert client.negotiated.peer_raw_public_key == SERVER_KEY.raw_public_key
    assert server.negotiated.peer_raw_public_key == CLIENT_KEY.raw_public_key


def test_key_that_is_not_trusted_is_rejected(version: str) -> None:
    server = replace(RAW_SERVER, credentials=OTHER_KEY)
    error = fails(*with_versions(version, RAW_CLIENT, server))
    assert isinstance(error, CertificateError)
    assert error.alert is A.certificate_unknown
    assert spki_pin(OTHER_KEY.leaf) in str(error)
    client = replace(CERTIFIED_CLIENT, credentials=OTHER_KEY)
    pair = connections(*with_versions(version, client, ASKING_SERVER))
    assert failure_of(lambda: shake_hands(*pair)).alert is A.certificate_unknown


# Negotiation


@pytest.mark.parametrize(
    ("offered", "owned", "expected"),
    [
        (BOTH_TYPES, [SOME, SERVER_KEY], "X509"),
        (BOTH_TYPES, [SERVER_KEY, SOME], "RawPublicKey"),
        (BOTH_TYPES[::-1], [SOME, SERVER_KEY], "X509"),
        (("RawPublicKey",), [SOME, SERVER_KEY], "RawPublicKey"),
        (("X509",), [SERVER_KEY, SOME], "X509"),
        (None, [SERVER_KEY, SOME], "RawPublicKey"),
    ],
)
def test_the_first_credentials_of_an_accepted_type_are_sent(
    version: str, offered: tuple[str, ...] | None, owned: list[Credentials], expected: str
) -> None:
    client, _ = established(
        *with_versions(
            version,
            replace(RAW_CLIENT, trust=EITHER, peer_certificate_types=offered),
            replace(RAW_SERVER, credentials=owned),
        )
    )
    is_raw = client.negotiated.peer_raw_public_key is not None
    assert is_raw == (expected == "RawPublicKey")
    assert bool(client.negotiated.peer_certificates) != is_raw


def test_client_without_raw_keys_gets_the_certificate(version: str) -> None:
    server = replace(RAW_SERVER, credentials=[SERVER_KEY, SOME])
    client, _ = established(*with_versions(version, ANY_CLIENT, server))
    assert client.negotiated.peer_certificates


@pytest.mark.parametrize(
    ("client", "server"),
    [
        (ANY_CLIENT, RAW_SERVER),
        (RAW_CLIENT, replace(RAW_SERVER, credentials=SOME)),
        (replace(CERTIFIED_CLIENT, credentials=SOME), ASKING_SERVER),
        (replace(CERTIFIED_CLIENT, credentials=None), ASKING_SERVER),
        (
            CERTIFIED_CLIENT,
            replace(ASKING_SERVER, client_trust=authority.trust, client_auth="optional"),
        ),
    ],
    ids=["server", "client", "client-with-x509", "client-without", "optional"],
)
def test_no_common_type_is_rejected(
    version: str, client: ClientConfig, server: ServerConfig
) -> None:
    error = fails(*with_versions(version, client, server))
    assert isinstance(error, NegotiationError)
    assert error.alert is A.unsupported_certificate


def test_optional_raw_key_of_a_client_that_has_only_certificates(version: str) -> None:
    """The client may have no certificate at all, so that it is not asked (RFC 7250 4.2)."""
    server = replace(ASKING_SERVER, client_auth="optional")
    client = replace(CERTIFIED_CLIENT, credentials=SOME)
    _, accepted = established(*with_versions(version, client, server))
    assert accepted.negotiated.peer_certificates == ()
    assert accepted.negotiated.peer_raw_public_key is None


@pytest.mark.parametrize("types", [BOTH_TYPES, BOTH_TYPES[::-1]])
def test_server_prefers_a_type_of_the_client(version: str, types: tuple[str, ...]) -> None:
    trust = TrustStore(authority.trust.certificates, public_keys=[KEYS["Ed25519"].public_key()])
    server = replace(ASKING_SERVER, client_trust=trust, peer_certificate_types=types)
    client = replace(CERTIFIED_CLIENT, credentials=[SOME, CLIENT_KEY])
    _, accepted = established(*with_versions(version, client, server))
    is_raw = accepted.negotiated.peer_raw_public_key is not None
    assert is_raw == (types[0] == "RawPublicKey")
    assert bool(accepted.negotiated.peer_certificates) != is_raw


# Hooks


def test_verify_is_asked_about_a_raw_key(version: str) -> None:
    seen: list[Peer] = []
    client = replace(RAW_CLIENT, verify=seen.append)
    established(*with_versions(version, client, RAW_SERVER))
    (peer,) = seen
    assert peer.raw_public_key == SERVER_KEY.raw_public_key
    assert peer.public_key == KEYS["P-256"].public_key()
    assert (peer.certificates, peer.path, peer.issuer, peer.error) == ((), (), None, None)
    assert peer.identity.dns_names == ()
    assert peer.identity.subject == ""


def test_verify_decides_alone_about_a_raw_key(version: str) -> None:
    errors: list[CertificateError | None] = []

    def note(peer: Peer) -> None:
        errors.append(peer.error)

    client = replace(
        ANY_CLIENT,
        verify=note,
        verify_replaces_builtin=True,
        peer_certificate_types=["RawPublicKey"],
    )
    established(*with_versions(version, client, RAW_SERVER))
    assert errors[0] is not None
    assert errors[0].alert is A.certificate_unknown


def test_pin_spki_accepts_a_raw_key_with_the_pin(version: str) -> None:
    client = replace(
        ANY_CLIENT,
        verify=pin_spki(spki_pin(SERVER_KEY.leaf)),
        verify_replaces_builtin=True,
        peer_certificate_types=["RawPublicKey"],
    )
    established(*with_versions(version, client, RAW_SERVER))
    error = fails(*with_versions(version, client, replace(RAW_SERVER, credentials=OTHER_KEY)))
    assert error.alert is A.certificate_unknown
    assert "pinned" in str(error)


def test_verification_can_be_skipped(version: str) -> None:
    client = replace(
        RAW_CLIENT, insecure_skip_verification=True, peer_certificate_types=["RawPublicKey"]
    )
    done, _ = established(
        *with_versions(version, client, replace(RAW_SERVER, credentials=OTHER_KEY))
    )
    assert done.negotiated.peer_raw_public_key == OTHER_KEY.raw_public_key


@pytest.mark.parametrize("hook", ["ocsp", "crl"])
def test_revocation_hooks_reject_a_raw_key(version: str, hook: str) -> None:
    now = datetime.datetime.now(datetime.UTC)
    crl = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(x509.Name([]))
        .last_update(now)
        .next_update(now + datetime.timedelta(days=1))
        .sign(KEYS["P-256"], hashes.SHA256())
    )
    verify = check_stapled_ocsp() if hook == "ocsp" else check_crl(crl)
    error = fails(*with_versions(version, replace(RAW_CLIENT, verify=verify), RAW_SERVER))
    assert error.alert is A.certificate_unknown
    assert "revocation" in str(error)


def test_server_hook_sees_the_types_of_the_client(version: str) -> None:
    seen: list[ClientHello] = []

    def select(hello: ClientHello) -> Credentials:
        seen.append(hello)
        return (
            SERVER_KEY if CertificateType.RawPublicKey in hello.server_certificate_types else SOME
        )

    server = replace(RAW_SERVER, credentials=None, select_credentials=select)
    established(*with_versions(version, replace(RAW_CLIENT, trust=EITHER), server))
    established(*with_versions(version, ANY_CLIENT, server))
    assert [hello.server_certificate_types for hello in seen] == [(0, 2), (0,)]


def test_client_hook_sees_the_requested_type(version: str) -> None:
    seen: list[CertificateRequest] = []

    def select(request: CertificateRequest) -> list[Credentials]:
        seen.append(request)
        return [SOME, CLIENT_KEY]

    client = replace(
        CERTIFIED_CLIENT,
        credentials=None,
        select_credentials=select,
        own_certificate_types=["RawPublicKey"],
    )
    _, server = established(*with_versions(version, client, ASKING_SERVER))
    assert [request.certificate_type for request in seen] == [CertificateType.RawPublicKey]
    assert seen[0].authorities == ()
    assert server.negotiated.peer_raw_public_key == CLIENT_KEY.raw_public_key


def only_a_certificate(request: CertificateRequest) -> Credentials:
    return SOME


def test_hook_without_credentials_of_the_requested_type_sends_none(version: str) -> None:
    client = replace(
        CERTIFIED_CLIENT,
        credentials=None,
        select_credentials=only_a_certificate,
        own_certificate_types=["RawPublicKey"],
    )
    server = replace(ASKING_SERVER, client_auth="optional")
    _, accepted = established(*with_versions(version, client, server))
    assert accepted.negotiated.peer_public_key is None
    pair = connections(*with_versions(version, client, ASKING_SERVER))
    failure = failure_of(lambda: shake_hands(*pair))
    assert failure.alert in (A.certificate_required, A.handshake_failure)


def test_key_elsewhere(version: str) -> None:
    """A signer need not be one of ours."""

    class Remote:
        schemes = SERVER_KEY.signer.schemes

        def sign(self, scheme: object, message: bytes) -> bytes:
            return SERVER_KEY.signer.sign(self.schemes[0], message)  # pyright: ignore[reportReturnType]

    key = RawPublicKey.of(KEYS["P-256"].public_key())
    credentials = Credentials.for_raw_public_key(key, Remote())
    server = replace(RAW_SERVER, credentials=credentials)
    connected, _ = established(*with_versions(version, RAW_CLIENT, server))
    assert connected.negotiated.peer_raw_public_key == key
