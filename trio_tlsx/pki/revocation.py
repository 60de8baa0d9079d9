"""Revocation checks: stapled OCSP responses (RFC 6960) and CRLs (RFC 5280 5).

Both are ``verify`` hooks. Neither fetches anything: a client that queries an OCSP responder for
each connection waits for the responder, and reveals to it every server that it connects to.
"""

from __future__ import annotations

import datetime
import functools
from collections.abc import Callable, Iterator

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from ..arguments import BOOL, BYTES, Expected, any_of, check, instance_of, sequence_of
from ..crypto.signatures import PurePublicKey
from ..errors import AlertDescription, CertificateError, ConfigError
from .certificates import MALFORMED, extension_of
from .describe import date, name_of, subject_of
from .distinguished_names import subject_name
from .peer import Peer
from .public_keys import owner_of

__all__ = ["check_crl", "check_stapled_ocsp", "good_until"]

#: Allowed difference between the clocks of a responder and of this machine.
CLOCK_SKEW = datetime.timedelta(minutes=5)
#: Lifetime of a response without nextUpdate.
MAX_AGE_WITHOUT_NEXT_UPDATE = datetime.timedelta(days=1)
#: Certificates in a response that are tried as its signer's.
MAX_RESPONDERS = 4
#: Issuers whose signature of a CRL is not checked again each time.
MAX_REMEMBERED_SIGNATURES = 256

CRLS = Expected(
    sequence_of(any_of(BYTES, instance_of(x509.CertificateRevocationList))),
    "each list as an argument of its own: its content as bytes, or an "
    "x509.CertificateRevocationList",
)
MUST = Expected(BOOL, "True or False")

ACCEPTED_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)

_Alert = AlertDescription


# OCSP


def check_stapled_ocsp(*, must: bool = False) -> Callable[[Peer], None]:
    """Return a ``verify`` hook that rejects a peer unless its stapled OCSP response is "good".

    Args:
        must: reject peers that staple none. A peer whose certificate promises a response (RFC
            7633, "must staple") is rejected without one in any case.

    A resumed connection has no stapled response, so the hook accepts it. The hook rejects a raw
    public key, which has no response.

    Raises:
        ConfigError: ``must`` has the wrong type.
    """
    check("must", must, MUST)

    def verify(peer: Peer) -> None:
        leaf = _leaf_of(peer)
        if peer.ocsp_response is not None:
            _check_response(peer.ocsp_response, leaf, peer.issuer, peer.at)
        elif not peer.resumed and (must or _promises_staple(leaf)):
            why = "one is required" if must else "the certificate promises one (must staple)"
            raise _bad_response(leaf, f"there is no OCSP response with it, and {why}")

    return verify


def _leaf_of(peer: Peer) -> x509.Certificate:
    """Return the peer's own certificate; CertificateError if it has a raw public key."""
    if peer.raw_public_key is not None:
        raise CertificateError(
            f"the peer has {owner_of(peer.raw_public_key)}, whose revocation nobody publishes: "
            "call check_stapled_ocsp and check_crl only for peers with certificates",
            AlertDescription.certificate_unknown,
        )
    return peer.certificates[0]


def _promises_staple(leaf: x509.Certificate) -> bool:
    try:
        features = extension_of(leaf, x509.TLSFeature)
    except MALFORMED as error:  # it was not verified, or this would have been noticed
        raise CertificateError(
            f"the extensions of the certificate of {subject_of(leaf)} cannot be read",
            certificate=leaf,
        ) from error
    return features is not None and x509.TLSFeatureType.status_request in features


def _bad_response(leaf: x509.Certificate, fault: str) -> CertificateError:
    return _unknown(leaf, fault, _Alert.bad_certificate_status_response)


