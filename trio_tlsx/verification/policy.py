"""The policy for single certificates: key sizes, key usages and purposes.

``cryptography.x509.verification`` builds the path. It checks signatures, dates, path lengths, name
constraints and the name, and rejects critical extensions that it does not know. Its own profile of
extensions is the CA/B Forum's, which private PKIs do not follow. So the policy here permits all
extensions, and checks those that the library then no longer checks. The alerts are those of
OpenSSL and BoringSSL.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier
from cryptography.x509.verification import Criticality, ExtensionPolicy, Policy, PolicyBuilder

from ..errors import AlertDescription, CertificateError
from ..pki.describe import subject_of
from ..pki.rsa_keys import check_rsa_strength

__all__ = [
    "CLIENT",
    "MAX_INTERMEDIATES",
    "SERVER",
    "Purpose",
    "check_ca_key",
    "check_extended_key_usage",
    "check_leaf_key",
]

#: Intermediate CAs on a path. The library itself limits the signatures that it checks in a search
#: (128); this limit keeps each search short.
MAX_INTERMEDIATES = 8


@dataclass(frozen=True, slots=True)
class Purpose:
    """The use of a leaf certificate.

    Attributes:
        role: the role of the certificate's holder, ``"server"`` or ``"client"``.
        usage: the extended key usage for it.
        trust_argument: the argument of the other side's configuration that has the trusted CAs.
    """

    role: str
    usage: ObjectIdentifier
    trust_argument: str

    def policy_builder(self) -> PolicyBuilder:
        """Return the library's policy, without a store, a time and a name."""
        leaf = ExtensionPolicy.permit_all()
        if self.role == "server":
            # RFC 9525 2: the name is in subjectAltName, never in the subject's common name.
            san = x509.SubjectAlternativeName
            leaf = leaf.require_present(san, Criticality.AGNOSTIC, None)
        ca = ExtensionPolicy.permit_all().require_present(
            x509.BasicConstraints, Criticality.AGNOSTIC, None
        )
        # The callbacks are called for every certificate; without the extension they get None.
        leaf = leaf.may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _check_leaf_key)
        ca = ca.may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _check_ca_key)
        eku = x509.ExtendedKeyUsage
        leaf = leaf.may_be_present(eku, Criticality.AGNOSTIC, self._check_extended_key_usage)
        ca = ca.may_be_present(eku, Criticality.AGNOSTIC, self._check_extended_key_usage)
        return (
            PolicyBuilder()
            .max_chain_depth(MAX_INTERMEDIATES)
            .extension_policies(ca_policy=ca, ee_policy=leaf)
        )

    def _check_extended_key_usage(
        self, _: Policy, certificate: x509.Certificate, usages: x509.ExtendedKeyUsage | None
    ) -> None:
        check_extended_key_usage(certificate, usages, self)


SERVER = Purpose("server", ExtendedKeyUsageOID.SERVER_AUTH, "trust")
CLIENT = Purpose("client", ExtendedKeyUsageOID.CLIENT_AUTH, "client_trust")


def _check_leaf_key(_: Policy, leaf: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    check_leaf_key(leaf, usage)


def _check_ca_key(_: Policy, ca: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    check_ca_key(ca, usage)


def check_leaf_key(leaf: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    """Raise CertificateError unless a leaf's key may sign a handshake (RFC 9846 4.5.1.2)."""
    check_rsa_strength(leaf)
    if usage and not usage.digital_signature:
        raise CertificateError(
            f"the key usage of the certificate of {subject_of(leaf)} does not allow "
            "digitalSignature, so it cannot sign a handshake: have it issued with that",
            AlertDescription.unsupported_certificate,
            certificate=leaf,
        )


def check_ca_key(ca: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    """Raise CertificateError unless a CA's key may sign certificates (RFC 5280 4.2.1.3)."""
    check_rsa_strength(ca)
    if usage and not usage.key_cert_sign:
        raise CertificateError(
            f"the key usage of the CA {subject_of(ca)} does not allow keyCertSign, so it may not "
            "issue certificates: reissue it with that",
            AlertDescription.unknown_ca,
            certificate=ca,
        )


def check_extended_key_usage(
    certificate: x509.Certificate, usages: x509.ExtendedKeyUsage | None, purpose: Purpose
) -> None:
    """Raise CertificateError unless a certificate may be used for this (RFC 5280 4.2.1.12).

    The usages of a CA restrict the certificates that it issues, as in OpenSSL, Go and NSS.
    """
    if usages is None:
        return
    if purpose.usage not in usages and ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE not in usages:
        raise CertificateError(
            f"the certificate of {subject_of(certificate)} is not for TLS {purpose.role}s: its "
            f"extended key usage lacks {purpose.role}Auth; have it issued with that",
            AlertDescription.unsupported_certificate,
            certificate=certificate,
        )
