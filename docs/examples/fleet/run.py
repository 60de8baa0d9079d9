"""A fleet on one machine: haproxy, Redis and three servers, until SIGTERM or Ctrl-C.

It needs haproxy and redis-server. If one of the programs ends, all end.

Usage: python run.py CERT_FILE KEY_FILE PORT PUBLIC_NAME

PUBLIC_NAME is the name that clients of Encrypted Client Hello show. The certificate must have it.
"""

import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import trio

HERE = Path(__file__).parent
NAMES = ("north", "south", "west")


async def run(nursery: trio.Nursery, *command: str | Path, **options: object) -> trio.Process:
    """Start a program. It gets SIGTERM when the nursery is cancelled."""
    start = partial(trio.run_process, [str(word) for word in command], stdin=b"", **options)
    return await nursery.start(start)


async def start_server(nursery: trio.Nursery, *arguments: str | Path) -> int:
    """Start a server, and return the port that it prints."""
    process = await run(
        nursery, sys.executable, HERE / "server.py", *arguments, stdout=subprocess.PIPE
    )
    if process.stdout is None:
        raise RuntimeError("the server has no standard output")
    line = b""
    while not line.endswith(b"\n"):
        line += await process.stdout.receive_some(1)
    return int(line)


async def wait_for(path: Path) -> None:
    """Wait until Redis has created its socket."""
    while not await trio.Path(path).exists():  # noqa: ASYNC110 - a file has no event
        await trio.sleep(0.05)


async def run_fleet(
    cert_file: str, key_file: str, port: int, public_name: str, directory: Path
) -> None:
    """Start everything, and wait."""
    wrapping_key = directory / "wrapping.key"
    wrapping_key.touch(mode=0o600)  # Redis must never see it
    wrapping_key.write_bytes(secrets.token_bytes(32))
    redis_socket = directory / "redis.sock"
    async with trio.open_nursery() as nursery:
        await run(
            nursery, "redis-server", HERE / "redis.conf", "--unixsocket", redis_socket,
            "--dir", directory, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        await wait_for(redis_socket)
        ports = {
            name.upper(): await start_server(
                nursery, name, cert_file, key_file, public_name, wrapping_key, redis_socket
            )
            for name in NAMES
        }
        with socket.create_server(("127.0.0.1", port)) as front:
            variables = {name: str(value) for name, value in ports.items()}
            await run(
                nursery, "haproxy", "-db", "-f", HERE / "haproxy.cfg", pass_fds=[front.fileno()],
                env={**os.environ, **variables, "LISTENER": str(front.fileno())},
            )  # fmt: skip
            print("listening on port", front.getsockname()[1], flush=True)
            with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
                async for _ in signals:
                    nursery.cancel_scope.cancel()
                    return


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as directory:
        cert, key, port, name = sys.argv[1:]
        trio.run(run_fleet, cert, key, int(port), name, Path(directory))
