"""Any certificate, however malformed, raises only CertificateError or ConfigError.

``python tests/pki/test_any_certificate.py SEED COUNT`` tries more certificates, and ``--table``
updates the table of docs/certificates.md.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cryptography
import pytest
from certificate_deviations import AUTHORITY, Case, cases, random_case
from cryptography import x509
from der import HOST, NOW, Form
from engine_pairs import shake_hands
from OpenSSL import crypto

from trio_tlsx import ClientConfig, Connection, Credentials, ServerConfig, TrustStore
from trio_tlsx.cli.report import certificate_facts
from trio_tlsx.engine.certificate_dict import certificate_dict
from trio_tlsx.errors import AlertDescription, AlertReceived, CertificateError, ConfigError
from trio_tlsx.pki.certificates import MALFORMED
from trio_tlsx.pki.credentials import PrivateKeySigner
from trio_tlsx.pki.describe import issuer_of, names_of, subject_of
from trio_tlsx.pki.identity import Identity
from trio_tlsx.pki.peer import Peer
from trio_tlsx.pki.pinning import pin_spki, spki_pin
from trio_tlsx.pki.revocation import check_stapled_ocsp
from trio_tlsx.verification.verify import verify_client, verify_server

PAGE = Path(__file__).parents[2] / "docs" / "certificates.md"
BEGIN, END = "<!-- deviations: begin -->\n", "<!-- deviations: end -->\n"
HEAD = '| deviation | `verifier="cryptography"` | `verifier="openssl"` |\n|---|---|---|\n'
RANDOM_CASES = 60

GOOD = AUTHORITY.issue(Form())
GOOD_ROOT = AUTHORITY.root()


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """``cryptography`` warns of a negative serial number when it loads a certificate."""
    with warnings.catch_warnings(action="ignore"):
        yield


def contained(call: Callable[[], object]) -> bool:
    """Whether it works; any error but the two that are allowed is raised."""
    try:
        call()
    except (CertificateError, ConfigError):
        return False
    return True


def is_verified(case: Case, verifier: Any) -> bool:
    leaf, root = case.certificates

    def verify() -> None:
        trust = TrustStore.from_certificates([root], verifier=verifier)
        verify_server([leaf, root], HOST, trust, NOW)

    return contained(verify)


def look_at(certificate: x509.Certificate) -> None:
    """Do all that describes a certificate; nothing here may raise."""
    Identity.of(certificate)
    certificate_facts(certificate)
    certificate_dict(certificate)
    for describe in (subject_of, issuer_of, names_of, spki_pin):
        describe(certificate)


def decide_on(certificate: x509.Certificate) -> None:
    """Do what a program does with a certificate, alone or beside good ones."""
    peer = Peer((certificate,), HOST, None, (), None, NOW)
    contained(lambda: check_stapled_ocsp()(peer))
    contained(lambda: pin_spki("sha256//" + "A" * 43 + "=")(peer))
    contained(lambda: Credentials([GOOD, certificate], PrivateKeySigner(AUTHORITY.leaf_key, GOOD)))
    for verifier in ("cryptography", "openssl"):
        trust = TrustStore.from_certificates([GOOD_ROOT, certificate], verifier=verifier)
        # Beside a good CA, in the store or in the chain, it spoils nothing.
        verify_server([GOOD, certificate], HOST, trust, NOW)
        with pytest.raises(CertificateError, match=r"not 'b\.example'"):
            verify_server([GOOD, certificate], "b.example", trust, NOW)
        contained(lambda trust=trust: verify_client([certificate], trust, NOW))


def connect(case: Case) -> None:
    """Do whole handshakes in which the server has it, then the client."""
    own = Credentials([GOOD], PrivateKeySigner(AUTHORITY.leaf_key, GOOD))
    own.der_chain = case.chain
    good = Credentials([GOOD], PrivateKeySigner(AUTHORITY.leaf_key, GOOD))
    trust = TrustStore.from_certificates([GOOD_ROOT])
    for client, server in (
        (ClientConfig(trust=trust), ServerConfig(credentials=own)),
        (ClientConfig(insecure_skip_verification=True), ServerConfig(credentials=own)),
        (
            ClientConfig(trust=trust, credentials=own),
            ServerConfig(credentials=good, client_auth="required", client_trust=trust),
        ),
    ):
        pair = Connection.client(client, HOST), Connection.server(server)
        try:
            contained(lambda pair=pair: shake_hands(*pair))
        except AlertReceived as error:
            if error.alert is AlertDescription.internal_error:
                raise


def examine(case: Case) -> None:
    connect(case)
    contained(lambda: Credentials.from_der(case.chain, b""))
    try:
        leaf, root = case.certificates
    except MALFORMED:
        return  # the handshake has refused it
    contained(lambda: Credentials([leaf, root], PrivateKeySigner(AUTHORITY.leaf_key, leaf)))
    trust = TrustStore.from_certificates([root])
    contained(
        lambda: ServerConfig(
            credentials=Credentials([GOOD], PrivateKeySigner(AUTHORITY.leaf_key, GOOD)),
            client_auth="required",
            client_trust=trust,
        )
    )
    for certificate in (leaf, root):
        look_at(certificate)
        decide_on(certificate)
    for verifier in ("cryptography", "openssl"):
        is_verified(case, verifier)


@pytest.mark.parametrize("case", [*cases()], ids=lambda case: case.what)
def test_deviating_certificate_is_read_or_rejected(case: Case) -> None:
    examine(case)


@pytest.mark.parametrize("seed", range(RANDOM_CASES))
def test_several_deviations(seed: int) -> None:
    examine(random_case(seed))


# What OpenSSL accepts and the built-in verifier does not


def is_accepted_by_openssl(case: Case) -> bool:
    """Whether OpenSSL finds a path with its own defaults, without a purpose and a name."""
    try:
        leaf, root = (crypto.load_certificate(crypto.FILETYPE_ASN1, der) for der in case.chain)
        store = crypto.X509Store()
        store.add_cert(root)
        store.set_time(NOW)
        crypto.X509StoreContext(store, leaf).verify_certificate()
    except (crypto.Error, crypto.X509StoreContextError, ValueError):
        return False
    return True


def is_accepted(case: Case, verifier: str) -> bool:
    try:
        return is_verified(case, verifier)
    except MALFORMED:
        return False  # it cannot be loaded


def rows() -> Iterator[str]:
    """What OpenSSL accepts and one of the verifiers does not."""
    for case in cases():
        if not is_accepted_by_openssl(case):
            continue
        accepted = [is_accepted(case, verifier) for verifier in ("cryptography", "openssl")]
        if not all(accepted):
            cells = ["accepted" if one else "rejected" for one in accepted]
            yield f"| {case.what} | {' | '.join(cells)} |\n"


@pytest.mark.skipif(
    cryptography.__version__.partition(".")[0] != "50", reason="the table is that of version 50"
)
def test_the_table_of_deviations() -> None:
    _, _, behind = PAGE.read_text().partition(BEGIN)
    table, _, _ = behind.partition(END)
    assert table == HEAD + "".join(rows())


def main(arguments: list[str]) -> None:
    warnings.simplefilter("ignore")
    if arguments == ["--table"]:
        before, _, behind = PAGE.read_text().partition(BEGIN)
        _, _, after = behind.partition(END)
        PAGE.write_text(before + BEGIN + HEAD + "".join(rows()) + END + after)
        return
    first, count = map(int, arguments)
    for seed in range(first, first + count):
        try:
            examine(random_case(seed))
        except BaseException:
            print(f"seed {seed}: {random_case(seed).what}", file=sys.stderr)
            raise


if __name__ == "__main__":
    main(sys.argv[1:])
