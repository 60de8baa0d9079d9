"""A handshake that waits for a hook, cancelled at each of its checkpoints and of the hook's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import trio
from test_cancellation_everywhere import Cut, cut_everywhere
from tls_pairs import MEMORY, SERVER_NAME, SOCKET, Engine, Transports, paired

from trio_tlsx.config import ClientConfig, ServerConfig
from trio_tlsx.credentials import Credentials
from trio_tlsx.engine.signatures import SignatureScheme
from trio_tlsx.errors import HandshakeShutdown, Truncated
from trio_tlsx.testing import CA

CHECKPOINTS = 3  # of a hook


class Dawdler:
    """Signs, or approves of a peer, after some checkpoints; notes whether it is at it."""

    def __init__(self, credentials: Credentials) -> None:
        self._signer = credentials.signer
        self.schemes: Sequence[SignatureScheme] = credentials.signer.schemes
        self.under_way = 0
        self.cut = 0

    async def dawdle(self) -> None:
        self.under_way += 1
        try:
            for _ in range(CHECKPOINTS):
                await trio.lowlevel.checkpoint()
        except trio.Cancelled:
            self.cut += 1
            raise
        finally:
            self.under_way -= 1

    async def sign(self, scheme: SignatureScheme, message: bytes) -> bytes:
        await self.dawdle()
        signature = self._signer.sign(scheme, message)
        assert isinstance(signature, bytes)
        return signature

    async def approve(self, _peer: object) -> None:
        await self.dawdle()


@pytest.mark.parametrize("transports", [MEMORY, SOCKET], ids=lambda transports: transports.name)
@pytest.mark.parametrize("role", ["client", "server"])
async def test_a_handshake_with_a_hook(
    native: Engine, ca: CA, transports: Transports, role: str
) -> None:
    credentials = ca.issue(SERVER_NAME)
    dawdler = Dawdler(credentials)
    client_config = native.client_config
    assert isinstance(client_config, ClientConfig)
    if role == "client":
        client_config = replace(client_config, verify=dawdler.approve)
    else:
        credentials = Credentials(credentials.chain, dawdler)
    slow = Engine("native", client_config, ServerConfig(credentials=credentials))

    async def attempt(cut: Cut) -> None:
        before = dawdler.cut
        async with paired(slow, transports) as pair:
            ours, peer = pair if role == "client" else pair[::-1]
            errors: list[trio.BrokenResourceError] = []

            async def be_peer() -> None:
                try:
                    await peer.do_handshake()
                    await peer.receive_some()
                except trio.BrokenResourceError as error:
                    errors.append(error)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(be_peer)
                await cut(ours.do_handshake)
                assert not dawdler.under_way
                await trio.aclose_forcefully(ours)
            if dawdler.cut > before:
                assert cut.caught
                # In memory there is no sending without waiting.
                told = HandshakeShutdown if transports is SOCKET else HandshakeShutdown | Truncated
                assert isinstance(errors[0].__cause__, told)

    await cut_everywhere(attempt)
    assert dawdler.cut == CHECKPOINTS
