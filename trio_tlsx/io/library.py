"""The driver for trio."""

from __future__ import annotations

from typing import ClassVar

import trio

from ..driver.conflict import ConflictDetector, ParkingLot
from ..driver.driver import Driver
from ..driver.library import AsyncLibrary
from .data_phase import DataPhase
from .transport import DescriptorTransport

__all__ = ["TRIO", "TrioDriver"]


class TrioConflictDetector(ConflictDetector):
    """A conflict detector with trio's exception and parking lot."""

    __slots__ = ()

    busy_error: ClassVar[type[Exception]] = trio.BusyResourceError
    parking_lot: ClassVar[type[ParkingLot]] = trio.lowlevel.ParkingLot


TRIO = AsyncLibrary(
    BrokenResourceError=trio.BrokenResourceError,
    ClosedResourceError=trio.ClosedResourceError,
    EndOfChannel=trio.EndOfChannel,
    NeedHandshakeError=trio.NeedHandshakeError,
    TooSlowError=trio.TooSlowError,
    ConflictDetector=TrioConflictDetector,
    CancelScope=trio.CancelScope,
    Lock=trio.Lock,
    cancelled_class=lambda: trio.Cancelled,
    checkpoint=trio.lowlevel.checkpoint,
    checkpoint_if_cancelled=trio.lowlevel.checkpoint_if_cancelled,
    cancel_shielded_checkpoint=trio.lowlevel.cancel_shielded_checkpoint,
    current_time=trio.current_time,
    fail_after=trio.fail_after,
    move_on_after=trio.move_on_after,
    aclose_forcefully=trio.aclose_forcefully,
)


class TrioDriver(Driver):
    """Runs one engine through its connection, in a program over trio."""

    __slots__ = ()

    library = TRIO

    def start_data_phase(self) -> None:
        """Let ordinary data bypass the engine, if that has a record layer and a descriptor."""
        pump, record_layer = self.pump, self._engine.record_layer
        if record_layer is not None and isinstance(pump.transport, DescriptorTransport):
            pump.data_phase = DataPhase(pump.transport, pump.receiving, *record_layer)
