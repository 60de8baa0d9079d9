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

logger = logging.getLogger("trio_tlsx")

#: How long a fetch may take, in seconds. A handshake waits for it, and has ten by default.
FETCH_SECONDS = 5.0

#: How long after a fetch that failed there is no other.
RETRY_AFTER = datetime.timedelta(minutes=1)


class RefreshingStaple:
    """An OCSP response that is fetched when a handshake needs it, kept, and fetched again in time.

    Give it to :meth:`Credentials.stapling`. A response is fetched again after half of the time
    for which it is good. There is one fetch at a time, in the task of the handshake that found it
    due and cancelled with that; others meanwhile get the response from before, or wait if there
    is none. If it fails, or takes more than five seconds, one line is logged, and it is tried
    again a minute later at the earliest. Until then the response from before is used for as long
    as it is good, and then none.

    Args:
        fetch: an async function that gets the response from the CA's responder, in DER
            (RFC 6960). That it is about the right certificate, the clients check.
        clock: gives the time, with a time zone.
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
        """The response, as long as there is one that is good."""
        return self._response if self._clock() < self._good_until else None

    def __call__(self) -> Awaitable[bytes | None] | bytes | None:
        """The response for a handshake, or an awaitable of it if it has to be fetched."""
        if self._clock() < self._due or (self._fetching.locked() and self.response):
            return self.response
        return self._refreshed()

    async def _refreshed(self) -> bytes | None:
        async with self._fetching:
            if self._clock() >= self._due:  # else another handshake has seen to it
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
    """Until when a response is good; ValueError if it is not."""
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
