"""The objects that a configuration is made of reject arguments of a wrong type, too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from trio_tlsx import (
    ConfigError,
    Credentials,
    MemoryAntiReplayCache,
    MemorySessionStore,
    MemoryTicketStore,
    TicketKeys,
    TrustStore,
)
from trio_tlsx.testing import CA

AUTHORITY = CA()
CREDENTIALS = AUTHORITY.issue("test.example")
KEY = bytes(range(32))

Make = Callable[..., object]


@pytest.mark.parametrize(
    ("make", "arguments", "sentence"),
    [
        (TicketKeys, (KEY,), "keys is of type bytes; pass a list of keys"),
        (TicketKeys, (["secret"],), "keys is of type list[str]; pass a list of keys"),
        (TicketKeys().use, (KEY,), "keys is of type bytes; pass a list of keys"),
        (TrustStore, ("ca.pem",), "certificates is of type str; pass x509.Certificate objects"),
        (TrustStore, (AUTHORITY.pem,), "certificates is of type bytes; pass"),
        (TrustStore, ([AUTHORITY.pem],), "certificates is of type tuple[bytes]; pass"),
        (TrustStore.from_pem, (AUTHORITY.pem.decode(),), "pem is of type str; pass PEM as bytes"),
        (TrustStore.from_pem_file, (3,), "path is of type int; pass the path of a file"),
        (Credentials, ("cert.pem", "key.pem"), "chain is of type str; pass x509.Certificate"),
        (Credentials, (CREDENTIALS.chain, KEY), "signer is of type bytes; pass an object"),
        (Credentials.from_pem_files, (3, 4), "path is of type int; pass the path of a file"),
        (Credentials.from_pem, ("cert", b""), "pem is of type str; pass PEM as bytes"),
        (MemorySessionStore, ("many",), "max_servers is of type str; pass a number"),
        (MemorySessionStore, (1, None), "max_per_server is of type NoneType; pass a number"),
        (MemoryTicketStore, (None,), "max_tickets is of type NoneType; pass a number"),
        (MemoryAntiReplayCache, (2.5,), "max_entries is of type float; pass a number"),
    ],
)
def test_wrong_types(make: Make, arguments: tuple[Any, ...], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make(*arguments)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"lifetime": "an hour"}, "lifetime is of type str; pass a number of seconds"),
        ({"clock": 3}, "clock is of type int; pass a function that returns the time"),
    ],
)
def test_options_of_ticket_keys(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        TicketKeys(**options)
    assert sentence in str(caught.value)


def test_trust_from_any_iterable() -> None:
    trust = TrustStore(certificate for certificate in AUTHORITY.trust.certificates)
    assert trust.certificates == AUTHORITY.trust.certificates
