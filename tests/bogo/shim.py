#!/usr/bin/env -S python3 -W ignore
"""The program that BoringSSL's runner ("BoGo") starts for each of its tests; see README.md.

It stands for the TLS stack under test: it is told by flags what to be and what to expect, connects
to the runner over TCP, speaks TLS through our engine, and says by its exit status and its standard
error how that ended. It drives the engine with a plain blocking socket.

The runner starts it some thousand times, mostly for tests that it leaves out: so flags are read,
and refused, before anything is imported that takes time.
"""

from __future__ import annotations

import os
import sys
import types

from flags import Flags, Unimplemented, parse

UNIMPLEMENTED = 89
TLS13 = 0x0304


def check_implemented(flags: Flags) -> None:
    """Find out early that a test needs what we do not have."""
    if not flags.number("-min-version") <= TLS13 <= flags.number("-max-version", TLS13):
        raise Unimplemented("only TLS 1.3")
    if "-no-tls13" in flags:
        raise Unimplemented("only TLS 1.3")


def main() -> int:
    try:
        flags = parse(sys.argv[1:])
        if "-is-handshaker-supported" in flags["initial"]:
            print("No")
            return 0
        for each in flags.values():
            check_implemented(each)
    except Unimplemented as reason:
        print(reason)
        return UNIMPLEMENTED
    # The package's own __init__ imports trio, which costs as much time as all the rest together
    # and which the engine does without. This package has the same modules, without that.
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    package = types.ModuleType("trio_tlsx")
    package.__path__ = [os.path.join(root, "trio_tlsx")]
    sys.modules["trio_tlsx"] = package
    import exchange

    return exchange.run(flags)


if __name__ == "__main__":
    sys.exit(main())
