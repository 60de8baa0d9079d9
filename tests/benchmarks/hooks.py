"""Measure hooks: handshakes in memory with a hook that does nothing, and without hooks."""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Awaitable
from dataclasses import replace

from trio_tlsx import (
    ClientConfig,
    Connection,
    Credentials,
    ServerConfig,
    Session,
    SignatureScheme,
    Signer,
    Want,
)
from trio_tlsx.testing import CA

from .measurement import Bench
from .settings import NAME

ROUNDS_TIMES = 10  #: such a small difference needs more rounds than the others

Configs = tuple[ClientConfig, ServerConfig]


class PlainSigner:
    """A signer that a program defines."""

    def __init__(self, signer: Signer) -> None:
        self.schemes = signer.schemes
        self._signer = signer

    def sign(self, scheme: SignatureScheme, message: bytes) -> bytes | Awaitable[bytes]:
        return self._signer.sign(scheme, message)


class EmptyStore:
    """A session store that keeps nothing."""

    def put(self, session: Session) -> None: ...

    def take(self, server_name: str, port: int | None, context: bytes) -> None: ...


def agree(_: object) -> None: ...


def make_cases() -> dict[str, tuple[str | None, Configs]]:
    """Return the configurations to compare, each with the case that its hook is added to."""
    ca = CA()
    leaf = ca.issue(NAME)
    signing = Credentials(leaf.chain, PlainSigner(leaf.signer))
    client = ClientConfig(trust=ca.trust, groups=["x25519"], resumption=False)
    server = ServerConfig(credentials=leaf, groups=["x25519"])
    asking = replace(server, client_auth="required", client_trust=ca.trust)
    known = replace(client, credentials=leaf)
    plain, mutual = "no hook", "no hook, client certificate"
    store = {"resumption": True, "session_store": EmptyStore(), "session_context": b"benchmark"}

    def select(_: object) -> Credentials:
        return leaf

    selecting = {"credentials": None, "select_credentials": select}
    return {
        plain: (None, (client, server)),
        "server: select_credentials": (plain, (client, replace(server, **selecting))),
        "server: signer": (plain, (client, replace(server, credentials=signing))),
        "client: verify": (plain, (replace(client, verify=agree), server)),
        "server: stapling (and client: verify)": (
            plain,
            (
                replace(client, verify=agree),
                replace(server, credentials=leaf.stapling(lambda: b"response")),
            ),
        ),
        "client: session_store, without a session": (plain, (replace(client, **store), server)),
        mutual: (None, (known, asking)),
        "client: select_credentials": (mutual, (replace(client, **selecting), asking)),
        "client: signer": (mutual, (replace(client, credentials=signing), asking)),
        "server: verify": (mutual, (known, replace(asking, verify=agree))),
    }


def shake_hands(configs: Configs) -> None:
    client, server = Connection.client(configs[0], NAME), Connection.server(configs[1])
    while server.do_handshake() is not Want.NOTHING or client.do_handshake() is not Want.NOTHING:
        for one, other in ((server, client), (client, server)):
            one.do_handshake()
            if output := one.data_to_send():
                other.receive_data(output)


def hooks(bench: Bench) -> None:
    """Complete full handshakes of both sides in memory, with each hook and without."""
    cases = make_cases()
    times: dict[str, float] = {}
    gc.disable()
    for number in range(bench.results.rounds * ROUNDS_TIMES + 1):
        gc.collect()
        for name in random.sample(list(cases), len(cases)):
            start = time.thread_time()
            for _ in range(bench.sizes.handshakes_in_memory // 2 + 1):
                shake_hands(cases[name][1])
            times[name] = (time.thread_time() - start) * 1e6
        if number == 0:
            continue  # the first is to warm up
        for name, (base, _) in cases.items():
            figure = bench.results.find_or_add("hooks", name, "", "trio_tlsx", "of no hook", "")
            figure.add({"of no hook": times[name] / times[base or name]})
    gc.enable()
