"""OCSP stapling for trio."""

from __future__ import annotations

from ..driver.stapling import StapleFetcher
from .library import TRIO

__all__ = ["RefreshingStaple"]


class RefreshingStaple(StapleFetcher):
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

    library = TRIO
