"""The selection of the certificate that a server sends: from a list, or by a hook."""

from __future__ import annotations

import dataclasses

import pytest
import trio
from hook_pairs import NAME, Connect, MakeHook, over_memory, over_sockets, run_handshake
from tls_pairs import stays_blocked

from trio_tlsx import (
    AlertDescription,
    AlertReceived,
    ClientConfig,
    ClientHello,
    ConfigError,
    Credentials,
    HandshakeShutdown,
    InternalError,
    NegotiationError,
    ServerConfig,
    TLSStream,
)
from trio_tlsx.testing import CA, memory_tls_pair

pytestmark = pytest.mark.usefixtures("each_version")

Alert = AlertDescription
ECDSA = ["ecdsa_secp256r1_sha256"]
RSA = ["rsa_pss_rsae_sha256"]


@pytest.fixture(scope="module")
def client_config(ca: CA) -> ClientConfig:
    return ClientConfig(trust=ca.trust)


# From a list


async def chosen(ca: CA, candidates: list[Credentials], schemes: list[str] | None = None) -> int:
    """Which of the candidates a client gets that asks for NAME, whatever it is for."""
    config = ClientConfig(insecure_skip_verification=True)
    if schemes is not None:
        config = dataclasses.replace(config, signature_schemes=schemes)
    client, _ = await run_handshake(
        config, ServerConfig(credentials=candidates), await over_memory()
    )
    leaves = [candidate.chain[0] for candidate in candidates]
    return leaves.index(client.settled().peer_certificates[0])


async def test_server_credentials_selected_by_name(ca: CA) -> None:
    exact, wild, other = ca.issue(NAME), ca.issue("*.example"), ca.issue("other.example")
    assert await chosen(ca, [other, wild, exact]) == 2
    assert await chosen(ca, [other, wild]) == 1
    assert await chosen(ca, [other, ca.issue("a.example", NAME.upper())]) == 1


async def test_server_credentials_without_a_match_are_the_first(ca: CA) -> None:
    assert await chosen(ca, [ca.issue("one.example"), ca.issue("two.example")]) == 0


@pytest.mark.parametrize("name", ["*.test.example", "*.le", "other.test.example", "example"])
async def test_server_credentials_names_that_do_not_match(ca: CA, name: str) -> None:
    assert await chosen(ca, [ca.issue("first.example"), ca.issue(name)]) == 0


async def test_server_credentials_selected_by_signature_scheme(ca: CA) -> None:
    pair = [ca.issue(NAME, key_type="RSA-2048"), ca.issue(NAME)]
    assert await chosen(ca, pair, RSA) == 0
    assert await chosen(ca, pair, ECDSA) == 1
    assert await chosen(ca, pair) == 0, "the server's preference"


async def test_server_credentials_wildcard_if_the_exact_names_key_does_not_fit(ca: CA) -> None:
    pair = [ca.issue(NAME), ca.issue("*.example", key_type="RSA-2048")]
    assert await chosen(ca, pair, RSA) == 1


async def test_server_credentials_name_goes_before_the_scheme(ca: CA, version: str) -> None:
    pair = [ca.issue(NAME), ca.issue("other.example", key_type="RSA-2048")]
    client, server = await run_handshake(
        ClientConfig(trust=ca.trust, signature_schemes=RSA),
        ServerConfig(credentials=pair),
        await over_memory(),
    )
    assert client.failed(AlertReceived).alert is Alert.handshake_failure
    needed = "ecdsa_secp256r1_sha256" if version == "TLSv1.3" else "the cipher suites"
    assert needed in str(server.failed(NegotiationError))


