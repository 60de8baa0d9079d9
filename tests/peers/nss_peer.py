"""NSS's own programs, ``tstclnt`` and ``selfserv``, as a peer with Encrypted Client Hello.

``tstclnt`` sends a request and prints the answer; ``selfserv`` answers a request with a page.
Neither of them sends back what it gets, so they have a conversation of their own.
"""

from __future__ import annotations

import base64
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import trio
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from nss_databases import NICKNAME, make_database
from peer import CannotDoThat, Inabilities, Inability, Part, Peer, Role, Saw
from processes import free_port, newer_program, peer_program, run_program, running

from trio_tlsx import ECHKey, TLSStream

__all__ = ["GET", "NSSPeer", "NewerNSSPeer", "page"]

GET = b"GET / HTTP/1.0\r\n\r\n"
GREASE_PADDING = "100"  # bytes
GROUPS = {"secp384r1": "P384"}

#: It cannot use any of the configurations, and does not connect.
CONFIGS_REJECTED = b"SSL_SetClientEchConfigs failed"
RETRY_CONFIGS = re.compile(rb"^Received ECH retry_configs: *\n(\S+)$", re.MULTILINE)


async def page(stream: TLSStream[Any]) -> bytes:
    """Send a request; return the answer, after which the server closes."""
    async with stream:
        await stream.send_all(GET)
        answer = b"".join([data async for data in stream])
    assert answer.startswith(b"HTTP/1.0 200 OK\r\n"), answer
    return answer


class NSSPeer(Peer):
    """The programs of Debian 12, whose server has no ECH."""

    name = "nss"
    serves_on = True
    cannot: ClassVar[Inabilities] = {
        ("client", "P-256"): Inability("version 3.87 has X25519 only", CannotDoThat),
    }

    def require(self) -> None:
        for program in ("certutil", "pk12util", "tstclnt"):
            peer_program(program, "libnss3-tools")

    def program(self, name: str) -> str:
        """Return the path of one of the programs."""
        return peer_program(name, "libnss3-tools")

    async def converse(self, role: Role, stream: TLSStream[Any], received: bytes = b"") -> None:
        """Have our side of the conversation, and close.

        Args:
            role: NSS's.
            received: what our server has of the request already.
        """
        if role == "server":
            await page(stream)
            return
        async with stream:
            while len(received) < len(GET):
                more = await stream.receive_some()
                assert more, "the end came before the request"
                received += more
            assert received == GET
            await stream.send_all(received)

    async def call(self, part: Part, port: int) -> Sequence[Saw]:
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name)
            assert part.trust is not None
            database = make_database(
                directory / "database", part.trust.read_bytes(), part.credentials
            )
            request = directory / "request"
            request.write_bytes(GET)
            command = [self.program("tstclnt"), "-4", "-h", "127.0.0.1", "-p", str(port)]
            command += ["-V", "tls1.3:tls1.3", "-v", "-d", database, "-A", str(request)]
            command += ["-a", str(part.server_name)]
            if part.ech_configs:
                command += ["-N", base64.b64encode(part.ech_configs).decode("ascii")]
            if part.ech_grease:
                command += ["-i", GREASE_PADDING]
            if part.credentials:
                command += ["-n", NICKNAME]
            if part.early_data:
                command += ["-f", "-Z"]
            if part.connections > 1:
                command += ["-u", "-L", str(part.connections)]
            result = await run_program(command)
        if CONFIGS_REJECTED in result.stderr:
            raise CannotDoThat
        # Without the server's acceptance it does not connect.
        retry = RETRY_CONFIGS.search(result.stdout + result.stderr)
        saw = Saw(
            None,
            (result.stdout + result.stderr).decode(),
            ech=bool(part.ech_configs) and result.status == 0,
            retry_configs=base64.b64decode(retry[1]) if retry else None,
        )
        return [saw] * part.connections

    async def serve(
        self, part: Part, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED
    ) -> Sequence[Saw]:
        with tempfile.TemporaryDirectory() as name:
            assert part.credentials is not None
            trusted = part.trust.read_bytes() if part.trust else None
            database = make_database(Path(name, "database"), trusted, part.credentials)
            port = free_port()
            command = [self.program("selfserv"), "-d", database, "-n", NICKNAME]
            command += ["-p", str(port), "-V", "tls1.3:tls1.3", "-v", "-u"]
            if part.ech_key:
                command += ["-X", ech_parameters(part.ech_key.read_bytes())]
            if part.group:
                command += ["-I", GROUPS[part.group]]
            if part.trust:
                command += ["-r", "-r"]
            if part.early_data:
                command += ["-Z"]
            # It listens on every interface, and has no option for that.
            async with running(*command, says=b"About to call accept") as server:
                task_status.started(port)
                await server.read_output()
        raise AssertionError(server.output)


def ech_parameters(pem: bytes) -> str:
    """Return what ``selfserv`` takes as its key: PKCS #8 and the configuration in base64."""
    private_key = load_pem_private_key(pem, None).private_bytes(
        Encoding.DER, PrivateFormat.PKCS8, NoEncryption()
    )
    octets = len(private_key).to_bytes(2) + private_key + ECHKey.from_pem(pem).config_list
    return base64.b64encode(octets).decode("ascii")


class NewerNSSPeer(NSSPeer):
    """The programs of a newer Debian."""

    name = "newer-nss"
    cannot: ClassVar[Inabilities] = {
        ("server", "early data"): Inability("`selfserv` rejects all early data", AssertionError),
        ("server", "retry and reject"): Inability(
            "`selfserv` sends no retry configurations then, not even to its own client",
            AssertionError,
        ),
    }

    def program(self, name: str) -> str:
        return newer_program(name)

    def require(self) -> None:
        super().require()
        for program in ("tstclnt", "selfserv"):
            newer_program(program)
