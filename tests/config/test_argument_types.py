"""The arguments of credentials, trust stores and other parts of a configuration have types."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from trio_tlsx import (
    ConfigError,
    Credentials,
    MemoryAntiReplayCache,
    MemorySessionStore,
    MemoryTicketStore,
    PrivateKeySigner,
    ReloadingCredentials,
    Session,
    TicketKeys,
    TrustStore,
    check_crl,
    check_stapled_ocsp,
    pin_spki,
    spki_pin,
)
from trio_tlsx.testing import CA, credentials_to_pem

AUTHORITY = CA()
CREDENTIALS = AUTHORITY.issue("test.example")
KEY = bytes(range(32))
LEAF = CREDENTIALS.chain[0]
DER = CREDENTIALS.der_chain[0]
PEMS = credentials_to_pem(CREDENTIALS)
PIN = spki_pin(LEAF)

assert isinstance(CREDENTIALS.signer, PrivateKeySigner)
PRIVATE_KEY = CREDENTIALS.signer.private_key

Make = Callable[..., object]


def load() -> Credentials:
    return CREDENTIALS


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
        (TrustStore, (3,), "certificates is of type int; pass x509.Certificate objects"),
        (TrustStore.from_directory, (3,), "path is of type int; pass the path of a directory"),
        (PrivateKeySigner, (KEY, LEAF), "private_key is of type bytes; pass an ECDSA"),
        (PrivateKeySigner, (PRIVATE_KEY, b""), "certificate is of type bytes; pass an x509"),
        (PrivateKeySigner, (PRIVATE_KEY, LEAF, ["ed25519"]), "schemes is of type list[str]; pass"),
        (Credentials.from_der, (b"der", KEY), "chain is of type bytes; pass certificates in DER"),
        (Credentials.from_der, (["cert.der"], KEY), "chain is of type list[str]; pass"),
        (Credentials.from_der, ([b"der"], "key.der"), "key is of type str; pass the content"),
        (Credentials.from_der, ([DER], KEY, 5), "password is of type int; pass a str, bytes"),
        (Credentials.from_pem, (*PEMS, 5), "password is of type int; pass a str, bytes or None"),
        (Credentials.from_pkcs12, ("store.p12",), "data is of type str; pass the content of a"),
        (Credentials.from_pkcs12, (b"", 5), "password is of type int; pass a str, bytes or None"),
        (CREDENTIALS.stapling, ("response.der",), "ocsp is of type str; pass an OCSP response"),
        (CREDENTIALS.with_timestamps, (b"sct",), "timestamps is of type bytes; pass signed"),
        (CREDENTIALS.with_timestamps, (["sct"],), "timestamps is of type list[str]; pass signed"),
        (ReloadingCredentials, ("cert.pem", ["key.pem"]), "load is of type str; pass a function"),
        (ReloadingCredentials, (load, "cert.pem"), "paths is of type str; pass the paths"),
        (ReloadingCredentials, (load, [3]), "paths is of type tuple[int]; pass the paths"),
        (ReloadingCredentials, (load, None), "paths is of type NoneType; pass the paths"),
        (ReloadingCredentials.from_pem_files, (3, 4), "paths is of type tuple[int]; pass"),
        (pin_spki, ([PIN],), "pins is of type tuple[list]; pass each pin as an argument"),
        (pin_spki, (PIN.encode(),), "pins is of type tuple[bytes]; pass each pin"),
        (spki_pin, (DER,), "certificate is of type bytes; pass an x509.Certificate"),
        (check_crl, ("crl.pem",), "crls is of type tuple[str]; pass each list as an argument"),
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


@pytest.mark.parametrize(
    ("make", "options", "sentence"),
    [
        (check_stapled_ocsp, {"must": 1}, "must is of type int; pass True or False"),
        (check_crl, {"must": "yes"}, "must is of type str; pass True or False"),
        (partial(ReloadingCredentials, load, ()), {"clock": 3}, "clock is of type int; pass"),
        (MemoryAntiReplayCache, {"clock": 3}, "clock is of type int; pass a function"),
        (Session.from_bytes, {"data": "x", "key": KEY}, "data is of type str; pass the bytes"),
        (Session.from_bytes, {"data": b"\x01", "key": "x"}, "key is of type str; pass 32"),
    ],
)
def test_options_of_wrong_types(make: Make, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make(**options)
    assert sentence in str(caught.value)


def test_reloading_credentials_accept_any_iterable_of_paths() -> None:
    assert ReloadingCredentials(load, iter(["cert.pem"])).current is CREDENTIALS


def test_trust_from_any_iterable() -> None:
    trust = TrustStore(certificate for certificate in AUTHORITY.trust.certificates)
    assert trust.certificates == AUTHORITY.trust.certificates
