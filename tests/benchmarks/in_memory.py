"""Complete handshakes without a transport, both sides in one thread, on its CPU clock.

    python -m tests.benchmarks.in_memory PKI SETTING HANDSHAKES

The process prints what each library negotiates, then the figures of a round for each line that it
reads.

Each side is a function that takes received octets and returns the octets to send. After the
handshake the server sends one octet, together with its tickets.
"""

from __future__ import annotations

import gc
import json
import random
import sys
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from .configurations import (
    client_context,
    ours,
    pyopenssl,
    server_context,
    siotls,
    tlslite_credentials,
    tlslite_settings,
)
from .settings import NAME, PKI, X25519, Setting
from .wire import read_server_hello

MAX_FLIGHTS = 10


class InMemory(ABC):
    """A library whose client and server need no socket."""

    name: ClassVar[str]
    module: ClassVar[str]
    slowness: ClassVar[int] = 1
    resumes: ClassVar[bool] = True
    hybrid: ClassVar[bool] = True
    tls12: ClassVar[bool] = True

    @classmethod
    def missing(cls) -> str | None:
        """Return why this Python cannot run the library; None if it can."""
        try:
            import_module(cls.module)
        except ImportError as error:
            return f"{cls.module} is not installed: {error}"
        return None

    @abstractmethod
    def __init__(self, pki: PKI, setting: Setting) -> None: ...

    @abstractmethod
    def start(self) -> None:
        """Make a client and a server."""

    @abstractmethod
    def client(self, data: bytes) -> bytes:
        """Pass the data to the client; return its output."""

    @abstractmethod
    def server(self, data: bytes) -> bytes:
        """Pass the data to the server; return its output.

        When its handshake is complete it sends one octet, once.
        """

    @abstractmethod
    def received(self) -> bool:
        """Return whether the client has received the server's octet; keep its session."""


class Ours(InMemory):
    name = "trio_tlsx"
    module = "trio_tlsx"

    def __init__(self, pki: PKI, setting: Setting) -> None:
        self._tls: Any = import_module("trio_tlsx")
        self._client_config, self._server_config = ours(pki, setting)

    def start(self) -> None:
        self._client = self._tls.Connection.client(self._client_config, NAME)
        self._server = self._tls.Connection.server(self._server_config)
        self._greeted = False

    def client(self, data: bytes) -> bytes:
        if data:
            self._client.receive_data(data)
        self._client.do_handshake()
        return self._client.data_to_send()

    def server(self, data: bytes) -> bytes:
        self._server.receive_data(data)
        self._server.do_handshake()
        if self._server.handshake_complete and not self._greeted:
            self._greeted = True
            self._server.write(memoryview(b"!"))
        return self._server.data_to_send()

    def received(self) -> bool:
        return self._client.handshake_complete and self._client.read(1) == b"!"


class Stdlib(InMemory):
    name = "stdlib ssl"
    module = "ssl"

    def __init__(self, pki: PKI, setting: Setting) -> None:
        self._ssl: Any = import_module("ssl")
        self._client_context = client_context(pki, setting)
        self._server_context = server_context(pki, setting)
        self._tickets = setting.tickets

    def start(self) -> None:
        bio = self._ssl.MemoryBIO
        self._to_client, self._from_client = bio(), bio()
        self._to_server, self._from_server = bio(), bio()
        self._client = self._client_context.wrap_bio(
            self._to_client, self._from_client, server_hostname=NAME
        )
        self._server = self._server_context.wrap_bio(
            self._to_server, self._from_server, server_side=True
        )
        self._greeted = False

    def client(self, data: bytes) -> bytes:
        self._to_client.write(data)
        with suppress(self._ssl.SSLWantReadError):
            self._client.do_handshake()
        return self._from_client.read()

    def server(self, data: bytes) -> bytes:
        self._to_server.write(data)
        with suppress(self._ssl.SSLWantReadError):
            self._server.do_handshake()
            if not self._greeted:
                self._greeted = True
                self._server.write(b"!")
        return self._from_server.read()

    def received(self) -> bool:
        try:
            received = self._client.read(1)
        except self._ssl.SSLWantReadError:
            return False
        if self._tickets:
            self._client_context.session_to_resume = self._client.session
        return bool(received)


