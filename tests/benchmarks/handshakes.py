"""Measure handshakes without hooks and with each of them, interleaved in one run.

    python tests/benchmarks/handshakes.py [--rounds N]

Both sides are in this process, over nothing: what is measured is the engine, in microseconds of
the processor for both sides together, so that what else the machine does matters little. A hook
here is a plain function that does nothing; what it costs beyond that is what is asked, not how.
"""

from __future__ import annotations

import argparse
import gc
import random
import statistics
import time
from collections import defaultdict
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

NAME = "test.example"
IN_A_ROW = 10  # handshakes of one case, then the next case

Configs = tuple[ClientConfig, ServerConfig]


class PlainSigner:
    """A signer of a program's own."""

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
    """What is compared: the configurations, and the case that a hook is added to."""
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


def measure(cases: dict[str, tuple[str | None, Configs]], rounds: int) -> dict[str, list[float]]:
    """Microseconds of a handshake, of each round."""
    figures: dict[str, list[float]] = defaultdict(list)
    gc.disable()
    for number in range(rounds + 1):
        gc.collect()
        for name in random.sample(list(cases), len(cases)):  # none is always the first
            _, configs = cases[name]
            start = time.process_time()
            for _ in range(IN_A_ROW):
                shake_hands(configs)
            if number:  # the first is to warm up
                figures[name].append((time.process_time() - start) / IN_A_ROW * 1e6)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=40, help="how often each case runs")
    rounds: int = parser.parse_args().rounds
    cases = make_cases()
    figures = measure(cases, rounds)
    print(f"{f'medians of {rounds} rounds':44}{'us':>8}{'ratio':>8}")
    for name, (base, _) in cases.items():
        pairs = zip(figures[name], figures[base or name], strict=True)
        ratio = statistics.median(own / without for own, without in pairs)
        print(f"{name:44}{statistics.median(figures[name]):>8,.0f}{ratio:>8.2f}")


if __name__ == "__main__":
    main()
