"""The messages that an observer of a stream receives."""

from __future__ import annotations

import itertools
from functools import partial

import pytest
from tls_pairs import MEMORY, Engine, handshake

from trio_tlsx.errors import ConfigError
from trio_tlsx.sessions.client import MemorySessionStore

#: The messages of a full handshake, and how many come from each side in turn.
FLIGHTS = {
    "TLSv1.3": (
        [
            "client_hello",
            "server_hello",
            "encrypted_extensions",
            "certificate",
            "certificate_verify",
            "finished",
            "finished",
        ],
        (1, 5, 1),
    ),
    "TLSv1.2": (
        [
            "client_hello",
            "server_hello",
            "certificate",
            "server_key_exchange",
            "server_hello_done",
            "client_key_exchange",
            "finished",
            "new_session_ticket",
            "finished",
        ],
        (1, 4, 2, 2),
    ),
}


async def test_observer_receives_each_message_of_the_handshake(native: Engine) -> None:
    seen: dict[str, list[tuple[str, str, int]]] = {"client": [], "server": []}

    def observe(role: str, direction: str, name: str, length: int) -> None:
        seen[role].append((direction, name, length))

    ends = await MEMORY.connect()
    engine = native.with_client(session_store=MemorySessionStore(), session_context=b"test")
    client = engine.client(ends[0], observer=partial(observe, "client"))
    server = engine.server(ends[1], observer=partial(observe, "server"))
    await handshake(client, server)
    messages, counts = FLIGHTS[native.version]
    assert [name for _, name, _ in seen["client"]] == messages
    assert [name for _, name, _ in seen["server"][: len(messages)]] == messages
    sides = itertools.cycle(["sent", "received"])
    expected = [side for count in counts for side in [next(sides)] * count]
    assert [direction for direction, _, _ in seen["client"]] == expected
    assert all(length > 0 for _, _, length in seen["client"])


async def test_openssl_has_no_observer(openssl: Engine) -> None:
    ends = await MEMORY.connect()
    for make, end in zip((openssl.client, openssl.server), ends, strict=True):
        with pytest.raises(ConfigError, match="observer is for a ClientConfig"):
            make(end, observer=print)
