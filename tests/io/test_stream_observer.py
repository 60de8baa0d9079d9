"""The messages that an observer of a stream receives."""

from __future__ import annotations

from functools import partial

import pytest
from tls_pairs import MEMORY, Engine, handshake

from trio_tlsx.errors import ConfigError

FLIGHTS = [
    "client_hello",
    "server_hello",
    "encrypted_extensions",
    "certificate",
    "certificate_verify",
    "finished",
    "finished",
]


async def test_observer_receives_each_message_of_the_handshake(native: Engine) -> None:
    seen: dict[str, list[tuple[str, str, int]]] = {"client": [], "server": []}

    def observe(role: str, direction: str, name: str, length: int) -> None:
        seen[role].append((direction, name, length))

    ends = await MEMORY.connect()
    client = native.client(ends[0], observer=partial(observe, "client"))
    server = native.server(ends[1], observer=partial(observe, "server"))
    await handshake(client, server)
    assert [name for _, name, _ in seen["client"]] == FLIGHTS
    assert [name for _, name, _ in seen["server"][: len(FLIGHTS)]] == FLIGHTS
    directions = [direction for direction, _, _ in seen["client"]]
    assert directions == ["sent", *["received"] * 5, "sent"]
    assert all(length > 0 for _, _, length in seen["client"])


async def test_openssl_has_no_observer(openssl: Engine) -> None:
    ends = await MEMORY.connect()
    for make, end in zip((openssl.client, openssl.server), ends, strict=True):
        with pytest.raises(ConfigError, match="observer is for a ClientConfig"):
            make(end, observer=print)
