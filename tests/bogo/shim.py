#!/usr/bin/env -S python3 -W ignore
"""The program that BoringSSL's runner ("BoGo") starts for each of its tests; see README.md.

The shim connects the runner to the TLS stack under test. Flags set its role and its expectations.
It connects to the runner over TCP and runs our engine over a blocking socket. Its exit status and
its standard error report the result.

The runner starts the shim thousands of times, often for tests that the shim does not support. So
the shim reads and rejects flags before it imports slow modules.
"""

from __future__ import annotations

import os
import sys
import types

from flags import Flags, Unimplemented, parse, versions

UNIMPLEMENTED = 89


def check_implemented(flags: Flags) -> None:
    """Find out early that a test needs what we do not have."""
    if not versions(flags):
        raise Unimplemented("only TLS 1.3 and TLS 1.2")


def main() -> int:
    if "-is-handshaker-supported" in sys.argv:
        print("No")
        return 0
    try:
        flags = parse(sys.argv[1:])
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
