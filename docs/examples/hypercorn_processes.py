"""Serve an ASGI application with hypercorn and trio-tlsx in several processes.

Send SIGHUP to replace the processes, and SIGTERM to stop.

Usage: python hypercorn_processes.py CERT_FILE KEY_FILE PORT PROCESSES
"""

import logging
import sys
from functools import partial

import hypercorn.config
import trio
from hypercorn_server import app

import trio_tlsx
import trio_tlsx.contrib.hypercorn


async def serve(worker: trio_tlsx.Worker, cert_file: str, key_file: str) -> None:
    """Serve in one process."""
    config = trio_tlsx.ServerConfig(
        credentials=trio_tlsx.Credentials.from_pem_files(cert_file, key_file),
        ticket_keys=worker.ticket_keys,
        alpn_protocols=["h2", "http/1.1"],
    )
    listeners = [
        trio_tlsx.TLSListener(listener, config, https_compatible=True, handshake_timeout=10)
        for listener in worker.listeners
    ]
    async with trio.open_nursery() as nursery:
        await nursery.start(
            partial(
                trio_tlsx.contrib.hypercorn.serve,
                app,
                hypercorn.config.Config(),
                listeners,
                shutdown_trigger=worker.wait_draining,
            )
        )
        worker.started()


async def main(cert_file: str, key_file: str, port: int, processes: int) -> None:
    """Supervise the processes until SIGTERM or SIGINT."""
    async with trio.open_nursery() as nursery:
        supervisor = await nursery.start(
            partial(
                trio_tlsx.serve_in_processes,
                "hypercorn_processes:serve",
                cert_file,
                key_file,
                host="127.0.0.1",
                port=port,
                processes=processes,
            )
        )
        print("listening on port", supervisor.port, flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    logging.basicConfig(level=logging.INFO)
    cert, key, port, processes = sys.argv[1:]
    trio.run(main, cert, key, int(port), int(processes))
