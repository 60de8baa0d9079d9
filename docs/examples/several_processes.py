"""A TLS server in several processes. Each answer names the process that sent it.

Send SIGHUP to replace the processes, for example after an update of this file. Send SIGTERM to
stop: the connections have DRAIN_TIMEOUT seconds to finish.

Usage: python several_processes.py CERT_FILE KEY_FILE PORT PROCESSES DRAIN_TIMEOUT
"""

import logging
import os
import sys
from functools import partial

import trio

import trio_tlsx


async def serve(worker: trio_tlsx.Worker, cert_file: str, key_file: str) -> None:
    """Serve in one process."""
    config = trio_tlsx.ServerConfig(
        select_credentials=trio_tlsx.ReloadingCredentials.from_pem_files(cert_file, key_file),
        ticket_keys=worker.ticket_keys,
        anti_replay_cache=worker.anti_replay_cache,
        max_early_data_size=4096,
    )
    prefix = b"process %d: " % os.getpid()

    async def handle(stream: trio_tlsx.TLSStream[trio.SocketStream]) -> None:
        while data := await stream.receive_replayable_early_data():
            await stream.answer_early_data(prefix + data)
        async for data in stream:
            await stream.send_all(prefix + data)

    await worker.serve(handle, config, replayable_early_data=True)


async def main(
    cert_file: str, key_file: str, port: int, processes: int, drain_timeout: float
) -> None:
    """Supervise the processes until SIGTERM or SIGINT."""
    async with trio.open_nursery() as nursery:
        supervisor = await nursery.start(
            partial(
                trio_tlsx.serve_in_processes,
                "several_processes:serve",
                cert_file,
                key_file,
                host="127.0.0.1",
                port=port,
                processes=processes,
                drain_timeout=drain_timeout,
            )
        )
        print("listening on port", supervisor.port, flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    logging.basicConfig(level=logging.INFO)
    cert, key, *numbers = sys.argv[1:]
    trio.run(main, cert, key, int(numbers[0]), int(numbers[1]), float(numbers[2]))
