"""``trio-tlsx serve --processes N``."""

from __future__ import annotations

import logging
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import click
import trio
from cryptography import x509

from ..processes.pool import WorkerError
from ..processes.serving import serve_in_processes
from ..processes.supervisor import Supervisor
from ..processes.worker import Worker
from .failures import describe
from .serve import announce
from .server_options import ServerOptions
from .services import log_to, serve_one

__all__ = ["serve", "serve_in_worker"]


async def serve(
    options: ServerOptions,
    certificate: x509.Certificate,
    *,
    host: str,
    port: int,
    processes: int,
    drain: float,
) -> None:
    """Serve in several processes, until SIGINT or SIGTERM; on SIGHUP replace them.

    The first line of standard output is the address.

    Args:
        options: the options for all processes.
        certificate: the server's own certificate, whose pin is printed.
        host: the address to listen on.
        port: the port to listen on.
        processes: the number of processes.
        drain: how long connections may continue after a signal, in seconds.
    """
    log_to(None if options.log is None else Path(options.log))
    logging.getLogger("trio_tlsx").setLevel(logging.INFO)
    async with trio.open_nursery() as nursery:
        try:
            supervisor: Supervisor = await nursery.start(
                partial(
                    serve_in_processes,
                    f"{__name__}:{serve_in_worker.__name__}",
                    asdict(options),
                    host=host,
                    port=port,
                    processes=processes,
                    drain_timeout=drain,
                    ech_keys=options.load_ech_keys,
                )
            )
        except OSError as error:
            raise click.ClickException(
                f"cannot listen on {host}:{port}: {describe(error)}"
            ) from error
        except WorkerError as error:
            raise click.ClickException(str(error)) from error
        announce(supervisor.addresses, certificate)


async def serve_in_worker(worker: Worker, options: dict[str, Any]) -> None:
    """Serve in one of the processes."""
    given = ServerOptions(**options)
    log_to(None if given.log is None else Path(given.log))
    cache = worker.anti_replay_cache if given.early_data else None
    config, _ = given.load(worker.ticket_keys, cache, worker.ech_keys)
    await worker.serve(
        partial(serve_one, given.service, given.early_data),
        config,
        replayable_early_data=given.early_data,
    )
