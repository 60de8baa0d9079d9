"""Node's tls: the OpenSSL that Node was built with."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import ClassVar

from peer import CannotDoThat, Inabilities, Inability, inabilities_of_openssl
from program_peer import PROGRAMS, ProgramPeer

__all__ = ["NodePeer"]

NO_KEY_UPDATE = Inability("it answers a KeyUpdate, and cannot begin with one", CannotDoThat)

NO_ALERT = Inability(
    "it verifies after the handshake, and closes without an alert", AssertionError
)


@cache
def openssl_version() -> tuple[int, ...]:
    """The version of Node's OpenSSL; the empty one where Node is not installed."""
    node = shutil.which("node")
    if node is None:
        return ()
    command = [node, "-p", "JSON.stringify(process.versions.openssl)"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return tuple(map(int, json.loads(output).split("+")[0].split(".")[:2]))


class NodePeer(ProgramPeer):
    name = "node"
    needs = (("node", "nodejs"),)
    cannot: ClassVar[Inabilities] = {
        ("client", "update keys"): NO_KEY_UPDATE,
        ("server", "update keys"): NO_KEY_UPDATE,
        ("server", "session ids"): Inability("it stores no sessions", CannotDoThat),
        ("server", "cookie"): Inability("it has no API for a server's cookies", CannotDoThat),
        ("client", "wrong CA"): NO_ALERT,
        ("client", "wrong name"): NO_ALERT,
        ("server", "wrong CA"): NO_ALERT,
        ("server", "count tickets"): Inability("it has no API for their number", AssertionError),
        **inabilities_of_openssl(openssl_version(), AssertionError),
    }

    def command(self) -> Sequence[str | Path]:
        return ["node", PROGRAMS / "peer.mjs"]