async def test_server_credentials_without_server_name_are_the_first(ca: CA) -> None:
    leaves = [ca.issue("127.0.0.2"), ca.issue("127.0.0.1", NAME)]
    transports = await over_memory()
    client = TLSStream(
        transports[0], ClientConfig(insecure_skip_verification=True), server_hostname="127.0.0.1"
    )
    server = TLSStream(transports[1], ServerConfig(credentials=leaves))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.do_handshake)
        nursery.start_soon(server.do_handshake)
    assert client.negotiated.peer_certificates[0] == leaves[0].chain[0]
    assert server.negotiated.server_name is None


# As a hook decides


async def test_select_credentials_returns_credentials(
    ca: CA, client_config: ClientConfig, connect: Connect, make_hook: MakeHook, version: str
) -> None:
    credentials = ca.issue(NAME)
    hook = make_hook(credentials)
    client_config = dataclasses.replace(client_config, alpn_protocols=["h2"])
    server_config = ServerConfig(select_credentials=hook, alpn_protocols=["h2"])
    client, server = await run_handshake(client_config, server_config, await connect())
    assert client.settled().peer_certificates == credentials.chain
    assert server.settled().alpn_protocol == "h2"
    [(request,)] = hook.calls
    assert isinstance(request, ClientHello)
    assert request.server_name == NAME
    assert request.alpn_protocols == ("h2",)
    code, ja4 = {"TLSv1.3": (0x0304, "t13d"), "TLSv1.2": (0x0303, "t12d")}[version]
    assert code in request.versions
    assert request.ja4.startswith(ja4)


async def test_select_credentials_returns_several(
    ca: CA, client_config: ClientConfig, connect: Connect, make_hook: MakeHook
) -> None:
    several = [ca.issue("other.example"), ca.issue(NAME)]
    server_config = ServerConfig(select_credentials=make_hook(several))
    client, _ = await run_handshake(client_config, server_config, await connect())
    assert client.settled().peer_certificates == several[1].chain


async def test_select_credentials_returns_a_config(
    ca: CA, client_config: ClientConfig, connect: Connect, make_hook: MakeHook
) -> None:
    other = ServerConfig(
        credentials=ca.issue(NAME),
        alpn_protocols=["imap"],
        groups=["secp384r1"],
        client_auth="required",
        client_trust=ca.trust,
    )
    client_config = dataclasses.replace(
        client_config, alpn_protocols=["imap"], credentials=ca.issue("client.example")
    )
    server_config = ServerConfig(select_credentials=make_hook(other), alpn_protocols=["h2"])
    client, server = await run_handshake(client_config, server_config, await connect())
    assert client.settled().alpn_protocol == "imap"
    assert server.settled().group == "secp384r1"
    assert server.settled().peer_certificates


@pytest.mark.parametrize(
    ("outcome", "alert"),
    [
        (None, Alert.unrecognized_name),
        (NegotiationError("not now", Alert.unrecognized_name), Alert.unrecognized_name),
        (NegotiationError("not you", Alert.access_denied), Alert.access_denied),
    ],
)
async def test_select_credentials_returns_none(
    client_config: ClientConfig,
    connect: Connect,
    make_hook: MakeHook,
    outcome: object,
    alert: AlertDescription,
) -> None:
    server_config = ServerConfig(select_credentials=make_hook(outcome))
    client, server = await run_handshake(client_config, server_config, await connect())
    assert client.failed(AlertReceived).alert is alert
    assert server.failed(NegotiationError).alert is alert


async def test_select_credentials_raises(
    client_config: ClientConfig, connect: Connect, make_hook: MakeHook
) -> None:
    fault = LookupError("the database is away")
    server_config = ServerConfig(select_credentials=make_hook(fault))
    client, server = await run_handshake(client_config, server_config, await connect())
    assert client.failed(AlertReceived).alert is Alert.internal_error
    assert server.failed(InternalError).__cause__ is fault


@pytest.mark.parametrize("nonsense", [True, b"", "test.example", [], (None,), ...], ids=repr)
async def test_select_credentials_with_a_wrong_result(
    client_config: ClientConfig, connect: Connect, make_hook: MakeHook, nonsense: object
) -> None:
    server_config = ServerConfig(select_credentials=make_hook(nonsense))
    client, server = await run_handshake(client_config, server_config, await connect())
    assert client.failed(AlertReceived).alert is Alert.internal_error
    assert "select_credentials returned" in str(server.failed(InternalError))