class PyOpenSSL(InMemory):
    name = "pyOpenSSL"
    module = "OpenSSL"

    def __init__(self, pki: PKI, setting: Setting) -> None:
        self._ssl: Any = import_module("OpenSSL.SSL")
        self._client_context, self._server_context = pyopenssl(self._ssl, pki, setting)
        self._tickets = setting.tickets
        self._session: Any = None

    def start(self) -> None:
        self._client: Any = self._ssl.Connection(self._client_context, None)
        self._client.set_connect_state()
        self._client.set_tlsext_host_name(NAME.encode())
        if self._session:
            self._client.set_session(self._session)
        self._server: Any = self._ssl.Connection(self._server_context, None)
        self._server.set_accept_state()
        self._greeted = False

    def _output(self, connection: Any) -> bytes:
        try:
            return connection.bio_read(2**16)
        except self._ssl.WantReadError:
            return b""

    def client(self, data: bytes) -> bytes:
        if data:
            self._client.bio_write(data)
        with suppress(self._ssl.WantReadError):
            self._client.do_handshake()
        return self._output(self._client)

    def server(self, data: bytes) -> bytes:
        self._server.bio_write(data)
        with suppress(self._ssl.WantReadError):
            self._server.do_handshake()
            if not self._greeted:
                self._greeted = True
                self._server.send(b"!")
        return self._output(self._server)

    def received(self) -> bool:
        try:
            received = self._client.recv(1)
        except self._ssl.WantReadError:
            return False
        if self._tickets:
            self._session = self._client.get_session()
            # OpenSSL drops the session of a connection that is freed without a shutdown.
            self._client.set_shutdown(self._ssl.SENT_SHUTDOWN)
        return bool(received)


class SioTLS(InMemory):
    name = "siotls"
    module = "siotls"
    resumes = False
    hybrid = False
    tls12 = False

    def __init__(self, pki: PKI, setting: Setting) -> None:
        self._siotls: Any = import_module("siotls")
        self._client_config, self._server_config = siotls(pki, setting)

    def start(self) -> None:
        self._client: Any = self._siotls.TLSConnection(self._client_config, NAME)
        self._server: Any = self._siotls.TLSConnection(self._server_config)
        self._client.initiate_connection()
        self._server.initiate_connection()
        self._greeted = False

    def client(self, data: bytes) -> bytes:
        if data:
            self._client.receive_data(data)
        return bytes(self._client.data_to_send())

    def server(self, data: bytes) -> bytes:
        self._server.receive_data(data)
        if self._server.is_connected() and not self._greeted:
            self._greeted = True
            self._server.send_data(b"!")
        return bytes(self._server.data_to_send())

    def received(self) -> bool:
        return bool(self._client.data_to_read(1))


class Buffer:
    """A socket for tlslite, in memory."""

    def __init__(self) -> None:
        self.arrived = bytearray()
        self.sent = bytearray()

    def recv(self, count: int) -> bytes:
        if not self.arrived:
            raise BlockingIOError(11, "nothing has arrived")
        data = bytes(self.arrived[:count])
        del self.arrived[:count]
        return data

    def send(self, data: bytes) -> int:
        self.sent += data
        return len(data)

    def sendall(self, data: bytes) -> None:
        self.sent += data

    def setsockopt(self, *option: int) -> None: ...

    def take(self) -> bytes:
        data = bytes(self.sent)
        self.sent.clear()
        return data


class TLSLite(InMemory):
    name = "tlslite-ng"
    module = "tlslite"
    slowness = 10
    hybrid = False
    tls12 = False

    def __init__(self, pki: PKI, setting: Setting) -> None:
        self._api: Any = import_module("tlslite.api")
        self._settings = tlslite_settings(self._api, setting)
        self._chain, self._key = tlslite_credentials(self._api, pki, setting)
        self._session: Any = None
        self._tickets = setting.tickets

    def start(self) -> None:
        self._buffers = Buffer(), Buffer()
        self._tls = [self._api.TLSConnection(buffer) for buffer in self._buffers]
        client, server = self._tls
        self._handshakes = [
            client.handshakeClientCert(
                settings=self._settings, serverName=NAME, session=self._session, async_=True
            ),
            server.handshakeServerAsync(
                certChain=self._chain, privateKey=self._key, settings=self._settings
            ),
        ]
        self._greeted = False

    def _step(self, role: int, data: bytes) -> bool:
        """Go on until the handshake is complete, or needs more from the peer."""
        self._buffers[role].arrived += data
        return next(self._handshakes[role], None) is None

    def client(self, data: bytes) -> bytes:
        self._complete = self._step(0, data)
        return self._buffers[0].take()

    def server(self, data: bytes) -> bytes:
        if self._step(1, data) and not self._greeted:
            self._greeted = True
            self._tls[1].write(b"!")
        return self._buffers[1].take()

    def received(self) -> bool:
        if not self._complete or next(self._tls[0].readAsync(1, 1)) != b"!":
            return False
        if self._tickets:
            self._session = self._tls[0].session
        return True


