"""The ``verify`` hook: acceptance, rejection and failure."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio
import trio.testing
from hook_pairs import NAME, Connect, MakeHook, over_memory, run_handshake

from trio_tlsx import (
    AlertDescription,
    AlertReceived,
    CertificateError,
    ClientConfig,
    ConfigError,
    InternalError,
    Peer,
    ServerConfig,
    TrustStore,
    pin_spki,
    spki_pin,
)
from trio_tlsx.testing import CA

pytestmark = pytest.mark.usefixtures("each_version")

Alert = AlertDescription

CERTIFICATE = b"""\
-----BEGIN CERTIFICATE-----
MIIBeTCCAR+gAwIBAgIUAcLDeZ2RT4PxXDTgZ0bxPaH3soowCgYIKoZIzj0EAwIw
ETEPMA0GA1UEAwwGcGlubmVkMCAXDTI2MTEyMjIwMTMxNFoYDzIxMjYxMDI5MjAx
MzE0WjARMQ8wDQYDVQQDDAZwaW5uZWQwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AARhmlxbeirW9I7wtwsLZVQOPSsssHBdP2382We0CIatXyOwa0VhJkt0CaLBQL47
4kPEAJwkxs1L4bZ4Vghymm6ro1MwUTAdBgNVHQ4EFgQUikxgOHgYy7b21bsWczVh
8oPdzKYwHwYDVR0jBBgwFoAUikxgOHgYy7b21bsWczVh8oPdzKYwDwYDVR0TAQH/
BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiEAz/jFRnvQH8GWrusQNb1fun9Z/wap
dweUt/ccsMvGY8sCIA7ZfNwXaS01K+w4b/aAhy4Uu+QJ4ieYrzjzED/83dOC
-----END CERTIFICATE-----
"""
PIN = "sha256//vmfQn8nGi/a9kA9UpYLyWExxjZyZVFhBvaOagkv2xQE="


@pytest.fixture(scope="module")
def server_config(ca: CA) -> ServerConfig:
    return ServerConfig(credentials=ca.issue(NAME))


@pytest.fixture(scope="module")
def client_config(ca: CA) -> ClientConfig:
    return ClientConfig(trust=ca.trust)


@pytest.fixture(scope="module")
def asking(ca: CA, server_config: ServerConfig) -> ServerConfig:
    """A server that asks its clients for certificates."""
    return replace(server_config, client_auth="required", client_trust=ca.trust)


@pytest.fixture(scope="module")
def answering(ca: CA, client_config: ClientConfig) -> ClientConfig:
    """A client that has a certificate."""
    return replace(client_config, credentials=ca.issue("client.example"))


# A client's


async def test_verify_of_a_client_adds_checks(
    ca: CA,
    client_config: ClientConfig,
    server_config: ServerConfig,
    connect: Connect,
    make_hook: MakeHook,
) -> None:
    hook = make_hook(None)
    config = replace(client_config, verify=hook)
    client, server = await run_handshake(config, server_config, await connect())
    client.settled()
    server.settled()
    [(peer,)] = hook.calls
    assert isinstance(peer, Peer)
    assert peer.certificates == server_config.parameters.candidates[0].chain
    assert peer.server_name == NAME
    assert peer.error is None
    assert peer.path == (*peer.certificates, ca.certificate)
    assert peer.issuer == ca.certificate
    assert peer.ocsp_response is None
    assert peer.at.tzinfo is not None


async def test_verify_of_a_client_rejects(
    client_config: ClientConfig,
    server_config: ServerConfig,
    connect: Connect,
    make_hook: MakeHook,
) -> None:
    refusal = CertificateError("not on the list", Alert.access_denied)
    config = replace(client_config, verify=make_hook(refusal))
    client, server = await run_handshake(config, server_config, await connect())
    assert client.failed(CertificateError) is refusal
    assert server.failed(AlertReceived).alert is Alert.access_denied


async def test_verify_of_a_client_raises(
    client_config: ClientConfig,
    server_config: ServerConfig,
    connect: Connect,
    make_hook: MakeHook,
) -> None:
    fault = TimeoutError("the policy server is away")
    config = replace(client_config, verify=make_hook(fault))
    client, server = await run_handshake(config, server_config, await connect())
    assert client.failed(InternalError).__cause__ is fault
    assert server.failed(AlertReceived).alert is Alert.internal_error


@pytest.mark.parametrize("answer", [True, False, "yes", b""], ids=repr)
async def test_verify_must_return_none(
    client_config: ClientConfig,
    server_config: ServerConfig,
    connect: Connect,
    make_hook: MakeHook,
    answer: object,
) -> None:
    config = replace(client_config, verify=make_hook(answer))
    client, server = await run_handshake(config, server_config, await connect())
    assert "raise CertificateError to reject it" in str(client.failed(InternalError))
    assert server.failed(AlertReceived).alert is Alert.internal_error


async def test_verify_is_not_called_after_a_builtin_rejection(
    client_config: ClientConfig, server_config: ServerConfig, make_hook: MakeHook
) -> None:
    hook = make_hook(None)
    config = replace(client_config, trust=CA().trust, verify=hook)
    client, _ = await run_handshake(config, server_config, await over_memory())
    assert client.failed(CertificateError).alert is Alert.unknown_ca
    assert hook.calls == []


async def test_verify_with_several_hooks_in_order(
    client_config: ClientConfig, server_config: ServerConfig, make_hook: MakeHook
) -> None:
    first, second = make_hook(None), make_hook(CertificateError("no"))
    third = make_hook(None)
    config = replace(client_config, verify=[first, second, third])
    client, _ = await run_handshake(config, server_config, await over_memory())
    client.failed(CertificateError)
    assert [len(hook.calls) for hook in (first, second, third)] == [1, 1, 0]


async def test_verify_replaces_builtin_of_a_client(
    server_config: ServerConfig, connect: Connect, make_hook: MakeHook
) -> None:
    hook = make_hook(None)
    config = ClientConfig(trust=CA().trust, verify=hook, verify_replaces_builtin=True)
    client, server = await run_handshake(config, server_config, await connect())
    client.settled()
    server.settled()
    [(peer,)] = hook.calls
    assert peer.error.alert is Alert.unknown_ca
    assert peer.path == ()


async def test_verify_that_replaces_the_builtin_may_call_it(server_config: ServerConfig) -> None:
    def verify(peer: Peer) -> None:
        if peer.error is not None:
            raise peer.error

    config = ClientConfig(trust=CA().trust, verify=verify, verify_replaces_builtin=True)
    client, server = await run_handshake(config, server_config, await over_memory())
    assert client.failed(CertificateError).alert is Alert.unknown_ca
    assert server.failed(AlertReceived).alert is Alert.unknown_ca


async def test_verify_is_called_with_insecure_skip_verification(
    server_config: ServerConfig, make_hook: MakeHook
) -> None:
    hook = make_hook(None)
    config = ClientConfig(insecure_skip_verification=True, verify=hook)
    client, _ = await run_handshake(config, server_config, await over_memory())
    client.settled()
    [(peer,)] = hook.calls
    assert peer.error is None
    assert peer.path == ()


def test_verify_arguments_that_contradict_each_other(server_config: ServerConfig) -> None:
    with pytest.raises(ConfigError, match="verify_replaces_builtin"):
        ClientConfig(verify_replaces_builtin=True)
    with pytest.raises(ConfigError, match="pass a function that is called with the Peer"):
        ClientConfig(verify=["pin"])  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigError, match="client_trust"):
        replace(server_config, client_auth="required", verify=pin_spki(PIN))


async def test_verify_cancelled(client_config: ClientConfig, server_config: ServerConfig) -> None:
    cancelled = trio.Event()

    async def verify(_: Peer) -> None:
        try:
            await trio.sleep_forever()
        finally:
            cancelled.set()

    config = replace(client_config, verify=verify)
    transports = await over_memory()
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_handshake, config, server_config, transports)
            await trio.testing.wait_all_tasks_blocked()
            assert not cancelled.is_set()
            scope.cancel()
    assert cancelled.is_set()


# A server's


async def test_verify_of_a_server_adds_checks(
    ca: CA,
    answering: ClientConfig,
    asking: ServerConfig,
    connect: Connect,
    make_hook: MakeHook,
) -> None:
    hook = make_hook(None)
    client, server = await run_handshake(answering, replace(asking, verify=hook), await connect())
    client.settled()
    assert server.settled().peer_certificates == answering.parameters.candidates[0].chain
    [(peer,)] = hook.calls
    assert peer.certificates == answering.parameters.candidates[0].chain
    assert peer.server_name is None
    assert peer.path == (*peer.certificates, ca.certificate)


@pytest.mark.parametrize(
    ("outcome", "alert"),
    [
        (CertificateError("not on the list", Alert.access_denied), Alert.access_denied),
        (KeyError("who?"), Alert.internal_error),
        (True, Alert.internal_error),
    ],
)
async def test_verify_of_a_server_rejects_or_raises(
    answering: ClientConfig,
    asking: ServerConfig,
    connect: Connect,
    make_hook: MakeHook,
    outcome: object,
    alert: AlertDescription,
) -> None:
    config = replace(asking, verify=make_hook(outcome))
    client, server = await run_handshake(answering, config, await connect())
    # A client's handshake is over before the server has seen its certificate.
    client.settled_before(alert)
    error = server.error
    assert isinstance(error, CertificateError | InternalError)
    assert outcome in (error, error.__cause__, True)


async def test_verify_replaces_builtin_of_a_server(
    answering: ClientConfig, server_config: ServerConfig, make_hook: MakeHook
) -> None:
    hook = make_hook(None)
    config = replace(
        server_config, client_auth="required", verify=hook, verify_replaces_builtin=True
    )
    client, server = await run_handshake(answering, config, await over_memory())
    client.settled()
    server.settled()
    [(peer,)] = hook.calls
    assert peer.error.alert is Alert.unknown_ca


async def test_verify_is_not_called_without_a_client_certificate(
    client_config: ClientConfig, asking: ServerConfig, make_hook: MakeHook
) -> None:
    hook = make_hook(None)
    config = replace(asking, client_auth="optional", verify=hook)
    _, server = await run_handshake(client_config, config, await over_memory())
    assert server.settled().peer_certificates == ()
    assert hook.calls == []


# Pins


async def test_pinned_public_keys(
    ca: CA, client_config: ClientConfig, server_config: ServerConfig
) -> None:
    leaf = server_config.parameters.candidates[0].chain[0]
    other = spki_pin(CA().certificate)

    async def meets(*pins: str) -> bool:
        config = replace(client_config, verify=pin_spki(*pins))
        client, _ = await run_handshake(config, server_config, await over_memory())
        if client.error is not None:
            error = client.failed(CertificateError)
            assert error.alert is Alert.certificate_unknown
            assert error.certificate is not None
            assert spki_pin(leaf) in str(error)
        return client.error is None

    assert await meets(spki_pin(leaf))
    assert await meets(other, spki_pin(leaf))
    assert await meets(spki_pin(ca.certificate))
    assert not await meets(other)


async def test_pinned_public_key_must_be_the_leafs_without_verification(
    server_config: ServerConfig,
) -> None:
    ca = CA()
    below = ca.intermediate().issue(NAME)
    config = ServerConfig(credentials=below)
    for pinned, trusted in [(below.chain[0], True), (below.chain[1], False)]:
        client_config = ClientConfig(
            insecure_skip_verification=True, verify=pin_spki(spki_pin(pinned))
        )
        client, _ = await run_handshake(client_config, config, await over_memory())
        assert (client.error is None) is trusted


@pytest.mark.parametrize(
    "pin", ["", "sha256//", "sha256//AAAA", "A" * 43 + "=", "sha1//" + "A" * 43 + "=", "sha256//!"]
)
def test_malformed_pin_is_rejected(pin: str) -> None:
    with pytest.raises(ConfigError, match="is no pin"):
        pin_spki(pin)


def test_empty_pins_are_rejected() -> None:
    with pytest.raises(ConfigError, match="needs a pin"):
        pin_spki()


def test_pin_equals_openssls() -> None:
    """As ``openssl x509 -pubkey | openssl pkey -pubin -outform der | openssl dgst -sha256``."""
    certificate = TrustStore.from_pem(CERTIFICATE).certificates[0]
    assert spki_pin(certificate) == PIN
