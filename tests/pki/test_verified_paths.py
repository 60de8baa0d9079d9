"""Cached paths: the conditions for their use, and the limits of the cache."""

from __future__ import annotations

import datetime
import sys
import threading
from typing import Any

import pytest
from certificate_chains import CLIENT_AUTH, DAY, NOW, SERVER_AUTH, A, below, ca, issue, refused
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from trio_tlsx.errors import CertificateError, ConfigError
from trio_tlsx.pki.server_name import ServerName
from trio_tlsx.pki.trust import TrustStore
from trio_tlsx.pki.verified_paths import (
    MAX_STORED_CERTIFICATE_OCTETS,
    MAX_STORED_CERTIFICATES,
    MAX_STORED_PATH_OCTETS,
    MAX_STORED_PATHS,
    LastUsed,
    VerifiedPaths,
    path_key,
)
from trio_tlsx.verification import verify
from trio_tlsx.verification.verify import verify_client, verify_server

usefixtures = pytest.mark.usefixtures


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The roles of the peers that were verified anew."""
    found: list[str] = []
    verify_anew = verify._verify_anew  # pyright: ignore[reportPrivateUsage]

    def noted(chain: Any, purpose: Any, *rest: Any) -> tuple[x509.Certificate, ...]:
        found.append(purpose.role)
        return verify_anew(chain, purpose, *rest)

    monkeypatch.setattr(verify, "_verify_anew", noted)
    return found


def encoded(*certificates: x509.Certificate) -> list[bytes]:
    return [certificate.public_bytes(Encoding.DER) for certificate in certificates]


def stored(trust: TrustStore) -> VerifiedPaths:
    assert trust.verified_paths is not None
    return trust.verified_paths


@usefixtures("verifier")
def test_cached_path_is_used(searches: list[str]) -> None:
    root = ca()
    chain, trust = issue(below(root)), root.trust
    path = verify_server(chain, "a.example", trust, NOW)
    assert verify_server(chain, "A.example.", trust, NOW, encoded(*chain)) is path
    assert searches == ["server"]
    path = verify_client(chain, trust, NOW, encoded(*chain))
    assert verify_client(chain, trust, NOW) is path
    assert searches == ["server", "client"]


def test_cache_paths_turns_it_off(searches: list[str]) -> None:
    root = ca()
    chain = issue(root)
    trust = TrustStore([root.certificate], cache_paths=False)
    for _ in range(2):
        verify_server(chain, "a.example", trust, NOW)
    assert len(searches) == 2
    [der] = encoded(*chain)
    assert trust.load_certificate(der) is not trust.load_certificate(der)


def test_every_way_to_make_a_trust_store_has_the_option(tmp_path: Any) -> None:
    root = ca()
    file = tmp_path / "ca.pem"
    file.write_bytes(root.pem)
    for trust in (
        TrustStore.from_pem_file(file, cache_paths=False),
        TrustStore.from_pem(root.pem, cache_paths=False),
        TrustStore.from_directory(tmp_path, cache_paths=False),
        TrustStore.from_certificates([root.certificate], cache_paths=False),
        TrustStore.platform(cache_paths=False),
    ):
        assert trust.verified_paths is None
    assert TrustStore.platform().verified_paths is not None
    with pytest.raises(ConfigError, match="cache_paths"):
        TrustStore([root.certificate], cache_paths=1)  # pyright: ignore[reportArgumentType]


# The conditions


@usefixtures("verifier")
def test_rejected_chain_is_rejected_again() -> None:
    chain, trust = issue(ca("another")), ca().trust
    for _ in range(2):
        with pytest.raises(CertificateError):
            verify_server(chain, "a.example", trust, NOW)


@usefixtures("verifier")
def test_cached_path_is_not_used_for_another_name() -> None:
    root = ca()
    chain, trust = issue(root), root.trust
    verify_server(chain, "a.example", trust, NOW)
    with refused(A.bad_certificate, "not 'b.example'|'b.example'", chain[0]):
        verify_server(chain, "b.example", trust, NOW)


@usefixtures("verifier")
def test_cached_path_is_not_used_for_another_role() -> None:
    root = ca()
    trust = root.trust
    chain = issue(root, extended_key_usage=[CLIENT_AUTH])
    verify_client(chain, trust, NOW)
    with refused(A.unsupported_certificate, "not for TLS servers", chain[0]):
        verify_server(chain, "a.example", trust, NOW)
    chain = issue(root, extended_key_usage=[SERVER_AUTH])
    verify_server(chain, "a.example", trust, NOW)
    with refused(A.unsupported_certificate, "not for TLS clients", chain[0]):
        verify_client(chain, trust, NOW)


@usefixtures("verifier")
def test_cached_path_is_not_used_for_another_chain() -> None:
    root = ca()
    chain, trust = issue(below(root)), root.trust
    verify_server(chain, "a.example", trust, NOW)
    with pytest.raises(CertificateError):
        verify_server(chain[:1], "a.example", trust, NOW)


@usefixtures("verifier")
def test_cached_path_is_not_used_in_another_trust_store() -> None:
    chain, trust, other = issue(root := ca()), root.trust, ca("another").trust
    verify_server(chain, "a.example", trust, NOW)
    with pytest.raises(CertificateError):
        verify_server(chain, "a.example", other, NOW)


@usefixtures("verifier")
@pytest.mark.parametrize("late", ["leaf", "intermediate", "root"])
def test_cached_path_is_used_only_while_all_its_certificates_are_valid(
    late: str, searches: list[str]
) -> None:
    def dates(name: str) -> dict[str, Any]:
        span = DAY if name == late else 5 * DAY
        return {"not_before": NOW - span, "not_after": NOW + span}

    root = ca(**dates("root"))
    chain, trust = issue(below(root, **dates("intermediate")), **dates("leaf")), root.trust
    verify_server(chain, "a.example", trust, NOW)
    for at in (NOW - 2 * DAY, NOW + 2 * DAY):
        with pytest.raises(CertificateError):
            verify_server(chain, "a.example", trust, at)
    verify_server(chain, "a.example", trust, NOW + DAY / 2)
    assert len(searches) == 3  # and that is no fault of the certificates


def test_path_keys_of_a_name_and_an_address_with_the_same_text() -> None:
    keys = {
        path_key(role, name, ders)
        for role in ("server", "client")
        for name in (None, ServerName("10.0.0.1"), ServerName.parse("10.0.0.1"))
        for ders in ([b"one", b"two"], [b"onetwo"], [b"one"], [b"two", b"one"])
    }
    assert len(keys) == 2 * 3 * 4


# Certificates


def test_certificates_of_a_verified_path_are_not_parsed_again() -> None:
    root, stray = ca(), ca("stray").certificate
    trust = root.trust
    chain = issue(below(root))
    ders = encoded(*chain, stray)
    first = tuple(map(trust.load_certificate, ders))
    assert trust.load_certificate(ders[0]) is not first[0]  # nothing was verified so far
    verify_server(first, "a.example", trust, NOW, ders)
    again = tuple(map(trust.load_certificate, ders))
    assert again == first
    assert [one is other for one, other in zip(again, first, strict=True)] == [True, True, False]
    assert TrustStore([root.certificate]).load_certificate(ders[0]) is not first[0]


def test_certificates_of_a_rejected_chain_are_parsed_again() -> None:
    trust = ca().trust
    chain = issue(ca("another"))
    with pytest.raises(CertificateError):
        verify_server(chain, "a.example", trust, NOW)
    assert trust.load_certificate(encoded(*chain)[0]) is not chain[0]


# Bounds


def test_only_the_paths_that_were_used_last_are_stored(searches: list[str]) -> None:
    root, stray = ca(), ca("stray").certificate
    leaf, trust = issue(root)[0], root.trust
    junk = [[b"%d" % number] for number in range(MAX_STORED_PATHS)]
    verify_server([leaf], "a.example", trust, NOW)
    for others in junk:
        verify_server([leaf, stray], "a.example", trust, NOW, [*encoded(leaf), *others])
        verify_server([leaf], "a.example", trust, NOW)
    assert len(searches) == 1 + MAX_STORED_PATHS  # the leaf alone was found each time
    verify_server([leaf, stray], "a.example", trust, NOW, [*encoded(leaf), *junk[1]])
    assert len(searches) == 1 + MAX_STORED_PATHS
    verify_server([leaf, stray], "a.example", trust, NOW, [*encoded(leaf), *junk[0]])
    assert len(searches) == 2 + MAX_STORED_PATHS  # that one had to go


def test_what_is_too_long_is_not_stored() -> None:
    root = ca()
    [leaf] = issue(root)
    path = (leaf, root.certificate)
    paths = VerifiedPaths()
    for length, kept in (
        (MAX_STORED_CERTIFICATE_OCTETS, (True, True)),
        (MAX_STORED_CERTIFICATE_OCTETS + 1, (True, False)),
        (MAX_STORED_PATH_OCTETS, (True, False)),
        (MAX_STORED_PATH_OCTETS + 1, (False, False)),
    ):
        der, key = bytes(length), b"%d" % length
        paths.keep(key, [leaf], [der], path)
        assert (paths.find(key, NOW) is path, paths.certificate(der) is leaf) == kept


def test_certificates_are_bounded_in_number() -> None:
    root = ca()
    [leaf] = issue(root)
    paths = VerifiedPaths()
    for number in range(MAX_STORED_CERTIFICATES + 1):
        paths.keep(b"key", [leaf], [b"%d" % number], (leaf, root.certificate))
    found = [paths.certificate(b"%d" % number) for number in range(MAX_STORED_CERTIFICATES + 1)]
    assert found == [None, *[leaf] * MAX_STORED_CERTIFICATES]


def test_keys_are_hashes() -> None:
    """So they are short, however long the names and the certificates of a peer are."""
    name = ServerName.parse("a.example")
    assert len(path_key("server", name, [bytes(MAX_STORED_PATH_OCTETS)] * 9)) == 32


def test_many_threads_share_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    interval = sys.getswitchinterval()
    table = LastUsed[bytes](8)
    wrong: list[object] = []

    def use(first: int) -> None:
        try:
            for number in range(5_000):
                key = b"%d" % ((number * first) % 24)
                if table.get(key) not in (None, key):
                    wrong.append(key)
                table.put(key, key)
        except RuntimeError as error:  # such as a dict that changed while it was iterated
            wrong.append(error)

    threads = [threading.Thread(target=use, args=(first,)) for first in (1, 5, 7, 11)]
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not wrong
    table.put(b"one more", b"")
    assert len(table) <= 8


def test_the_last_second_of_a_path_is_searched_anew(searches: list[str]) -> None:
    """The verifier ignores fractions of a second; what is stored does not last longer for that."""
    end = NOW.replace(microsecond=0)
    root = ca()
    chain, trust = issue(root, not_after=end), root.trust
    for at in (NOW, end, NOW):
        verify_server(chain, "a.example", trust, at)
    assert searches == ["server", "server"]
    with pytest.raises(CertificateError):
        verify_server(chain, "a.example", trust, end + datetime.timedelta(seconds=1))
