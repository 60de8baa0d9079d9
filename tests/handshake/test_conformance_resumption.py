"""What BoringSSL's runner found where a session is resumed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from engine_pairs import SERVER, authority, established, read_all, send

from trio_tlsx import ClientConfig
from trio_tlsx.engine.connection import Connection
from trio_tlsx.handshake import client13
from trio_tlsx.messages.extensions import ExtensionType


@pytest.fixture
def client() -> ClientConfig:
    return ClientConfig(trust=authority.trust, groups=["x25519"])


def connect(client: ClientConfig) -> Connection:
    """A whole connection, after which the client has the tickets."""
    ours, theirs = established(client, SERVER)
    send(theirs, ours, b"hello")
    assert read_all(ours) == b"hello"
    return ours


def test_a_name_is_not_acknowledged_again(
    client: ClientConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 6066 3."""
    answers: list[Mapping[int, bytes]] = []
    apply_extensions: Any = client13.apply_extensions

    def spy(hs: Any, config: Any, extensions: Mapping[int, bytes], *rest: Any) -> Any:
        answers.append(extensions)
        return apply_extensions(hs, config, extensions, *rest)

    monkeypatch.setattr(client13, "apply_extensions", spy)
    assert [connect(client).negotiated.resumed for _ in range(2)] == [False, True]
    assert [ExtensionType.server_name in answer for answer in answers] == [True, False]
