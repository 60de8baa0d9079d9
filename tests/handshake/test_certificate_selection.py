"""Selection among many credentials and many schemes: the time is linear in their sum."""

from __future__ import annotations

import pytest
from engine_pairs import authority

from trio_tlsx.handshake import certificate_selection
from trio_tlsx.messages.certificate_types import CertificateType
from trio_tlsx.pki.credentials import Credentials

SCHEMES, CREDENTIALS = 15_000, 300


class CountedScheme(int):
    """A scheme of a peer's that counts how often it is compared."""

    comparisons = 0

    def __eq__(self, other: object) -> bool:
        CountedScheme.comparisons += 1
        return int(self) == other

    __hash__ = int.__hash__


@pytest.fixture
def offered() -> list[int]:
    CountedScheme.comparisons = 0
    return [CountedScheme(code) for code in range(0x2000, 0x2000 + SCHEMES)]


@pytest.fixture(scope="module")
def many() -> list[Credentials]:
    return [authority.issue("test.example")] * CREDENTIALS


def test_server_credentials_selection_is_linear(
    offered: list[int], many: list[Credentials]
) -> None:
    assert certificate_selection.for_server(many, offered, "test.example") is None
    assert CountedScheme.comparisons < SCHEMES


def test_client_credentials_selection_is_linear(
    offered: list[int], many: list[Credentials]
) -> None:
    assert certificate_selection.for_client(many, offered, (), CertificateType.X509) is None
    assert CountedScheme.comparisons < SCHEMES


def test_the_last_of_many_schemes_is_found(many: list[Credentials]) -> None:
    offered = [*range(0x2000, 0x2000 + SCHEMES), *many[0].signer.schemes]
    assert certificate_selection.for_server(many, offered, None) == (
        many[0],
        many[0].signer.schemes[0],
    )