def _check_response(
    der: bytes, leaf: x509.Certificate, issuer: x509.Certificate | None, at: datetime.datetime
) -> None:
    """Raise CertificateError unless the response is valid and the certificate is "good"."""
    if issuer is None:
        raise _bad_response(leaf, "its issuer is not verified, so no response can be")
    try:
        response = ocsp.load_der_ocsp_response(der)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            status = response.response_status.name
            raise _bad_response(leaf, f"the responder could not tell ({status})")
        if not _is_signed(response, issuer, at):
            raise _bad_response(leaf, "the OCSP response is not its issuer's")
        single = next(_about(response, leaf, issuer), None)
        if single is None:
            raise _bad_response(leaf, "the OCSP response is about another certificate")
        _check_dates(single, leaf, at)
    except MALFORMED as error:
        raise _bad_response(leaf, "the OCSP response is malformed") from error
    if single.certificate_status is ocsp.OCSPCertStatus.REVOKED:
        raise _revoked(leaf, single.revocation_time_utc, single.revocation_reason)
    if single.certificate_status is not ocsp.OCSPCertStatus.GOOD:
        raise _bad_response(leaf, "the OCSP responder does not know it")


def _about(
    response: ocsp.OCSPResponse, leaf: x509.Certificate, issuer: x509.Certificate
) -> Iterator[ocsp.OCSPSingleResponse]:
    for single in response.responses:
        builder = ocsp.OCSPRequestBuilder()
        wanted = builder.add_certificate(leaf, issuer, single.hash_algorithm).build()
        if (
            single.serial_number == wanted.serial_number
            and single.issuer_name_hash == wanted.issuer_name_hash
            and single.issuer_key_hash == wanted.issuer_key_hash
        ):
            yield single


def _check_dates(
    single: ocsp.OCSPSingleResponse, leaf: x509.Certificate, at: datetime.datetime
) -> None:
    begin, end = single.this_update_utc, good_until(single)
    if not begin - CLOCK_SKEW <= at <= end + CLOCK_SKEW:
        raise _bad_response(
            leaf,
            f"the OCSP response is good from {date(begin)} to {date(end)}, and it is {date(at)} "
            "now",
        )


def good_until(single: ocsp.OCSPSingleResponse) -> datetime.datetime:
    """Return the end of a response's lifetime, without the allowed clock skew."""
    return single.next_update_utc or single.this_update_utc + MAX_AGE_WITHOUT_NEXT_UPDATE


def _is_signed(
    response: ocsp.OCSPResponse, issuer: x509.Certificate, at: datetime.datetime
) -> bool:
    """Whether the issuer, or a responder that it appointed, signed it (RFC 6960 4.2.2.2)."""
    appointed = (
        responder
        for responder in response.certificates[:MAX_RESPONDERS]
        if _is_appointed(responder, issuer, at)
    )
    return any(_signed_by(response, signer) for signer in (issuer, *appointed))


def _is_appointed(
    responder: x509.Certificate, issuer: x509.Certificate, at: datetime.datetime
) -> bool:
    usages = extension_of(responder, x509.ExtendedKeyUsage)
    if usages is None or ExtendedKeyUsageOID.OCSP_SIGNING not in usages:
        return False
    if not responder.not_valid_before_utc <= at <= responder.not_valid_after_utc:
        return False
    try:
        responder.verify_directly_issued_by(issuer)
    except (InvalidSignature, *MALFORMED):
        return False
    return True


def _signed_by(response: ocsp.OCSPResponse, signer: x509.Certificate) -> bool:
    key = signer.public_key()
    digest = response.signature_hash_algorithm
    signature, content = response.signature, response.tbs_response_bytes
    try:
        if isinstance(key, PurePublicKey):
            key.verify(signature, content)
        elif not isinstance(digest, ACCEPTED_HASHES):
            return False
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, content, padding.PKCS1v15(), digest)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, content, ec.ECDSA(digest))
        else:
            return False
    except InvalidSignature:
        return False
    return True


# CRLs


