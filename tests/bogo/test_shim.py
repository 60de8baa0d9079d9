"""The shim against our own engine, for machines without the runner."""

from __future__ import annotations

import base64
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from trio_tlsx import ClientConfig, Credentials, ECHKey, ExternalPSK, ServerConfig, Truncated
from trio_tlsx.engine.connection import Connection
from trio_tlsx.handshake.wants import Question, Want
from trio_tlsx.pki.credentials import PrivateKeySigner
from trio_tlsx.testing import CA

SHIM = Path(__file__).parent / "shim.py"
NAME = "test.example"
UNIMPLEMENTED = 89
TIMEOUT = 30  # seconds; never reached
INVERTED = bytes(octet ^ 0xFF for octet in range(256))

#: The number of each version in the flags.
VERSIONS = {"TLSv1.3": "772", "TLSv1.2": "771"}
MORE = [[], ["-async", "-key-update"]]

authority = CA()


@dataclass
class Files:
    """An identity, as the runner passes it."""

    credentials: Credentials
    flags: list[str]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    directory = tmp_path_factory.mktemp("shim")
    credentials = authority.issue(NAME)
    signer = credentials.signer
    assert isinstance(signer, PrivateKeySigner)
    key = signer.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (directory / "key.pem").write_bytes(key)
    chain = b"".join(each.public_bytes(Encoding.PEM) for each in credentials.chain)
    (directory / "chain.pem").write_bytes(chain)
    root = authority.certificate.public_bytes(Encoding.PEM)
    (directory / "root.pem").write_bytes(root)
    paths = [directory / name for name in ("chain.pem", "key.pem", "root.pem")]
    names = ("-cert-file", "-key-file", "-trust-cert")
    return Files(
        credentials, [word for pair in zip(names, map(str, paths), strict=True) for word in pair]
    )


