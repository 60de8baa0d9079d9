"""No secret is in a repr, a log line, an error or a frame of a failed handshake."""

from __future__ import annotations

import gc
import hashlib
import logging
from dataclasses import replace
from traceback import walk_tb
from types import FunctionType, ModuleType

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from engine_pairs import (
    ASKING_SERVER,
    CLIENT,
    carry,
    connections,
    credentials,
    failure_of,
    sealed,
    shake_hands,
)

from trio_tlsx.crypto.key_schedule import HmacKey
from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import ProtocolError
from trio_tlsx.handshake import client13
from trio_tlsx.pki.credentials import PrivateKeySigner

STEPS = 4


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> set[bytes]:
    """All that HKDF returns, as it is and padded, and the private key; grows on the way."""
    signer = credentials().signer
    assert isinstance(signer, PrivateKeySigner)
    assert isinstance(signer.private_key, ec.EllipticCurvePrivateKey)
    found = {signer.private_key.private_numbers().private_value.to_bytes(32)}
    hmac = HmacKey.hmac

    def noted_hmac(key: HmacKey, message: bytes) -> bytes:
        output = hmac(key, message)
        found.update({output, *HmacKey(hashlib.sha256, output).padded})
        return output

    monkeypatch.setattr(HmacKey, "hmac", noted_hmac)
    return found


def reachable(root: object) -> list[object]:
    """Everything of ours that hangs on ``root``, also in the frames of its generators."""
    seen: dict[int, object] = {}
    waiting: list[object] = [root]
    while waiting:
        found = waiting.pop()
        if id(found) in seen or isinstance(found, type | ModuleType | FunctionType):
            continue
        seen[id(found)] = found
        waiting += gc.get_referents(found)
    return [one for one in seen.values() if type(one).__module__.startswith("trio_tlsx")]


def assert_silent(texts: list[str], secrets: set[bytes]) -> None:
    whole = "\n".join(texts)
    for secret in secrets:
        # enough of one to be no coincidence, in the ways in which Python writes bytes and numbers
        head = secret[:8]
        assert repr(head)[2:-1] not in whole
        assert head.hex() not in whole
        assert str(int.from_bytes(secret)) not in whole


def texts_of(*connections: Connection) -> list[str]:
    found = [one for connection in connections for one in reachable(connection)]
    return [text for one in found for text in (repr(one), str(one))]


def test_secrets_are_in_no_repr(secrets: set[bytes], caplog: pytest.LogCaptureFixture) -> None:
    """At each step of a handshake, and after it."""
    caplog.set_level(logging.DEBUG)
    pair = connections(replace(CLIENT, credentials=credentials()), ASKING_SERVER)
    kinds: set[str] = set()
    for _ in range(STEPS):
        for one, other in (pair, pair[::-1]):
            one.do_handshake()
            assert_silent(texts_of(*pair), secrets)
            kinds |= {type(found).__name__ for c in pair for found in reachable(c)}
            carry(one, other)
    shake_hands(*pair)
    assert_silent(texts_of(*pair), secrets)
    assert_silent([caplog.text], secrets)
    assert len(secrets) > 20
    # so that the walk is known to go where secrets are
    assert {"HandshakeSecret", "Sealer", "Opener", "Established", "Credentials"} <= kinds


def test_secrets_are_in_no_error(secrets: set[bytes]) -> None:
    client, server = connections()
    shake_hands(client, server)
    record = bytearray(sealed(client, b"data"))
    record[-1] ^= 1
    server.receive_data(record)
    error = failure_of(server.read)
    assert_silent([str(error), repr(error)], secrets)


@pytest.mark.parametrize("fault", [ProtocolError("not like this"), ArithmeticError("nor this")])
def test_secrets_are_in_no_frame_of_a_failed_handshake(
    monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    def refuse(*_: object) -> None:
        raise fault

    client, server = connections()
    client.do_handshake()
    carry(client, server)
    server.do_handshake()
    carry(server, client)
    monkeypatch.setattr(client13, "apply_extensions", refuse)
    failure_of(client.do_handshake)
    assert fault.__traceback__ is not None
    variables = {name for frame, _ in walk_tb(fault.__traceback__) for name in frame.f_locals}
    assert not {name for name in variables if "secret" in name or name == "keys"}
