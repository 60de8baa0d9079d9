"""Run one connection of the shim: connect, handshake, echo, shut down."""

from __future__ import annotations

import socket
import sys
from typing import Literal

from expectations import check_handshake, check_rejection, check_session
from flags import Flags, Unimplemented
from identity import Disappointed, Identity
from settings import NO_NAME, Memory, Verification, client_config, server_config
from transport import Transport

from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import ConfigError, ECHRejected, TLSError, Truncated

__all__ = ["run"]

READ_SIZE = 512
INITIAL_WRITE = b"hello"
INVERTED = bytes(octet ^ 0xFF for octet in range(256))


def run(flags: dict[str, Flags]) -> int:
    """Make the connections that the flags describe; return the exit status."""
    memory = Memory(flags["initial"])
    try:
        for number in range(flags["initial"].number("-resume-count") + 1):
            Exchange(flags, memory, resuming=number > 0).run()
    except Unimplemented as reason:
        print(reason)
        return 89
    except Disappointed as reason:
        print(reason, file=sys.stderr)
        return 1
    except TLSError as error:
        print(f":{token(error)}: {error}", file=sys.stderr)
        return 1
    except ConfigError as error:
        print(f":ConfigError: {error}", file=sys.stderr)
        return 1
    return 0


def token(error: TLSError) -> str:
    """A name for what happened that does not change with our sentences; config.json maps to it."""
    name = type(error).__name__
    return name if error.alert is None else f"{name}.{error.alert.name}"


class Exchange:
    """One TCP connection from beginning to end."""

    def __init__(self, flags: dict[str, Flags], memory: Memory, *, resuming: bool) -> None:
        self._offer_flags = flags["resume" if resuming else "initial"]
        self._flags = self._offer_flags
        if "-server" not in self._flags and "-expect-reject-early-data" in self._flags:
            # To BoringSSL's client this is a connection of its own, from the rejection on.
            self._flags = flags["retry"]
        self._memory = memory
        self._resuming = resuming
        self._identity = Identity(self._flags)
        self._early_data = self._choose_early_data()
        self._verification = Verification(
            self._flags, before_early_data=self._offer_flags if self._early_data else None
        )
        self._messages: list[str] = []
        self._secrets: dict[str, bytes] = {}
        self._connection = self._make_connection()

    def _choose_early_data(self) -> bytes:
        """What a client sends early of what it writes first: as much as the server takes."""
        flags, session = self._offer_flags, self._memory.offered
        if "-shim-writes-first" not in flags or "-enable-early-data" not in flags:
            return b""
        return initial_write(flags)[: session.max_early_data_size] if session else b""

    def _make_connection(self) -> Connection:
        flags, memory = self._offer_flags, self._memory
        settings = flags, memory, self._identity, self._verification, self._log_key
        if "-server" in flags:
            connection = Connection.server(server_config(*settings), observer=self._observe)
            if "-enable-early-data" in flags:
                connection.accept_early_data()
            return connection
        if self._resuming and memory.offered is None:
            raise Disappointed("there is no session to offer")
        return Connection.client(
            client_config(*settings),
            flags.text("-host-name") or NO_NAME,
            early_data=self._early_data,
            observer=self._observe,
        )

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
                if self._early_data and "-export-keying-material" in flags:
                    self._export_too_early()
                transport.handshake(lambda: self._answer_early_data(transport))
                if "-implicit-handshake" not in flags:
                    self._check_handshake()
                self._talk(transport)
            except ECHRejected as rejection:
                check_rejection(flags, rejection)
                raise
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
        if self._early_data and connection.negotiated.early_data_accepted:
            transport.write(initial_write(self._offer_flags)[len(self._early_data) :])
        elif "-read-with-unfinished-write" in flags:
            connection.write(memoryview(initial_write(flags)))
            transport.flush(at_most=1)
        elif "-shim-writes-first" in flags:
            transport.write(initial_write(flags))
        ended_cleanly = False
        if "-shim-shuts-down" not in flags:
            ended_cleanly = self._echo(transport)
        if "-server" not in flags and connection.negotiated.psk_identity is None:
            check_session(flags, self._memory, connection)
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
            given = "-use-export-context" in flags
            context = flags.octets("-export-context") if given else None
            transport.write(self._connection.export_keying_material(label, length, context))
        if "-tls-unique" in flags:
            if (binding := self._connection.channel_binding("tls-unique")) is None:
                raise Disappointed("failed to get tls-unique")
            transport.write(binding)
        if "-export-traffic-secrets" in flags:
            sides = ("CLIENT", "SERVER") if "-server" in flags else ("SERVER", "CLIENT")
            secrets = [self._secrets[f"{side}_TRAFFIC_SECRET_0"] for side in sides]
            transport.write(len(secrets[0]).to_bytes(2, "little") + b"".join(secrets))

    def _answer_early_data(self, transport: Transport) -> None:
        """Echo what has come early before the client has finished (RFC 9846 2.3)."""
        while data := self._connection.read_early_data():
            transport.write(data.translate(INVERTED))

    def _export_too_early(self) -> None:
        """Do what a client of BoringSSL's could do in the middle of its handshake."""
        try:
            self._connection.export_keying_material("label", 1)
        except RuntimeError as refusal:
            raise Disappointed(f":HANDSHAKE_NOT_COMPLETE: {refusal}") from refusal

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


def initial_write(flags: Flags) -> bytes:
    """What is written before anything is read."""
    initial = flags.octets("-shim-initial-write") or INITIAL_WRITE
    return initial * flags.number("-repeat-shim-initial-write", 1)


def await_close_notify(transport: Transport) -> bool:
    """Wait for the peer's ``close_notify``, like SSL_shutdown, which wants no data before it."""
    try:
        if transport.read(READ_SIZE):
            raise Disappointed(":APPLICATION_DATA_ON_SHUTDOWN:")
    except Truncated:
        return False
    return True