class Runner:
    """Stands where the runner stands: the shim connects to it."""

    def __init__(self, listener: socket.socket, flags: list[str]) -> None:
        self._listener = listener
        port = listener.getsockname()[1]
        self._shim = subprocess.Popen(
            [sys.executable, str(SHIM), "-port", str(port), "-shim-id", "7", *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def serve(self, engine: Connection, early_answer: bytes = b"") -> bytes:
        """One connection: handshake, one message and its echo, the end; gives early data.

        Args:
            early_answer: what a client gets before its Finished leaves.
        """
        sock, _ = self._listener.accept()
        early_data = b""
        with sock:
            sock.settimeout(TIMEOUT)
            assert sock.recv(8, socket.MSG_WAITALL) == (7).to_bytes(8, "little")
            while (want := engine.do_handshake()) is not Want.NOTHING:
                assert not isinstance(want, Question)
                if want is Want.READ:
                    engine.receive_data(sock.recv(65536))
                elif want is Want.EARLY_DATA:
                    early_data += engine.read_early_data()
                if engine.handshake_complete and early_answer:
                    assert receive(engine, sock, len(early_answer)) == early_answer
                    early_answer = b""
                sock.sendall(engine.data_to_send())
            engine.write(memoryview(b"Hello!"))
            sock.sendall(engine.data_to_send())
            assert receive(engine, sock, 6) == b"Hello!".translate(INVERTED)
            engine.shutdown()
            sock.sendall(engine.data_to_send())
        return early_data

    def outcome(self) -> tuple[int, str]:
        """The shim's status, and what it said is wrong."""
        _, complaints = self._shim.communicate(timeout=TIMEOUT)
        return self._shim.returncode, complaints


def receive(engine: Connection, sock: socket.socket, length: int) -> bytes:
    """So many bytes of application data."""
    received = b""
    while len(received) < length:
        data = engine.read()
        if isinstance(data, bytes):
            received += data
        else:
            engine.receive_data(sock.recv(65536))
    return received


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(TIMEOUT)
        yield listener


@pytest.mark.parametrize("more", MORE, ids=str)
@pytest.mark.parametrize("version", VERSIONS)
def test_as_a_client_that_resumes(
    listener: socket.socket, files: Files, version: str, more: list[str]
) -> None:
    config = ServerConfig(
        versions=[version],
        credentials=files.credentials,
        client_auth="required",
        client_trust=authority.trust,
    )
    flags = ["-resume-count", "1", "-host-name", NAME, "-expect-version", VERSIONS[version]]
    more = [flag for flag in more if version == "TLSv1.3" or flag != "-key-update"]
    runner = Runner(listener, [*files.flags, *flags, *more])
    engines = [Connection.server(config) for _ in range(2)]
    for engine in engines:
        runner.serve(engine)
    assert runner.outcome() == (0, "")
    assert [engine.negotiated.resumed for engine in engines] == [False, True]


@pytest.mark.parametrize("more", MORE, ids=str)
@pytest.mark.parametrize("version", VERSIONS)
def test_as_a_server_that_resumes(
    listener: socket.socket, files: Files, version: str, more: list[str]
) -> None:
    config = ClientConfig(
        versions=[version],
        trust=authority.trust,
        alpn_protocols=["h2"],
        credentials=files.credentials,
    )
    more = [flag for flag in more if version == "TLSv1.3" or flag != "-key-update"]
    flags = ["-server", "-resume-count", "1", "-require-any-client-certificate"]
    alpn = ["-select-alpn", "h2", "-expect-advertised-alpn", "\x02h2"]
    runner = Runner(listener, [*files.flags, *flags, *alpn, *more])
    engines = [Connection.client(config, NAME) for _ in range(2)]
    for engine in engines:
        runner.serve(engine)
    assert runner.outcome() == (0, "")
    assert [engine.negotiated.resumed for engine in engines] == [False, True]


@pytest.mark.parametrize("role", ["client", "server"])
def test_with_a_key_and_no_certificate(listener: socket.socket, role: str) -> None:
    psk = ExternalPSK(b"client 1", bytes(32), context=b"test", hash="SHA384")
    flags = ["-new-psk-credential", "-psk-importer-sha384", "-expect-selected-credential", "0"]
    for name, value in (("identity", psk.identity), ("key", psk.key), ("context", psk.context)):
        flags += [f"-psk-importer-{name}", base64.b64encode(value).decode()]
    if role == "server":
        runner = Runner(listener, [*flags, "-server", "-async"])
        engine = Connection.client(ClientConfig(psks=[psk]), NAME)
    else:
        runner = Runner(listener, flags)
        engine = Connection.server(ServerConfig(psks=[psk]))
    runner.serve(engine)
    assert runner.outcome() == (0, "")
    assert engine.negotiated.psk_identity == psk.identity


ECH_KEY = ECHKey.generate("public.example")


def test_as_a_client_that_encrypts_its_hello(listener: socket.socket, files: Files) -> None:
    config = ServerConfig(
        credentials=[files.credentials, authority.issue("public.example")], ech_keys=ECH_KEY
    )
    configs = base64.b64encode(ECH_KEY.config_list).decode()
    flags = ["-ech-config-list", configs, "-expect-ech-accept", "-host-name", NAME]
    runner = Runner(listener, [*files.flags, *flags])
    engine = Connection.server(config)
    runner.serve(engine)
    assert runner.outcome() == (0, "")
    assert engine.negotiated.server_name == NAME


def test_as_a_server_that_decrypts_hellos(listener: socket.socket, files: Files) -> None:
    private_key = load_pem_private_key(ECH_KEY.to_pem(), None)
    assert isinstance(private_key, X25519PrivateKey)
    parts = {"config": ECH_KEY.config.encoded, "key": private_key.private_bytes_raw()}
    flags = ["-server", "-ech-is-retry-config", "1", "-expect-ech-accept"]
    for name, octets in parts.items():
        flags += [f"-ech-server-{name}", base64.b64encode(octets).decode()]
    runner = Runner(listener, [*files.flags, *flags, "-expect-server-name", NAME])
    engine = Connection.client(ClientConfig(trust=authority.trust, ech=ECH_KEY.config_list), NAME)
    runner.serve(engine)
    assert runner.outcome() == (0, "")
    assert engine.negotiated.ech_accepted


EARLY = ["-resume-count", "1", "-enable-early-data", "-on-resume-expect-accept-early-data"]


def test_as_a_client_that_writes_early(listener: socket.socket, files: Files) -> None:
    config = ServerConfig(credentials=files.credentials, max_early_data_size=100)
    flags = ["-expect-ticket-supports-early-data", "-on-resume-shim-writes-first"]
    runner = Runner(listener, [*files.flags, *EARLY, *flags])
    early_data: list[bytes] = []
    for _ in range(2):
        engine = Connection.server(config)
        engine.accept_early_data()
        early_data.append(runner.serve(engine))
    assert early_data == [b"", b"hello"]
    assert runner.outcome() == (0, "")


def test_as_a_server_that_answers_early(listener: socket.socket, files: Files) -> None:
    config = ClientConfig(trust=authority.trust)
    runner = Runner(listener, [*files.flags, *EARLY, "-server"])
    runner.serve(Connection.client(config, NAME))
    engine = Connection.client(config, NAME, early_data=b"early")
    runner.serve(engine, early_answer=b"early".translate(INVERTED))
    assert runner.outcome() == (0, "")


def test_says_what_it_did_not_expect(listener: socket.socket, files: Files) -> None:
    server = ServerConfig(credentials=files.credentials, groups=["secp256r1"])
    runner = Runner(listener, [*files.flags, "-host-name", NAME, "-expect-curve-id", "29"])
    with pytest.raises(Truncated):  # it hangs up where the echo would be
        runner.serve(Connection.server(server))
    status, complaints = runner.outcome()
    assert status == 1
    assert "-expect-curve-id" in complaints


def test_knows_what_there_is_not() -> None:
    for flags in (["-dtls"], ["-max-version", "770"], ["-no-such-flag"]):
        done = subprocess.run([sys.executable, str(SHIM), *flags], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (UNIMPLEMENTED, "")
    done = subprocess.run(
        [sys.executable, str(SHIM), "-is-handshaker-supported"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "No\n")
