"""Stapled OCSP responses and certificate revocation lists."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID
from hook_pairs import NAME, Connect, MakeHook, over_memory, run_handshake
from ocsp_responses import DAY, HOUR, NOW, REVOKED, UNKNOWN, response

from trio_tlsx import (
    AlertDescription,
    AlertReceived,
    CertificateError,
    ClientConfig,
    ConfigError,
    Credentials,
    InternalError,
    ServerConfig,
    check_crl,
    check_stapled_ocsp,
)
from trio_tlsx.testing import CA

pytestmark = pytest.mark.usefixtures("each_version")

Alert = AlertDescription


MUST_STAPLE = (x509.TLSFeature([x509.TLSFeatureType.status_request]), False)


# OCSP


async def verdict(
    ca: CA, credentials: Credentials, der: bytes | None, *, must: bool = False
) -> CertificateError | None:
    """Why a client refuses a server that staples this, if it does."""
    if der is not None:
        credentials = credentials.stapling(der)
    client, server = await run_handshake(
        ClientConfig(trust=ca.trust, verify=check_stapled_ocsp(must=must)),
        ServerConfig(credentials=credentials),
        await over_memory(),
    )
    if client.error is None:
        return None
    error = client.failed(CertificateError)
    assert server.failed(AlertReceived).alert is error.alert
    assert error.certificate == credentials.chain[0]
    return error


@pytest.fixture(scope="module")
def leaf(ca: CA) -> Credentials:
    return ca.issue(NAME)


@pytest.mark.parametrize("digest", [hashes.SHA1(), hashes.SHA256()], ids=lambda d: d.name)
async def test_ocsp_good_is_accepted(
    ca: CA, leaf: Credentials, digest: hashes.HashAlgorithm
) -> None:
    der = response(ca, leaf.chain[0], digest=digest)
    assert await verdict(ca, leaf, der, must=True) is None


@pytest.mark.parametrize("key_type", ["P-256", "RSA-2048", "ed25519", "ML-DSA-44"])
async def test_ocsp_response_of_a_delegated_responder_is_accepted(
    ca: CA, leaf: Credentials, key_type: str
) -> None:
    responder = ca.issue(
        "ocsp.example", key_type=key_type, extended_key_usage=[ExtendedKeyUsageOID.OCSP_SIGNING]
    )
    der = response(ca, leaf.chain[0], responder=responder)
    assert await verdict(ca, leaf, der) is None
    signature = ocsp.load_der_ocsp_response(der).signature
    altered = bytearray(signature)
    altered[len(signature) // 2] ^= 1
    await check_bad(ca, leaf, der.replace(signature, bytes(altered)), "not its issuer's")


async def test_ocsp_response_of_an_intermediate_is_accepted(ca: CA) -> None:
    intermediate = ca.intermediate()
    leaf = intermediate.issue(NAME)
    assert await verdict(ca, leaf, response(intermediate, leaf.chain[0])) is None
    by_root = await verdict(ca, leaf, response(ca, leaf.chain[0]))
    assert by_root is not None
    assert "not its issuer's" in str(by_root)


async def test_ocsp_revoked_is_rejected(ca: CA, leaf: Credentials) -> None:
    error = await verdict(ca, leaf, response(ca, leaf.chain[0], REVOKED))
    assert error is not None
    assert error.alert is Alert.certificate_revoked
    assert "keyCompromise" in str(error)


async def test_ocsp_response_without_next_update(ca: CA, leaf: Credentials) -> None:
    fresh = response(ca, leaf.chain[0], next_update=None)
    assert await verdict(ca, leaf, fresh) is None
    old = response(ca, leaf.chain[0], this_update=NOW - 2 * DAY, next_update=None)
    assert await verdict(ca, leaf, old) is not None


async def check_bad(ca: CA, leaf: Credentials, der: bytes, sentence: str) -> None:
    error = await verdict(ca, leaf, der)
    assert error is not None
    assert error.alert is Alert.bad_certificate_status_response
    assert sentence in str(error)


async def test_ocsp_unknown_is_rejected(ca: CA, leaf: Credentials) -> None:
    await check_bad(ca, leaf, response(ca, leaf.chain[0], UNKNOWN), "does not know it")


@pytest.mark.parametrize(
    ("this_update", "next_update"), [(-3, -2), (1, 2)], ids=["too old", "too new"]
)
async def test_ocsp_response_out_of_date_is_rejected(
    ca: CA, leaf: Credentials, this_update: int, next_update: int
) -> None:
    der = response(
        ca, leaf.chain[0], this_update=NOW + this_update * DAY, next_update=NOW + next_update * DAY
    )
    await check_bad(ca, leaf, der, "is good from")


async def test_ocsp_response_for_another_certificate_is_rejected(
    ca: CA, leaf: Credentials
) -> None:
    der = response(ca, ca.issue(NAME).chain[0])
    await check_bad(ca, leaf, der, "about another certificate")


async def test_ocsp_response_for_another_issuer_is_rejected(ca: CA, leaf: Credentials) -> None:
    """The serial number alone says nothing."""
    der = response(ca, leaf.chain[0], issuer=CA().certificate)
    await check_bad(ca, leaf, der, "about another certificate")


async def test_ocsp_response_with_a_wrong_signature_is_rejected(ca: CA, leaf: Credentials) -> None:
    other = CA()
    der = response(other, leaf.chain[0], issuer=ca.certificate, certificates=[other.certificate])
    await check_bad(ca, leaf, der, "not its issuer's")


async def test_ocsp_responder_without_ocsp_signing_is_rejected(ca: CA, leaf: Credentials) -> None:
    """Least of all by the certificate that it is about."""
    await check_bad(ca, leaf, response(ca, leaf.chain[0], responder=leaf), "not its issuer's")


async def test_ocsp_responder_of_another_ca_is_rejected(ca: CA, leaf: Credentials) -> None:
    responder = CA().issue("ocsp.example", extended_key_usage=[ExtendedKeyUsageOID.OCSP_SIGNING])
    der = response(ca, leaf.chain[0], responder=responder)
    await check_bad(ca, leaf, der, "not its issuer's")


async def test_ocsp_responder_that_has_expired_is_rejected(ca: CA, leaf: Credentials) -> None:
    responder = ca.issue(
        "ocsp.example",
        extended_key_usage=[ExtendedKeyUsageOID.OCSP_SIGNING],
        not_before=NOW - 3 * DAY,
        not_after=NOW - DAY,
    )
    der = response(ca, leaf.chain[0], responder=responder)
    await check_bad(ca, leaf, der, "not its issuer's")


async def test_altered_ocsp_response_is_rejected(ca: CA, leaf: Credentials) -> None:
    der = bytearray(response(ca, leaf.chain[0]))
    der[-1] ^= 1
    await check_bad(ca, leaf, bytes(der), "")


async def test_malformed_ocsp_response_is_rejected(ca: CA, leaf: Credentials) -> None:
    await check_bad(ca, leaf, b"\x30\x03\x0a\x01", "malformed")


async def test_ocsp_error_response_is_rejected(ca: CA, leaf: Credentials) -> None:
    der = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)
    await check_bad(ca, leaf, der.public_bytes(Encoding.DER), "TRY_LATER")


async def test_missing_ocsp_response_is_accepted_by_default(ca: CA, leaf: Credentials) -> None:
    assert await verdict(ca, leaf, None) is None


async def test_missing_ocsp_response_is_rejected_with_must(ca: CA, leaf: Credentials) -> None:
    error = await verdict(ca, leaf, None, must=True)
    assert error is not None
    assert error.alert is Alert.bad_certificate_status_response


async def test_missing_ocsp_response_is_rejected_with_must_staple(ca: CA) -> None:
    promising = ca.issue(NAME, extensions=[MUST_STAPLE])
    error = await verdict(ca, promising, None)
    assert error is not None
    assert "must staple" in str(error)
    assert await verdict(ca, promising, response(ca, promising.chain[0])) is None


async def test_ocsp_response_for_a_trusted_leaf(leaf: Credentials) -> None:
    client, _ = await run_handshake(
        ClientConfig(insecure_skip_verification=True, verify=check_stapled_ocsp()),
        ServerConfig(credentials=leaf.stapling(b"anything")),
        await over_memory(),
    )
    assert "its issuer is not verified" in str(client.failed(CertificateError))


# Where a server's response comes from


async def test_ocsp_response_from_a_function(
    ca: CA, leaf: Credentials, connect: Connect, make_hook: MakeHook
) -> None:
    hook = make_hook(response(ca, leaf.chain[0]))
    client, server = await run_handshake(
        ClientConfig(trust=ca.trust, verify=check_stapled_ocsp(must=True)),
        ServerConfig(credentials=leaf.stapling(hook)),
        await connect(),
    )
    client.settled()
    server.settled()
    assert len(hook.calls) == 1


async def test_ocsp_response_function_that_returns_none(
    ca: CA, leaf: Credentials, make_hook: MakeHook
) -> None:
    client, _ = await run_handshake(
        ClientConfig(trust=ca.trust, verify=check_stapled_ocsp()),
        ServerConfig(credentials=leaf.stapling(make_hook(None))),
        await over_memory(),
    )
    client.settled()


@pytest.mark.parametrize("outcome", [OSError("away"), b"", "response", 1], ids=repr)
async def test_ocsp_response_function_that_raises(
    ca: CA, leaf: Credentials, connect: Connect, make_hook: MakeHook, outcome: object
) -> None:
    client, server = await run_handshake(
        ClientConfig(trust=ca.trust, verify=check_stapled_ocsp()),
        ServerConfig(credentials=leaf.stapling(make_hook(outcome))),
        await connect(),
    )
    assert client.failed(AlertReceived).alert is Alert.internal_error
    error = server.failed(InternalError)
    assert error.__cause__ is outcome or "OCSP" in str(error)


async def test_ocsp_response_is_requested_only_with_a_hook(
    ca: CA, leaf: Credentials, make_hook: MakeHook
) -> None:
    hook = make_hook(b"response")
    client, _ = await run_handshake(
        ClientConfig(trust=ca.trust),
        ServerConfig(credentials=leaf.stapling(hook)),
        await over_memory(),
    )
    client.settled()
    assert hook.calls == []


def test_stapling_returns_new_credentials(leaf: Credentials) -> None:
    stapled = leaf.stapling(b"response")
    assert leaf.ocsp is None
    assert stapled.ocsp == b"response"
    assert stapled.chain == leaf.chain


# CRLs


def crl(
    ca: CA,
    *revoked: x509.Certificate,
    signer: CA | None = None,
    last_update: datetime.datetime = NOW - HOUR,
    next_update: datetime.datetime = NOW + DAY,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
    reason: x509.ReasonFlags | None = x509.ReasonFlags.superseded,
) -> x509.CertificateRevocationList:
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(ca.certificate.subject)
        .last_update(last_update)
        .next_update(next_update)
    )
    for certificate in revoked:
        entry = (
            x509.RevokedCertificateBuilder()
            .serial_number(certificate.serial_number)
            .revocation_date(NOW - HOUR)
        )
        if reason is not None:
            entry = entry.add_extension(x509.CRLReason(reason), critical=False)
        builder = builder.add_revoked_certificate(entry.build())
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign((signer or ca).private_key, hashes.SHA256())


async def judged(
    root: CA, credentials: Credentials, *crls: x509.CertificateRevocationList, must: bool = True
) -> CertificateError | None:
    client, _ = await run_handshake(
        ClientConfig(trust=root.trust, verify=check_crl(*crls, must=must)),
        ServerConfig(credentials=credentials),
        await over_memory(),
    )
    return None if client.error is None else client.failed(CertificateError)


async def test_crl_without_the_certificate_is_accepted(ca: CA, leaf: Credentials) -> None:
    assert await judged(ca, leaf, crl(ca)) is None
    assert await judged(ca, leaf, crl(ca, ca.issue(NAME).chain[0])) is None


@pytest.mark.parametrize("reason", [None, x509.ReasonFlags.superseded])
async def test_crl_with_the_certificate_is_rejected(
    ca: CA, leaf: Credentials, reason: x509.ReasonFlags | None
) -> None:
    error = await judged(ca, leaf, crl(ca), crl(ca, leaf.chain[0], reason=reason))
    assert error is not None
    assert error.alert is Alert.certificate_revoked
    assert error.certificate == leaf.chain[0]
    assert ("superseded" in str(error)) is (reason is not None)


async def test_crl_with_an_intermediate_is_rejected(ca: CA) -> None:
    intermediate = ca.intermediate()
    below = intermediate.issue(NAME)
    lists = [crl(ca, intermediate.certificate), crl(intermediate)]
    error = await judged(ca, below, *lists)
    assert error is not None
    assert error.alert is Alert.certificate_revoked
    assert error.certificate == intermediate.certificate


async def test_missing_crl_of_the_issuer(ca: CA) -> None:
    intermediate = ca.intermediate()
    below = intermediate.issue(NAME)
    error = await judged(ca, below, crl(ca))
    assert error is not None
    assert "there is no revocation list" in str(error)
    assert await judged(ca, below, crl(ca), must=False) is None


async def test_crl_with_a_wrong_signature_is_rejected(ca: CA, leaf: Credentials) -> None:
    error = await judged(ca, leaf, crl(ca, signer=CA()))
    assert error is not None
    assert "there is no revocation list" in str(error)


async def test_crl_of_a_ca_without_crl_sign_is_rejected() -> None:
    usage = x509.KeyUsage(False, False, False, False, False, True, False, False, False)
    ca = CA(extensions=[(usage, True)])
    error = await judged(ca, ca.issue(NAME), crl(ca))
    assert error is not None
    assert "there is no revocation list" in str(error)


@pytest.mark.parametrize(("begin", "end"), [(-3, -2), (1, 2)], ids=["too old", "too new"])
async def test_crl_out_of_date_is_rejected(
    ca: CA, leaf: Credentials, begin: int, end: int
) -> None:
    outdated = partial(crl, ca, last_update=NOW + begin * DAY, next_update=NOW + end * DAY)
    error = await judged(ca, leaf, outdated(), must=False)
    assert error is not None
    assert error.alert is Alert.certificate_unknown
    error = await judged(ca, leaf, outdated(leaf.chain[0]))
    assert error is not None
    assert error.alert is Alert.certificate_revoked


async def test_crl_without_verification_is_rejected(ca: CA, leaf: Credentials) -> None:
    client, _ = await run_handshake(
        ClientConfig(insecure_skip_verification=True, verify=check_crl(crl(ca), must=False)),
        ServerConfig(credentials=leaf),
        await over_memory(),
    )
    assert "its issuer is not verified" in str(client.failed(CertificateError))


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
async def test_crl_from_a_file(ca: CA, leaf: Credentials, encoding: Encoding) -> None:
    data = crl(ca, leaf.chain[0]).public_bytes(encoding)
    client, _ = await run_handshake(
        ClientConfig(trust=ca.trust, verify=check_crl(data)),
        ServerConfig(credentials=leaf),
        await over_memory(),
    )
    assert client.failed(CertificateError).alert is Alert.certificate_revoked


def point(**changes: Any) -> tuple[x509.ExtensionType, bool]:
    fields: dict[str, Any] = {
        "full_name": [x509.UniformResourceIdentifier("http://crl.example/")],
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    return x509.IssuingDistributionPoint(**fields | changes), True


def test_partial_and_delta_crls_are_rejected(ca: CA) -> None:
    check_crl(crl(ca, extensions=[point()]))
    for extension in [
        point(only_contains_user_certs=True),
        point(indirect_crl=True),
        (x509.DeltaCRLIndicator(1), True),
    ]:
        with pytest.raises(ConfigError, match="not a complete one"):
            check_crl(crl(ca, extensions=[extension]))


def test_malformed_crl_is_rejected() -> None:
    with pytest.raises(ConfigError, match="cannot be parsed"):
        check_crl(b"-----BEGIN X509 CRL-----\n")
    with pytest.raises(ConfigError, match="no certificate revocation list"):
        check_crl()
