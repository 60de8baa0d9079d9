"""Signers as hooks: plain, async, and failing."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass, replace

import pytest
from hook_pairs import NAME, Connect, Hook, MakeHook, run_handshake

from trio_tlsx import (
    AlertDescription,
    AlertReceived,
    CertificateError,
    ClientConfig,
    ConfigError,
    Credentials,
    InternalError,
    PrivateKeySigner,
    ProtocolError,
    ServerConfig,
    SignatureScheme,
    schemes_for,
)
from trio_tlsx.messages.handshake import HandshakeType
from trio_tlsx.testing import CA

pytestmark = pytest.mark.usefixtures("each_version")

Alert = AlertDescription


@dataclass
class HookedSigner:
    """Asks a hook for each signature; where that gives None, signs with the key."""

    own: PrivateKeySigner
    hook: Hook

    def __post_init__(self) -> None:
        self.schemes = self.own.schemes

    def sign(self, scheme: SignatureScheme, message: bytes) -> bytes | Awaitable[bytes]:
        if self.hook.outcome is None:
            self.hook.outcome = self.own.sign(scheme, message)
        return self.hook(scheme, message)


def hooked(credentials: Credentials, hook: Hook) -> Credentials:
    assert isinstance(credentials.signer, PrivateKeySigner)
    return Credentials(credentials.chain, HookedSigner(credentials.signer, hook))


FAULTS = pytest.mark.parametrize(
    "outcome",
    [OSError("the token is gone"), b"", "a signature", 1, bytearray(b"mutable"), True],
    ids=repr,
)


@pytest.mark.parametrize("key_type", ["P-256", "P-521", "ed25519", "RSA-2048"])
async def test_server_signer(
    ca: CA, connect: Connect, make_hook: MakeHook, key_type: str, version: str
) -> None:
    hook = make_hook(None)
    credentials = ca.issue(NAME, key_type=key_type)
    config = ServerConfig(credentials=hooked(credentials, hook))
    groups = ["x25519", "P-256", "P-521"]  # in TLS 1.2 also the curves of certificates
    client_config = ClientConfig(trust=ca.trust, groups=groups)
    client, server = await run_handshake(client_config, config, await connect())
    server.settled()
    [(scheme, message)] = hook.calls
    assert client.settled().signature_scheme == scheme.name
    assert scheme in schemes_for(credentials.chain[0])
    if version == "TLSv1.2":
        # RFC 8422 5.4: the randoms, and the parameters, which are x25519's public key.
        assert message[64:68] == b"\x03\x00\x1d\x20"
        assert len(message) == 64 + 4 + 32
    else:
        # RFC 9846 4.5.2
        assert message.startswith(b" " * 64 + b"TLS 1.3, server CertificateVerify\0")


@FAULTS
async def test_failing_server_signer(
    ca: CA, connect: Connect, make_hook: MakeHook, outcome: object
) -> None:
    config = ServerConfig(credentials=hooked(ca.issue(NAME), make_hook(outcome)))
    client, server = await run_handshake(ClientConfig(trust=ca.trust), config, await connect())
    error = server.failed(InternalError)
    assert error.__cause__ is outcome or "not a signature" in str(error)
    assert client.failed(AlertReceived).alert is Alert.internal_error


async def test_server_signer_with_another_key(
    ca: CA, connect: Connect, make_hook: MakeHook
) -> None:
    config = ServerConfig(credentials=hooked(ca.issue(NAME), make_hook(b"x" * 70)))
    client, server = await run_handshake(ClientConfig(trust=ca.trust), config, await connect())
    assert client.failed(ProtocolError).alert is Alert.decrypt_error
    assert server.failed(AlertReceived).alert is Alert.decrypt_error


@pytest.fixture(scope="module")
def asking(ca: CA) -> ServerConfig:
    return ServerConfig(credentials=ca.issue(NAME), client_auth="required", client_trust=ca.trust)


async def test_client_signer(
    ca: CA, asking: ServerConfig, connect: Connect, make_hook: MakeHook, version: str
) -> None:
    hook = make_hook(None)
    own = hooked(ca.issue("client.example"), hook)
    config = ClientConfig(trust=ca.trust, credentials=own)
    client, server = await run_handshake(config, asking, await connect())
    client.settled()
    assert server.settled().peer_certificates == own.chain
    [(_, message)] = hook.calls
    if version == "TLSv1.2":
        # RFC 5246 7.4.8: all messages so far, from the ClientHello to the ClientKeyExchange.
        assert message[0] == HandshakeType.client_hello
        assert message[-37:-32] == bytes((HandshakeType.client_key_exchange, 0, 0, 33, 32))
        assert own.der_chain[0] in message
    else:
        assert message.startswith(b" " * 64 + b"TLS 1.3, client CertificateVerify\0")


@FAULTS
async def test_failing_client_signer(
    ca: CA, asking: ServerConfig, connect: Connect, make_hook: MakeHook, outcome: object
) -> None:
    own = hooked(ca.issue("client.example"), make_hook(outcome))
    config = ClientConfig(trust=ca.trust, credentials=own)
    client, server = await run_handshake(config, asking, await connect())
    error = client.failed(InternalError)
    assert error.__cause__ is outcome or "not a signature" in str(error)
    assert server.failed(AlertReceived).alert is Alert.internal_error


async def test_client_signer_with_another_key(
    ca: CA, asking: ServerConfig, connect: Connect, make_hook: MakeHook
) -> None:
    own = hooked(ca.issue("client.example"), make_hook(b"x" * 70))
    config = ClientConfig(trust=ca.trust, credentials=own)
    client, server = await run_handshake(config, asking, await connect())
    client.settled_before(Alert.decrypt_error)
    assert server.failed(ProtocolError).alert is Alert.decrypt_error


async def test_signer_selects_the_alert(
    ca: CA, asking: ServerConfig, connect: Connect, make_hook: MakeHook
) -> None:
    refusal = CertificateError("the token is locked", Alert.access_denied)
    config = replace(asking, credentials=hooked(ca.issue(NAME), make_hook(refusal)))
    client, server = await run_handshake(ClientConfig(trust=ca.trust), config, await connect())
    assert server.failed(CertificateError) is refusal
    assert client.failed(AlertReceived).alert is Alert.access_denied


def test_signer_without_a_scheme_for_the_certificate(ca: CA, make_hook: MakeHook) -> None:
    one, other = ca.issue(NAME), ca.issue(NAME, key_type="ed25519")
    signer = hooked(one, make_hook(None)).signer
    with pytest.raises(ConfigError, match="ecdsa_secp256r1_sha256"):
        Credentials(other.chain, signer)
