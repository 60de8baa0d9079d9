"""OCSP responses, as a CA or its responder signs them."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from trio_tlsx import Credentials, PrivateKeySigner
from trio_tlsx.crypto.signatures import PurePrivateKey
from trio_tlsx.testing import CA

NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)


HOUR = datetime.timedelta(hours=1)


DAY = 24 * HOUR


GOOD, REVOKED, UNKNOWN = (
    ocsp.OCSPCertStatus.GOOD,
    ocsp.OCSPCertStatus.REVOKED,
    ocsp.OCSPCertStatus.UNKNOWN,
)


def key_of(credentials: Credentials) -> Any:
    signer = credentials.signer
    assert isinstance(signer, PrivateKeySigner)
    return signer.private_key


def response(
    ca: CA,
    leaf: x509.Certificate,
    status: ocsp.OCSPCertStatus = GOOD,
    *,
    issuer: x509.Certificate | None = None,
    responder: Credentials | None = None,
    this_update: datetime.datetime = NOW - HOUR,
    next_update: datetime.datetime | None = NOW + DAY,
    digest: hashes.HashAlgorithm | None = None,
    certificates: Sequence[x509.Certificate] = (),
) -> bytes:
    """What the responder of ``ca`` says of ``leaf``."""
    revoked = status is REVOKED
    signer = responder.chain[0] if responder else ca.certificate
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            cert=leaf,
            issuer=issuer or ca.certificate,
            algorithm=digest or hashes.SHA1(),  # what everybody names certificates with here
            cert_status=status,
            this_update=this_update,
            next_update=next_update,
            revocation_time=NOW - 2 * HOUR if revoked else None,
            revocation_reason=x509.ReasonFlags.key_compromise if revoked else None,
        )
        .responder_id(ocsp.OCSPResponderEncoding.HASH, signer)
    )
    if responder or certificates:
        builder = builder.certificates([*certificates, *(responder.chain if responder else ())])
    key = key_of(responder) if responder else ca.private_key
    hashed = None if isinstance(key, PurePrivateKey) else hashes.SHA256()
    return builder.sign(key, hashed).public_bytes(Encoding.DER)
