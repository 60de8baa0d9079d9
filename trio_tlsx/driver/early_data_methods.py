"""The methods of a TLS stream for early data."""

from __future__ import annotations

from ..arguments import checked_max_bytes
from .library import must_not_be_interrupted
from .stream_methods import StreamMethods, T_Stream

__all__ = ["EarlyDataMethods"]


class EarlyDataMethods(StreamMethods[T_Stream]):
    """Receive and answer early data (0-RTT, RFC 9846 2.3) on a server."""

    @must_not_be_interrupted
    async def receive_replayable_early_data(self, max_bytes: int | None = None) -> bytes:
        """On a server, receive the data that the client sent with its first message (0-RTT).

        **It may be a replay of what somebody recorded** (RFC 9846 8, F.5). Until this method has
        returned ``b""``, nothing shows that the client is there: do nothing before that must not
        happen twice. ``docs/sessions.md`` says what is safe. :meth:`receive_some` never returns
        early data, only what comes after it.

        Early data is accepted only if this is the first method to be called, and if
        ``ServerConfig.max_early_data_size`` allows it. Otherwise it is rejected; this method then
        does the handshake and returns ``b""``. With an :class:`ssl.SSLContext` there is never any
        early data.

        If cancelled, no data is lost. The handshake is treated as in :meth:`do_handshake`.

        Args:
            max_bytes: the most to return; by default everything that has come.

        Returns:
            At least one byte; or ``b""`` once the handshake is complete. Then the client has shown
            that it is there and that the early data was its own.
        """
        max_bytes = checked_max_bytes(max_bytes)
        with self._raised, self._driver.receiving:
            self._driver.check_usable()
            return await self._driver.receive_early_data(max_bytes)

    @must_not_be_interrupted
    async def answer_early_data(self, data: bytes | bytearray | memoryview) -> None:
        """On a server, send application data without waiting for the end of the handshake.

        This is what early data gains: :meth:`send_all` waits for the client's last message. Only
        the owner of the session can decrypt the answer. But **nothing shows yet that the client is
        there**: a replay of early data is answered too. If no early data was accepted, and once
        the handshake is complete, this is :meth:`send_all`.

        If cancelled, as :meth:`send_all`; where that breaks the connection for sending, the
        handshake cannot complete either.

        Args:
            data: the data to send.
        """
        octets = memoryview(data).cast("B")
        with self._raised:
            self._driver.check_sendable()
            with self._sending:
                if not self._engine.can_write:
                    await self._driver.do_handshake(until_early_data=True)
                await self._send(octets)
