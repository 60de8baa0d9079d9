"""Fetch and refresh OCSP responses for stapling."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Awaitable, Callable

import trio
from cryptography.x509 import ocsp

from ..clock import Clock, utc_now
from ..pki.certificates import MALFORMED
from ..pki.describe import date
from ..pki.revocation import good_until

__all__ = ["RefreshingStaple"]

logger: logging.Logger = logging.getLogger("trio_tlsx")

#: How long a fetch may take, in seconds. A handshake waits for it, and has ten seconds by default.
FETCH_SECONDS = 5.0

#: The time between a fetch that failed and the next one.
RETRY_AFTER = datetime.timedelta(minutes=1)


class RefreshingStaple:
    """Fetch an OCSP response when a handshake needs it, keep it, and fetch it again in time.

    Pass it to :meth:`Credentials.stapling`. It fetches a response again after half of the
    response's validity. There is one fetch at a time, in the task of the handshake that found it
    due; if that task is cancelled, so is the fetch, and the next handshake starts it again. Other
    handshakes meanwhile use the previous response, or wait if there is none. If a fetch fails, or
    takes more than five seconds, one line is logged, and the next fetch is a minute later at the
    earliest. Until then the previous response is used while it is valid, and then none.

    Args:
        fetch: an async function that returns the response of the CA's responder, in DER
            (RFC 6960). The clients check that it is for the right certificate.
        clock: returns the time, with a time zone.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[bytes]],
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._fetching = trio.Lock()
        self._response: bytes | None = None
        self._good_until = self._due = datetime.datetime.min.replace(tzinfo=datetime.UTC)

    @property
    def response(self) -> bytes | None:
        """The response, if there is one that is valid now; otherwise None."""
        return self._response if self._clock() < self._good_until else None

    def __call__(self) -> Awaitable[bytes | None] | bytes | None:
        """Return the response for a handshake, or an awaitable if it has to be fetched."""
        if self._clock() < self._due or (self._fetching.locked() and self.response):
            return self.response
        return self._refreshed()

    async def _refreshed(self) -> bytes | None:
        async with self._fetching:
            if self._clock() >= self._due:  # otherwise another handshake has fetched it
                await self._refresh()
            return self.response

    async def _refresh(self) -> None:
        try:
            with trio.fail_after(FETCH_SECONDS):
                response = await self._fetch()
            now = self._clock()
            end = _end(response, now)
        except Exception as error:  # noqa: BLE001 - whatever the program's own function raises
            self._due = self._clock() + RETRY_AFTER
            logger.warning(
                "stapling: no OCSP response could be fetched, %s: %s",
                "the one from before stays in use" if self.response else "so none is sent",
                str(error) or type(error).__name__,
            )
        else:
            self._response, self._good_until = response, end
            self._due = now + (end - now) / 2

    def __repr__(self) -> str:
        state = f"good until {date(self._good_until)}" if self.response else "none now"
        return f"<RefreshingStaple, {state}>"


def _end(der: bytes, now: datetime.datetime) -> datetime.datetime:
    """Return until when a response is valid; ValueError if it is not valid."""
    try:
        response = ocsp.load_der_ocsp_response(der)
        successful = response.response_status is ocsp.OCSPResponseStatus.SUCCESSFUL
        ends = [good_until(single) for single in response.responses] if successful else []
    except MALFORMED as error:
        raise ValueError("what was fetched is not an OCSP response") from error
    if not ends:
        raise ValueError(f"the responder could not tell ({response.response_status.name})")
    if min(ends) <= now:
        raise ValueError(f"the response was good until {date(min(ends))}, and it is {date(now)}")
    return min(ends)