LIBRARIES: tuple[type[InMemory], ...] = (Ours, Stdlib, PyOpenSSL, SioTLS, TLSLite)


def shake_hands(library: InMemory) -> tuple[float, float, bytes]:
    """Return the CPU seconds of the client and of the server, and the server's output."""
    cpu = {"client": 0.0, "server": 0.0}
    everything = data = b""
    now = time.thread_time
    start = now()
    library.start()
    for _ in range(MAX_FLIGHTS):
        data = library.client(data)
        if library.received():
            cpu["client"] += now() - start
            return cpu["client"], cpu["server"], everything
        middle = now()
        data = library.server(data) if data else b""
        everything += data
        cpu["client"] += middle - start
        start = now()
        cpu["server"] += start - middle
    raise RuntimeError("the handshake does not end")


def sample(library: InMemory, count: int) -> dict[str, float]:
    client_times: list[float] = []
    server_times: list[float] = []
    for _ in range(count):
        client, server, _ = shake_hands(library)
        client_times.append(client)
        server_times.append(server)
    client, server = sum(client_times) / count * 1e6, sum(server_times) / count * 1e6
    return {"us": client + server, "client CPU us": client, "server CPU us": server}


def witness(library: InMemory, setting: Setting) -> dict[str, Any]:
    """Complete handshakes until one is of the setting's kind; return its ServerHello's fields."""
    if setting.tickets:
        shake_hands(library)
    seen = read_server_hello(shake_hands(library)[2])
    if seen is None or seen.suite != setting.suite or seen.resumed != (setting.tickets > 0):
        raise RuntimeError(f"the ServerHello is not as set: {seen}")
    if setting.groups == X25519 and seen.group != X25519:
        raise RuntimeError(f"the server selected {seen.group}")
    return {"contender": library.name, **asdict(setting), "seen": asdict(seen)}


def prepare(pki: PKI, setting: Setting) -> tuple[list[InMemory], dict[str, Any]]:
    """Return the libraries that can complete handshakes of a setting, and a report on all."""
    report: dict[str, Any] = {"missing": {}, "failures": [], "on_the_wire": []}
    libraries: list[InMemory] = []
    for kind in LIBRARIES:
        if setting.tickets and not kind.resumes:
            continue
        if setting.groups != X25519 and not kind.hybrid:
            continue
        if setting.is_tls12 and not kind.tls12:
            continue
        if reason := kind.missing():
            report["missing"][kind.name] = reason
            continue
        try:
            library = kind(pki, setting)
            report["on_the_wire"].append(witness(library, setting))
            libraries.append(library)
        except Exception as error:  # noqa: BLE001 - a report names whatever a rival raises
            reason = f"{type(error).__name__}: {error}"
            report["failures"].append(
                {"contender": kind.name, "where": f"in memory, {setting}", "reason": reason}
            )
    return libraries, report


def run_round(libraries: list[InMemory], count: int) -> dict[str, dict[str, float]]:
    figures: dict[str, dict[str, float]] = {}
    for library in random.sample(libraries, len(libraries)):
        gc.collect()
        figures[library.name] = sample(library, max(1, count // library.slowness))
    return figures


def main() -> None:
    directory, setting, count = sys.argv[1:]
    libraries, report = prepare(PKI(Path(directory)), Setting.from_json(setting))
    print(json.dumps(report), flush=True)
    gc.disable()
    for _ in sys.stdin:
        print(json.dumps({"figures": run_round(libraries, int(count))}), flush=True)


if __name__ == "__main__":
    main()
