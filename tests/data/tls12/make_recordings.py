"""Record handshakes of TLS 1.2 between tlslite-ng and ``openssl s_server``, on loopback.

Run it to write ``recordings.json`` anew::

    python tests/data/tls12/make_recordings.py

tlslite-ng is the client and notes the premaster secret; OpenSSL is the server and logs the master
secret. Neither is this project's code.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, cast

import tlslite.api as api  # pyright: ignore[reportMissingTypeStubs]
import tlslite.mathtls as mathtls  # pyright: ignore[reportMissingTypeStubs]

from trio_tlsx.testing import CA, write_pem_files

SERVER_NAME = "test.example"
QUESTION = b"a question\n"  # s_server -rev answers with the reversed line

#: OpenSSL's name of each suite, and tlslite-ng's name of its cipher.
SUITES = {
    "ECDHE-ECDSA-AES128-GCM-SHA256": "aes128gcm",
    "ECDHE-ECDSA-AES256-GCM-SHA384": "aes256gcm",
    "ECDHE-ECDSA-CHACHA20-POLY1305": "chacha20-poly1305",
}


class RecordingSocket:
    """A socket that keeps what passes."""

    def __init__(self, below: socket.socket) -> None:
        self._below = below
        self.sent, self.received = bytearray(), bytearray()

    def send(self, data: bytes) -> int:
        count = self._below.send(data)
        self.sent += data[:count]
        return count

    def sendall(self, data: bytes) -> None:
        self._below.sendall(data)
        self.sent += data

    def recv(self, length: int) -> bytes:
        data = self._below.recv(length)
        self.received += data
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._below, name)


def note_premaster_secrets() -> list[bytes]:
    """Have tlslite-ng put each premaster secret into the list that is returned."""
    noted: list[bytes] = []
    real = cast("Any", mathtls).calc_key

    def calc_key(version: Any, secret: Any, suite: Any, label: bytes, **rest: Any) -> Any:
        if label == b"extended master secret":
            noted.append(bytes(secret))
        return real(version, secret, suite, label, **rest)

    for name, module in list(sys.modules.items()):
        if name.startswith("tlslite") and getattr(module, "calc_key", None) is real:
            vars(module)["calc_key"] = calc_key
    return noted


def connect(port: int) -> socket.socket:
    for _ in range(100):
        try:
            return socket.create_connection(("127.0.0.1", port))
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise TimeoutError("the server does not start")


def record(suite: str, folder: Path, noted: list[bytes]) -> dict[str, str]:
    certificate, key = write_pem_files(CA().issue(SERVER_NAME), str(folder))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    key_log = folder / suite
    command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-rev"]
    command += ["-cert", certificate, "-key", key, "-keylogfile", str(key_log)]
    command += ["-tls1_2", "-cipher", suite, "-curves", "X25519:P-256"]
    settings: Any = api.HandshakeSettings()
    settings.minVersion = settings.maxVersion = (3, 3)
    settings.cipherNames = [SUITES[suite]]
    quiet = subprocess.DEVNULL
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet) as server,
        connect(port) as below,
    ):
        recorder = RecordingSocket(below)
        client: Any = api.TLSConnection(recorder)
        client.handshakeClientCert(settings=settings, serverName=SERVER_NAME)
        client.write(QUESTION)
        answer = bytes(client.read(min=len(QUESTION), max=len(QUESTION)))
        client.close()
        server.terminate()
    [line] = [line for line in key_log.read_text().splitlines() if line.startswith("CLIENT_R")]
    return {
        "suite": suite,
        "premaster_secret": noted.pop().hex(),
        "master_secret": line.split()[2],
        "question": QUESTION.decode(),
        "answer": answer.decode(),
        "client": recorder.sent.hex(),
        "server": recorder.received.hex(),
    }


def main() -> None:
    noted = note_premaster_secrets()
    version = subprocess.run(["openssl", "version"], capture_output=True, text=True, check=True)
    tlslite = cast("Any", sys.modules["tlslite"]).__version__
    with tempfile.TemporaryDirectory() as folder:
        recordings = [record(suite, Path(folder), noted) for suite in SUITES]
    openssl = version.stdout.partition(" (")[0]
    made = f"tlslite-ng {tlslite} as client, {openssl} as server, on loopback"
    target = Path(__file__).with_name("recordings.json")
    target.write_text(json.dumps({"made": made, "recordings": recordings}, indent=1) + "\n")


if __name__ == "__main__":
    main()
