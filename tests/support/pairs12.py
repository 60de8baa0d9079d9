"""Configurations of our own two roles for TLS 1.2."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from engine_pairs import CLIENT, SERVER, failure_of, shake_hands

from trio_tlsx.config.client import ClientConfig
from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import AlertDescription as A
from trio_tlsx.errors import AlertReceived
from trio_tlsx.handshake import client_hello
from trio_tlsx.messages.handshake import ClientHello
from trio_tlsx.sessions.client import MemorySessionStore

__all__ = ["BOTH", "CLIENT_12", "SERVER_12", "alert_of", "changed_hello", "stored"]

BOTH = ("TLSv1.3", "TLSv1.2")
GROUPS = ("x25519", "P-256", "P-384", "P-521")
CLIENT_12 = replace(CLIENT, versions=("TLSv1.2",), groups=GROUPS)
SERVER_12 = replace(SERVER, versions=("TLSv1.2",), groups=GROUPS)


def stored(**options: Any) -> tuple[ClientConfig, MemorySessionStore]:
    """Return a configuration that resumes sessions, and the store that it has them in."""
    store = MemorySessionStore()
    config = replace(
        CLIENT_12, resumption=True, session_store=store, session_context=b"test", **options
    )
    return config, store


@contextmanager
def changed_hello(
    extensions: Mapping[int, bytes | None] | None = None, **fields: Any
) -> Generator[None, None, None]:
    """Have our clients send another ClientHello.

    Args:
        extensions: bodies to add or replace; None leaves the extension out.
        fields: of the message.
    """
    make = client_hello.hello_without_psks

    def changed(*args: Any) -> ClientHello:
        made = make(*args)
        bodies = {**made.extensions, **(extensions or {})}
        kept = {code: body for code, body in bodies.items() if body is not None}
        return replace(made, extensions=kept, **fields)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client_hello, "hello_without_psks", changed)
        yield


def alert_of(client: Connection, server: Connection) -> A | None:
    """Have the handshake fail on one side; return the alert that the other side receives."""
    alert = failure_of(lambda: shake_hands(client, server)).alert
    received = [failure_of(one.do_handshake) for one in (client, server)]
    assert [error.alert for error in received] == [alert, alert]
    assert any(isinstance(error, AlertReceived) for error in received)
    return alert
