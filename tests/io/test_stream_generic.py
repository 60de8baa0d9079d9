"""trio's own contract tests for streams."""

from __future__ import annotations

import pytest
import trio.testing
from tls_pairs import (
    MEMORY,
    SOCKET,
    AnyStream,
    Engine,
    Transports,
    clog,
    handshake,
    lockstep_transports,
    unix_transports,
)


@pytest.mark.parametrize("engine_name", ["native", "native-tls12", "openssl", "openssl-tls12"])
@pytest.mark.parametrize("https_compatible", [False, True])
@pytest.mark.parametrize("transports", [MEMORY, SOCKET], ids=lambda transports: transports.name)
async def test_half_closeable_stream(
    engines: dict[str, Engine], engine_name: str, transports: Transports, https_compatible: bool
) -> None:
    engine = engines[engine_name]

    async def make_pair() -> tuple[AnyStream, AnyStream]:
        return engine.pair(await transports.connect(), https_compatible=https_compatible)

    async def make_clogged_pair() -> tuple[AnyStream, AnyStream]:
        if not transports.is_socket:
            pair = engine.pair(await lockstep_transports(), https_compatible=https_compatible)
            await handshake(*pair)
            return pair
        pair = engine.pair(await unix_transports(), https_compatible=https_compatible)
        await handshake(*pair)
        await clog(pair[0])
        await clog(pair[1])
        return pair

    await trio.testing.check_half_closeable_stream(make_pair, make_clogged_pair)
