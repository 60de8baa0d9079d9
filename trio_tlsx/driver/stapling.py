"""Fetch and refresh OCSP responses for stapling."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Awaitable, Callable
from typing import ClassVar

from cryptography.x509 import ocsp

from ..clock import Clock, utc_now
from ..pki.certificates import MALFORMED
from ..pki.describe import date
from ..pki.revocation import good_until
from .library import AsyncLibrary

__all__ = ["StapleFetcher"]

logger: logging.Logger = logging.getLogger("trio_tlsx")

#: How long a fetch may take, in seconds. A handshake waits for it, and has ten seconds by default.
FETCH_SECONDS = 5.0

#: The time between a fetch that failed and the next one.
RETRY_AFTER = datetime.timedelta(minutes=1)


class StapleFetcher:
    """Fetch and refresh an OCSP response, over any async library.

    A subclass for one library, ``RefreshingStaple``, is what programs use.
    """

    library: ClassVar[AsyncLibrary]

    def __init__(
        self,
        fetch: Callable[[], Awaitable[bytes]],
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._fetching = self.library.Lock()
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
            with self.library.fail_after(FETCH_SECONDS):
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
