"""The types of certificates of a configuration: nothing is accepted that nothing decides about."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from engine_pairs import CLIENT, SERVER, authority, credentials
from raw_key_pairs import CLIENT_KEY, SERVER_KEY, raw_key_of, trusting

from trio_tlsx import CertificateType, ClientConfig, ConfigError, ServerConfig, TrustStore
from trio_tlsx.pki.peer import Peer

X509, RAW = CertificateType.X509, CertificateType.RawPublicKey
KEYS = trusting(SERVER_KEY)
BOTH = TrustStore(authority.trust.certificates, public_keys=[raw_key_of(SERVER_KEY)])
ASKING = {"client_auth": "required"}


def accept(peer: Peer) -> None:
    """Stand for a hook that decides alone."""


ALONE: dict[str, Any] = {"verify": accept, "verify_replaces_builtin": True}


@pytest.mark.parametrize(
    ("trust", "types"), [(authority.trust, (X509,)), (KEYS, (RAW,)), (BOTH, (X509, RAW))]
)
def test_accepted_types_are_those_of_the_trust_store(
    trust: TrustStore, types: tuple[CertificateType, ...]
) -> None:
    client = replace(CLIENT, trust=trust)
    assert client.parameters.peer_certificate_types == types
    server = replace(SERVER, client_auth="required", client_trust=trust)
    assert server.parameters.peer_certificate_types == types


def test_platform_trust_has_certificates_only() -> None:
    assert ClientConfig(trust=None).parameters.peer_certificate_types == (X509,)


@pytest.mark.parametrize(
    ("owned", "types"),
    [
        (None, (X509,)),
        (credentials(), (X509,)),
        (CLIENT_KEY, (RAW,)),
        ([CLIENT_KEY, credentials(), CLIENT_KEY], (RAW, X509)),
    ],
)
def test_own_types_are_those_of_the_credentials(
    owned: Any, types: tuple[CertificateType, ...]
) -> None:
    config = replace(CLIENT, credentials=owned)
    assert config.parameters.own_certificate_types == types


@pytest.mark.parametrize("options", [ALONE, {"insecure_skip_verification": True}])
def test_raw_keys_need_no_trust_store_if_something_else_decides(options: dict[str, Any]) -> None:
    config = replace(CLIENT, trust=None, peer_certificate_types=["RawPublicKey"], **options)
    assert config.parameters.peer_certificate_types == (RAW,)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"peer_certificate_types": ["RawPublicKey"]}, "no public key is trusted"),
    ({"peer_certificate_types": ["X509", "RawPublicKey"]}, "no public key is trusted"),
    ({"trust": KEYS, "peer_certificate_types": ["X509"]}, "no CA is trusted"),
    ({"peer_certificate_types": ["OpenPGP"]}, "unknown type 'OpenPGP'"),
    ({"peer_certificate_types": []}, "peer_certificate_types is empty"),
    ({"own_certificate_types": []}, "own_certificate_types is empty"),
    ({"own_certificate_types": ["x509"]}, "unknown type 'x509'"),
]


@pytest.mark.parametrize(("options", "fault"), WRONG)
def test_wrong_types_are_rejected(options: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        replace(CLIENT, **options)


def test_wrong_types_of_clients_are_rejected() -> None:
    with pytest.raises(ConfigError, match="no public key is trusted"):
        replace(
            SERVER,
            client_auth="required",
            client_trust=authority.trust,
            peer_certificate_types=["RawPublicKey"],
        )
    with pytest.raises(ConfigError, match="no effect without client_auth"):
        ServerConfig(credentials=credentials(), peer_certificate_types=["X509"])
