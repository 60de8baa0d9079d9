"""Ctrl-C comes between two calls of a stream, and never in the middle of one."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from functools import partial

import pytest
import trio
from tls_pairs import UNIX, Engine, connected

from trio_tlsx.io import data_phase, transport

DATA = bytes(range(256)) * 256


@pytest.fixture(autouse=True)
def sigint() -> Iterator[None]:
    """As in a terminal: what a shell runs in the background starts with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def press_ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


class Interrupted:
    """System calls during which Ctrl-C is pressed, once: they are done before it is noticed."""

    name = os.name

    def __init__(self) -> None:
        self.armed = False

    def _press(self) -> None:
        if self.armed:
            self.armed = False
            press_ctrl_c()

    def write(self, descriptor: int, data: memoryview) -> int:
        count = os.write(descriptor, data)
        self._press()
        return count

    def read(self, descriptor: int, length: int) -> bytes:
        data = os.read(descriptor, length)
        self._press()
        return data

    def readv(self, descriptor: int, buffers: Sequence[memoryview]) -> int:
        count = os.readv(descriptor, buffers)
        self._press()
        return count


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> Interrupted:
    system = Interrupted()
    for module in (transport, data_phase):
        monkeypatch.setattr(module, "os", system)
    return system


def test_ctrl_c_while_sending(native: Engine, system: Interrupted) -> None:
    """What has left is what is known to have left: the stream goes on behind it."""

    async def main() -> None:
        async with connected(native, UNIX) as (client, server):
            system.armed = True
            await client.send_all(DATA[:100])
            with pytest.raises(KeyboardInterrupt):
                await client.send_all(b"not begun any more")
            await client.send_all(b"and on")
            received = b""
            while not received.endswith(b"and on"):
                received += await server.receive_some()
            assert received == DATA[:100] + b"and on"

    trio.run(main)


@pytest.mark.parametrize("in_data_phase", [False, True])
def test_ctrl_c_while_receiving(native: Engine, system: Interrupted, in_data_phase: bool) -> None:
    """Nothing of what was received is lost."""

    async def main() -> None:
        async with connected(native, UNIX) as (client, server):
            if in_data_phase:
                await client.send_all(b"first")
                assert await server.receive_some() == b"first"
            await client.send_all(DATA[:1000])
            await client.send_all(b"and on")
            received = b""
            interruptions = 0
            system.armed = True
            while not received.endswith(b"and on"):
                try:
                    received += await server.receive_some(100)
                except KeyboardInterrupt:
                    interruptions += 1
            assert received == DATA[:1000] + b"and on"
            assert interruptions == 1

    trio.run(main)


@pytest.mark.parametrize("waits_for", ["receiving", "sending"])
def test_ctrl_c_while_waiting(native: Engine, waits_for: str) -> None:
    """A stream that waits is interrupted there."""

    async def main() -> None:
        async with connected(native, UNIX) as (client, _):
            trio.lowlevel.current_trio_token().run_sync_soon(press_ctrl_c)
            work = {
                "receiving": client.receive_some,
                "sending": partial(client.send_all, bytes(2**24)),
            }
            with pytest.raises(KeyboardInterrupt):
                await work[waits_for]()

    trio.run(main)
