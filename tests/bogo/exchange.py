"""What the shim does once it knows its flags: connect, handshake, echo, shut down."""

from __future__ import annotations

import socket
import sys
from typing import Literal

from expectations import check_handshake, check_session
from flags import Flags, Unimplemented
from identity import Disappointed, Identity
from settings import NO_NAME, Memory, Verification, client_config, server_config
from transport import Transport

from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import TLSError, Truncated

__all__ = ["run"]

READ_SIZE = 512
INITIAL_WRITE = b"hello"
INVERTED = bytes(octet ^ 0xFF for octet in range(256))


def run(flags: dict[str, Flags]) -> int:
    """Make the connections that the flags describe; return the exit status."""
    memory = Memory(flags["initial"])
    try:
        for number in range(flags["initial"].number("-resume-count") + 1):
            Exchange(flags["resume" if number else "initial"], memory, resuming=number > 0).run()
    except Unimplemented as reason:
        print(reason)
        return 89
    except Disappointed as reason:
        print(reason, file=sys.stderr)
        return 1
    except TLSError as error:
        print(f":{token(error)}: {error}", file=sys.stderr)
        return 1
    return 0


def token(error: TLSError) -> str:
    """A name for what happened that does not change with our sentences; config.json maps to it."""
    name = type(error).__name__
    return name if error.alert is None else f"{name}.{error.alert.name}"


class Exchange:
    """One TCP connection from beginning to end."""

    def __init__(self, flags: Flags, memory: Memory, *, resuming: bool) -> None:
        self._flags = flags
        self._memory = memory
        self._resuming = resuming
        self._identity = Identity(flags)
        self._verification = Verification(flags)
        self._messages: list[str] = []
        self._secrets: dict[str, bytes] = {}
        self._connection = self._make_connection()

    def _make_connection(self) -> Connection:
        flags, memory = self._flags, self._memory
        settings = flags, memory, self._identity, self._verification, self._log_key
        if "-server" in flags:
            return Connection.server(server_config(*settings), observer=self._observe)
        if self._resuming and memory.offered is None:
            raise Disappointed("there is no session to offer")
        name = flags.text("-host-name") or NO_NAME
        return Connection.client(client_config(*settings), name, observer=self._observe)

    def _observe(self, _way: Literal["sent", "received"], name: str, _length: int) -> None:
        self._messages.append(name)

    def _log_key(self, line: str) -> None:
        label, _, secret = line.split()
        self._secrets[label] = bytes.fromhex(secret)

    def run(self) -> None:
        flags = self._flags
        host = "::1" if "-ipv6" in flags else "127.0.0.1"
        with socket.create_connection((host, flags.number("-port"))) as sock:
            sock.sendall(flags.number("-shim-id").to_bytes(8, "little"))
            transport = Transport(self._connection, sock, one_by_one="-async" in flags)
            try:
                transport.handshake()
                if "-implicit-handshake" not in flags:
                    self._check_handshake()
                self._talk(transport)
            finally:
                transport.close()
        self._memory.next_connection(flags.number("-resumption-delay"))

    def _check_handshake(self) -> None:
        check_handshake(
            self._flags,
            self._connection,
            self._messages,
            self._identity,
            self._verification,
            resuming=self._resuming,
        )

    def _talk(self, transport: Transport) -> None:
        """Write and echo as the flags say, then shut down."""
        flags, connection = self._flags, self._connection
        self._export(transport)
        initial = flags.octets("-shim-initial-write") or INITIAL_WRITE
        if "-read-with-unfinished-write" in flags:
            connection.write(memoryview(initial))
            transport.flush(at_most=1)
        elif "-shim-writes-first" in flags:
            for _ in range(flags.number("-repeat-shim-initial-write", 1)):
                transport.write(initial)
        ended_cleanly = False
        if "-shim-shuts-down" not in flags:
            ended_cleanly = self._echo(transport)
        if "-server" not in flags:
            check_session(flags, self._memory)
        if "-check-close-notify" not in flags:
            return
        connection.shutdown()
        transport.flush()
        if "-shim-shuts-down" in flags:
            ended_cleanly = await_close_notify(transport)
        if not ended_cleanly:
            raise Disappointed("Unexpected SSL_shutdown result: -1 != 1")

    def _export(self, transport: Transport) -> None:
        """Tell the runner, over the connection, what both sides can derive from it."""
        flags = self._flags
        if length := flags.number("-export-keying-material"):
            label = flags.octets("-export-label").decode("latin-1")
            context = flags.octets("-export-context")
            transport.write(self._connection.export_keying_material(label, length, context))
        if "-export-traffic-secrets" in flags:
            sides = ("CLIENT", "SERVER") if "-server" in flags else ("SERVER", "CLIENT")
            secrets = [self._secrets[f"{side}_TRAFFIC_SECRET_0"] for side in sides]
            transport.write(len(secrets[0]).to_bytes(2, "little") + b"".join(secrets))

    def _echo(self, transport: Transport) -> bool:
        """Send all back with its bits inverted; say whether the end was ``close_notify``."""
        size = self._flags.number("-read-size") or READ_SIZE
        try:
            while data := transport.read(size):
                if "-key-update" in self._flags:
                    self._connection.update_keys()
                transport.write(data.translate(INVERTED))
        except Truncated:
            return False
        return True


def await_close_notify(transport: Transport) -> bool:
    """Wait for the peer's ``close_notify``, like SSL_shutdown, which wants no data before it."""
    try:
        if transport.read(READ_SIZE):
            raise Disappointed(":APPLICATION_DATA_ON_SHUTDOWN:")
    except Truncated:
        return False
    return True