async def test_select_credentials_returns_a_config_with_the_same_hook(
    client_config: ClientConfig, make_hook: MakeHook
) -> None:
    hook = make_hook(None)
    hook.outcome = ServerConfig(select_credentials=hook)
    server_config = ServerConfig(select_credentials=hook)
    client, server = await run_handshake(client_config, server_config, await over_memory())
    assert client.failed(AlertReceived).alert is Alert.internal_error
    assert "has a select_credentials too" in str(server.failed(InternalError))


async def test_select_credentials_raises_an_error_of_another_connection(
    client_config: ClientConfig, make_hook: MakeHook
) -> None:
    fault = AlertReceived("the policy server refused us", Alert.access_denied)
    server_config = ServerConfig(select_credentials=make_hook(fault))
    client, server = await run_handshake(client_config, server_config, await over_memory())
    assert client.failed(AlertReceived).alert is Alert.internal_error
    assert server.failed(InternalError).__cause__ is fault


@pytest.mark.parametrize("version", ["TLSv1.3"])
async def test_select_credentials_is_called_once_after_a_retry(
    ca: CA, client_config: ClientConfig, make_hook: MakeHook
) -> None:
    hook = make_hook(ca.issue(NAME))
    server_config = ServerConfig(
        select_credentials=hook, groups=["secp384r1"], require_cookie=True
    )
    client, _ = await run_handshake(client_config, server_config, await over_memory())
    assert client.settled().group == "secp384r1"
    assert len(hook.calls) == 1


def test_credentials_or_select_credentials_are_required(ca: CA) -> None:
    with pytest.raises(ConfigError, match="select_credentials"):
        ServerConfig()
    with pytest.raises(ConfigError, match="select_credentials"):
        ServerConfig(credentials=[])
    with pytest.raises(ConfigError, match="pass one of them"):
        ServerConfig(credentials=ca.issue(NAME), select_credentials=lambda _: None)
    with pytest.raises(ConfigError, match="pass Credentials"):
        ServerConfig(credentials=["cert.pem", "key.pem"])  # pyright: ignore[reportArgumentType]


# While it waits


async def test_cancelled_select_credentials_is_called_again(
    ca: CA, client_config: ClientConfig
) -> None:
    credentials = ca.issue(NAME)
    calls = 0

    async def select(_: ClientHello) -> Credentials:
        nonlocal calls
        calls += 1
        if calls == 1:
            await trio.sleep_forever()
        return credentials

    client, server = memory_tls_pair(client_config, ServerConfig(select_credentials=select))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.do_handshake)
        assert await stays_blocked(server.do_handshake)
        assert calls == 1
        await server.do_handshake()
    assert calls == 2
    assert client.negotiated.peer_certificates == credentials.chain


async def test_select_credentials_timeout(
    ca: CA, client_config: ClientConfig, connect: Connect
) -> None:
    async def select(_: ClientHello) -> Credentials:
        await trio.sleep_forever()
        raise AssertionError

    transports = await connect()
    client = TLSStream(transports[0], client_config, server_hostname=NAME)
    server = TLSStream(
        transports[1], ServerConfig(select_credentials=select), handshake_timeout=0.05
    )

    async def be_server() -> None:
        with pytest.raises(trio.BrokenResourceError) as refusal:
            await server.do_handshake()
        assert isinstance(refusal.value.__cause__, trio.TooSlowError)
        await server.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(be_server)
        with pytest.raises(trio.BrokenResourceError) as refusal:
            await client.do_handshake()
        await trio.aclose_forcefully(client)
    if connect is over_sockets:
        assert isinstance(refusal.value.__cause__, HandshakeShutdown)
