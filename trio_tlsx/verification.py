"""Whom to trust: the check of a peer's certificate chain."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from cryptography import x509

from .trust import TrustStore

__all__ = ["TrustStore", "verify_client", "verify_server"]


def verify_server(
    chain: Sequence[x509.Certificate],
    server_name: str,
    trust: TrustStore,
    at: datetime.datetime,
) -> None:
    """Check a server's chain."""
    raise NotImplementedError


def verify_client(
    chain: Sequence[x509.Certificate], trust: TrustStore, at: datetime.datetime
) -> None:
    """Check a client's chain."""
    raise NotImplementedError