def check_crl(
    *crls: x509.CertificateRevocationList | bytes, must: bool = True
) -> Callable[[Peer], None]:
    """Return a ``verify`` hook that rejects a peer if its verified path has a revoked certificate.

    A list that is out of date rejects the peer, too: make a new hook when new lists arrive. So
    does a raw public key, which is in no list. Only
    complete lists are supported, for all certificates of one issuer.

    Args:
        crls: the lists, or their content in PEM or DER.
        must: reject paths with a certificate whose issuer has no list here.

    Raises:
        ConfigError: an argument has the wrong type, a list cannot be parsed or is not a complete
            one, or there is none.
    """
    check("crls", crls, CRLS)
    check("must", must, MUST)
    loaded = tuple(map(_load_crl, crls))
    if not loaded:
        raise ConfigError("no certificate revocation list at all")

    @functools.lru_cache(MAX_REMEMBERED_SIGNATURES)
    def issued_by(issuer: x509.Certificate) -> tuple[x509.CertificateRevocationList, ...]:
        return tuple(crl for crl in loaded if _issued_crl(issuer, crl))

    def verify(peer: Peer) -> None:
        leaf = _leaf_of(peer)
        if not peer.path:
            raise _unknown(leaf, "its issuer is not verified, so no revocation list can be")
        for certificate, issuer in zip(peer.path, peer.path[1:], strict=False):
            found = issued_by(issuer)
            if must and not found:
                raise _unknown(certificate, f"there is no revocation list of {subject_of(issuer)}")
            for crl in found:
                _check_listed(certificate, crl, peer.at)

    return verify


def _load_crl(crl: x509.CertificateRevocationList | bytes) -> x509.CertificateRevocationList:
    try:
        if isinstance(crl, bytes):
            pem = crl.lstrip().startswith(b"-----")
            crl = (x509.load_pem_x509_crl if pem else x509.load_der_x509_crl)(crl)
        critical = [extension for extension in crl.extensions if extension.critical]
        _ = crl.issuer, crl.signature_hash_algorithm
    except MALFORMED as error:
        raise ConfigError(f"a certificate revocation list cannot be parsed: {error}") from error
    for extension in critical:
        point = extension.value
        if not isinstance(point, x509.IssuingDistributionPoint) or (
            point.only_contains_user_certs
            or point.only_contains_ca_certs
            or point.only_contains_attribute_certs
            or point.only_some_reasons
            or point.indirect_crl
        ):
            raise ConfigError(
                f"the revocation list of {name_of(crl.issuer)} is not a complete one: it has the "
                f"critical extension {extension.oid.dotted_string}"
            )
    return crl


def _issued_crl(issuer: x509.Certificate, crl: x509.CertificateRevocationList) -> bool:
    try:
        usage = extension_of(issuer, x509.KeyUsage)
    except MALFORMED:
        return False
    named = crl.issuer.public_bytes() == subject_name(issuer).der
    if not named or (usage and not usage.crl_sign):
        return False
    if crl.signature_hash_algorithm and not isinstance(
        crl.signature_hash_algorithm, ACCEPTED_HASHES
    ):
        return False
    try:
        # A certificate's key is of a kind that can sign, or it would not have issued one.
        return crl.is_signature_valid(issuer.public_key())  # pyright: ignore[reportArgumentType]
    except MALFORMED:
        return False


def _check_listed(
    certificate: x509.Certificate, crl: x509.CertificateRevocationList, at: datetime.datetime
) -> None:
    listed = crl.get_revoked_certificate_by_serial_number(certificate.serial_number)
    if listed is not None:
        try:
            reason = listed.extensions.get_extension_for_class(x509.CRLReason).value.reason
        except (x509.ExtensionNotFound, *MALFORMED):
            reason = None
        raise _revoked(certificate, listed.revocation_date_utc, reason)
    begin, end = crl.last_update_utc, crl.next_update_utc
    if at < begin - CLOCK_SKEW or (end is not None and at > end + CLOCK_SKEW):
        until = f" to {date(end)}" if end else ""
        raise _unknown(
            certificate,
            f"the revocation list of {name_of(crl.issuer)} is good from {date(begin)}{until}, and "
            f"it is {date(at)} now",
        )


# Errors


def _unknown(
    certificate: x509.Certificate, fault: str, alert: AlertDescription = _Alert.certificate_unknown
) -> CertificateError:
    return CertificateError(
        f"whether the certificate of {subject_of(certificate)} was revoked is not known: {fault}",
        alert,
        certificate=certificate,
    )


def _revoked(
    certificate: x509.Certificate,
    when: datetime.datetime | None,
    reason: x509.ReasonFlags | None,
) -> CertificateError:
    since = f" on {date(when)}" if when else ""
    why = f" ({reason.value})" if reason else ""
    return CertificateError(
        f"the certificate of {subject_of(certificate)} was revoked{since}{why}",
        _Alert.certificate_revoked,
        certificate=certificate,
    )
