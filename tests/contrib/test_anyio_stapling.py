"""OCSP stapling in programs over anyio, on asyncio and on trio."""

from __future__ import annotations

import logging
from dataclasses import replace

import anyio
import pytest
from anyio_pairs import connected, on_each_backend, together
from ocsp_responses import NOW, response
from tls_pairs import SERVER_NAME, Engine

from trio_tlsx.config.client import ClientConfig
from trio_tlsx.config.server import ServerConfig
from trio_tlsx.contrib.anyio import RefreshingStaple
from trio_tlsx.pki.revocation import check_stapled_ocsp
from trio_tlsx.testing import CA


@on_each_backend
async def test_one_fetch_for_many_connections(native: Engine, ca: CA) -> None:
    credentials = ca.issue(SERVER_NAME)
    fetched: list[bytes] = []

    async def fetch() -> bytes:
        await anyio.wait_all_tasks_blocked()
        fetched.append(response(ca, credentials.chain[0]))
        return fetched[-1]

    staple = RefreshingStaple(fetch, clock=lambda: NOW)
    assert isinstance(native.client_config, ClientConfig)
    assert isinstance(native.server_config, ServerConfig)
    stapling = replace(
        native,
        client_config=replace(native.client_config, verify=check_stapled_ocsp(must=True)),
        server_config=replace(native.server_config, credentials=credentials.stapling(staple)),
    )

    async def connect() -> None:
        async with connected(stapling) as (client, _):
            assert client.negotiated

    await together(connect, connect)
    assert len(fetched) == 1
    assert staple.response == fetched[0]


@on_each_backend
async def test_failed_fetch_is_logged(native: Engine, caplog: pytest.LogCaptureFixture) -> None:
    async def fetch() -> bytes:
        raise OSError("no route")

    staple = RefreshingStaple(fetch)
    answer = staple()
    assert not isinstance(answer, bytes | None)
    assert await answer is None
    [record] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "no route" in record.getMessage()
