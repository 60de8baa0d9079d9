"""Verify a peer's certificate chain (RFC 9846 4.5.1.3, RFC 5280 6)."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.verification import VerificationError

from ..errors import AlertDescription, CertificateError, InternalError
from ..pki.certificates import MALFORMED
from ..pki.describe import subject_of
from ..pki.server_name import ServerName
from ..pki.trust import TrustStore
from ..pki.verified_paths import path_key
from .host_names import is_named
from .name_constraints import check_name_constraints
from .policy import CLIENT, SERVER, Purpose

__all__ = ["verify_client", "verify_server"]

#: If there are more certificates, those that cannot be on a path are left out of the search.
FEW_CERTIFICATES = 3

_BUILDERS = {purpose: purpose.policy_builder() for purpose in (SERVER, CLIENT)}


def verify_server(
    chain: Sequence[x509.Certificate],
    server_name: ServerName | str,
    trust: TrustStore,
    at: datetime.datetime,
    der_chain: Sequence[bytes] | None = None,
) -> tuple[x509.Certificate, ...]:
    """Verify that a server's chain leads to a trusted certificate and that it is for this name.

    Args:
        chain: the certificates that the server sent: the leaf, then the others in any order.
        server_name: the DNS name or IP address that the client wanted to reach.
        trust: the trusted certificates.
        at: the time at which the certificates have to be valid, with its time zone.
        der_chain: the chain in DER, as it was sent, if known; a path is found again by it.

    Returns:
        The path that was found: from the leaf to a trusted certificate.

    Raises:
        CertificateError: the chain is rejected. The error has the alert, the certificate that is
            at fault, and a sentence that says what is wrong with it and what to do.
        ConfigError: ``server_name`` is neither a DNS name nor an IP address.
        InternalError: ``at`` has no time zone.
    """
    if isinstance(server_name, str):
        server_name = ServerName.parse(server_name)
    return _verify(chain, SERVER, server_name, trust, at, der_chain)


def verify_client(
    chain: Sequence[x509.Certificate],
    trust: TrustStore,
    at: datetime.datetime,
    der_chain: Sequence[bytes] | None = None,
) -> tuple[x509.Certificate, ...]:
    """Verify that a client's chain leads to a trusted certificate, whatever its name.

    Args:
        chain: the certificates that the client sent: the leaf, then the others in any order.
        trust: the trusted certificates.
        at: the time at which the certificates have to be valid, with its time zone.
        der_chain: the chain in DER, as it was sent, if known; a path is found again by it.

    Returns:
        The path that was found: from the leaf to a trusted certificate.

    Raises:
        CertificateError: as ``verify_server``.
        InternalError: ``at`` has no time zone.
    """
    return _verify(chain, CLIENT, None, trust, at, der_chain)


def _verify(
    chain: Sequence[x509.Certificate],
    purpose: Purpose,
    name: ServerName | None,
    trust: TrustStore,
    at: datetime.datetime,
    der_chain: Sequence[bytes] | None,
) -> tuple[x509.Certificate, ...]:
    if at.tzinfo is None:
        raise InternalError("the clock returned a time without a time zone; use datetime.now(UTC)")
    if not chain:
        # RFC 9846 4.5.1.3: a server must not, a client may send none.
        server = purpose is SERVER
        alert = "decode_error" if server else "certificate_required"
        raise CertificateError(f"the {purpose.role} sent no certificate", AlertDescription[alert])
    verified = trust.verified_paths
    if verified is None:
        return _verify_anew(chain, purpose, name, trust, at)
    if der_chain is None:
        der_chain = [certificate.public_bytes(Encoding.DER) for certificate in chain]
    key = path_key(purpose.role, name, der_chain)
    path = verified.find(key, at)
    if path is None:
        path = _verify_anew(chain, purpose, name, trust, at)
        verified.keep(key, chain, der_chain, path)
    return path


def _verify_anew(
    chain: Sequence[x509.Certificate],
    purpose: Purpose,
    name: ServerName | None,
    trust: TrustStore,
    at: datetime.datetime,
) -> tuple[x509.Certificate, ...]:
    if trust.openssl_store is None:
        path = _find_path(chain, purpose, name, trust, at)
    else:
        from . import openssl_verifier  # only a store with verifier="openssl" needs it

        path = openssl_verifier.find_path(
            chain, purpose, trust.openssl_store, trust.certificates, at
        )
        _check_name(chain[0], name)
    check_name_constraints(path)
    return path


def _check_name(leaf: x509.Certificate, name: ServerName | None) -> None:
    try:
        if name is None or is_named(leaf, name):
            return
    except MALFORMED as error:
        raise CertificateError(
            f"the subjectAltName of the certificate of {subject_of(leaf)} is malformed: {error!r}",
            certificate=leaf,
        ) from error
    from .diagnosis import mismatch  # only for a rejected name

    raise mismatch(leaf, name)


def _find_path(
    chain: Sequence[x509.Certificate],
    purpose: Purpose,
    name: ServerName | None,
    trust: TrustStore,
    at: datetime.datetime,
) -> tuple[x509.Certificate, ...]:
    """Find the path with the verifier of ``cryptography``; CertificateError if there is none."""
    try:
        if name is None or name.is_host_name:
            return tuple(_search_path(chain, purpose, name, trust, at))
        # The library cannot express such a name.
        path = tuple(_search_path(chain, purpose, None, trust, at))
    except (VerificationError, *MALFORMED) as refusal:
        raise _explain(chain, purpose, name, trust, at, refusal) from refusal
    _check_name(chain[0], name)
    return path


def _explain(
    chain: Sequence[x509.Certificate],
    purpose: Purpose,
    name: ServerName | None,
    trust: TrustStore,
    at: datetime.datetime,
    refusal: Exception,
) -> CertificateError:
    # Only a rejected chain needs its explanation.
    from .builtin_limits import is_subject_decodable, undecodable_name
    from .diagnosis import diagnose, mismatch, unexplained

    leaf = chain[0]
    diagnosis = diagnose(chain, purpose, trust, at)
    if diagnosis.fault is not None:
        return diagnosis.fault
    if name is not None and name.is_host_name:
        try:
            _search_path(chain, purpose, None, trust, at)
        except VerificationError:
            pass  # so it is not the name alone
        except MALFORMED:
            # It may not be the name alone, but it is the name.
            if not is_named(leaf, name):
                return mismatch(leaf, name)
        else:
            return mismatch(leaf, name)
    if diagnosis.limit is not None:
        return diagnosis.limit
    if not isinstance(refusal, VerificationError) and not is_subject_decodable(leaf):
        return undecodable_name(leaf)
    return unexplained(chain, purpose)


def _search_path(
    chain: Sequence[x509.Certificate],
    purpose: Purpose,
    name: ServerName | None,
    trust: TrustStore,
    at: datetime.datetime,
) -> Sequence[x509.Certificate]:
    """Return the path from the leaf to a trusted certificate.

    Raises:
        CertificateError: there is no trusted certificate.
        VerificationError: there is no path.
        ValueError: ``cryptography`` could not decode a name of a certificate: for its error if
            there is no path, or for its result if ``name`` is None (or one of ``MALFORMED``).
    """
    if trust.store is None:
        raise CertificateError(
            f"the {purpose.role} sent a certificate, and only raw public keys are trusted: pass "
            "the CAs to the TrustStore too",
            AlertDescription.unknown_ca,
        )
    builder = _BUILDERS[purpose].store(trust.store).time(at)
    leaf, others = chain[0], list(chain[1:])
    if len(others) > FEW_CERTIFICATES:
        from .candidate_paths import on_the_way  # only a long chain needs it

        others = on_the_way(chain, trust)
    if name is None:
        return builder.build_client_verifier().verify(leaf, others).chain
    return builder.build_server_verifier(name.subject).verify(leaf, others)
