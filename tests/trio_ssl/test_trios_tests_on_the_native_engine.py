"""trio's tests of ``trio.SSLStream``, on ``TLSStream`` over the native engine.

Each of these tests creates an :class:`ssl.SSLContext`. A table maps each context to one of our
configurations.
"""

from __future__ import annotations

import functools
import ssl
from typing import Any

import pytest
from trio_suite import collectable, trios_tests

from trio_tlsx import ClientConfig, Credentials, ServerConfig, TrustStore
from trio_tlsx.engine import select as engines
from trio_tlsx.engine.interface import Engine
from trio_tlsx.io import stream

MODULES = trios_tests()
TEST_SSL: Any = MODULES[0]

RENEGOTIATION = "renegotiation, which we refuse in TLS 1.2, and which TLS 1.3 does not have"
CAUSE = "a cause of the stdlib's type: ours is a TLSError"
CONTEXT = "the .context setter: a configuration cannot be replaced, and is no SSLContext"
TLS_UNIQUE = "tls-unique, which TLS 1.3 does not define"

#: What cannot pass, and why.
CANNOT_PASS = {
    "test_attributes[tls12]": CONTEXT,
    "test_attributes[tls13]": CONTEXT,
    "test_get_channel_binding_after_handshake[tls13]": TLS_UNIQUE,
    "test_renegotiation_randomized[tls12]": RENEGOTIATION,
    "test_renegotiation_randomized[tls13]": RENEGOTIATION,
    "test_renegotiation_simple[tls12]": RENEGOTIATION,
    "test_renegotiation_simple[tls13]": RENEGOTIATION,
    "test_ssl_client_basics[tls12]": CAUSE,
    "test_ssl_client_basics[tls13]": CAUSE,
    "test_ssl_https_compatibility_disagreement[tls12]": CAUSE,
    "test_ssl_https_compatibility_disagreement[tls13]": CAUSE,
}

CA_PEM: bytes = TEST_SSL.TRIO_TEST_CA.cert_pem.bytes()
SERVER = ServerConfig(
    credentials=Credentials.from_pem(
        b"".join(pem.bytes() for pem in TEST_SSL.TRIO_TEST_1_CERT.cert_chain_pems),
        TEST_SSL.TRIO_TEST_1_CERT.private_key_pem.bytes(),
    ),
    versions=["TLSv1.3", "TLSv1.2"],
)
VERSIONS = {
    ssl.TLSVersion.TLSv1_2: ["TLSv1.2"],
    ssl.TLSVersion.TLSv1_3: ["TLSv1.3", "TLSv1.2"],
    ssl.TLSVersion.MAXIMUM_SUPPORTED: ["TLSv1.3", "TLSv1.2"],
}


@functools.cache
def client_config(maximum: ssl.TLSVersion, *, trusts_test_ca: bool) -> ClientConfig:
    trust = TrustStore.from_pem(CA_PEM) if trusts_test_ca else None
    return ClientConfig(trust=trust, versions=VERSIONS[maximum])


def native_config(context: ssl.SSLContext) -> ClientConfig | ServerConfig:
    if context is TEST_SSL.SERVER_CTX:
        return SERVER
    trusts_test_ca = ssl.PEM_cert_to_DER_cert(CA_PEM.decode()) in context.get_ca_certs(True)
    return client_config(context.maximum_version, trusts_test_ca=trusts_test_ca)


def engine_for(
    config: ClientConfig | ServerConfig | ssl.SSLContext,
    server_hostname: str | bytes | None,
    server_side: bool | None,
    *early_data: Any,
) -> Engine:
    if isinstance(config, ssl.SSLContext):
        config = native_config(config)
    return engines.engine_for(config, server_hostname, server_side, *early_data)


@pytest.fixture(autouse=True)
def native_engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "engine_for", engine_for)
    if reason := CANNOT_PASS.get(request.node.name):
        request.applymarker(pytest.mark.xfail(strict=True, reason=reason))


globals().update(collectable(MODULES))


def test_the_list_names_tests_that_are_there() -> None:
    assert {name.partition("[")[0] for name in CANNOT_PASS} <= globals().keys()
