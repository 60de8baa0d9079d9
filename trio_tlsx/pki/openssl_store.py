"""Trusted certificates for OpenSSL's path building, through ``pyopenssl``: the extra ``openssl``.

Only this module uses that package. OpenSSL checks signatures while it builds a path, and a key
decides how long a signature check takes. So OpenSSL sees no certificate, neither the peer's nor a
trusted one, before its key has been checked.
"""

from __future__ import annotations

import datetime
import importlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from ..errors import CertificateError, ConfigError
from .certificates import MALFORMED
from .describe import kind_of, subject_of
from .rsa_keys import MAX_RSA_BITS, MIN_RSA_BITS, check_rsa_work

__all__ = ["OpenSSLRefusal", "OpenSSLStore", "Rejected", "check_key"]

#: Keys whose signatures take a bounded time to check, whatever their parameters.
BOUNDED_KEYS = (
    ec.EllipticCurvePublicKey,
    ed25519.Ed25519PublicKey,
    ed448.Ed448PublicKey,
    mldsa.MLDSA44PublicKey,
    mldsa.MLDSA65PublicKey,
    mldsa.MLDSA87PublicKey,
)


class OpenSSLRefusal(Exception):
    """OpenSSL found no path.

    Attributes:
        code: the error's number in OpenSSL (``X509_STORE_CTX_get_error(3)``).
        depth: the place in the path at which OpenSSL stopped; 0 is the leaf.
        certificate: the certificate at that place.
        text: the error in OpenSSL's words.
    """

    def __init__(self, code: int, depth: int, certificate: x509.Certificate, text: str) -> None:
        super().__init__(f"{text} (X509_V_ERR {code} at depth {depth})")
        self.code = code
        self.depth = depth
        self.certificate = certificate
        self.text = text


class Admitted(NamedTuple):
    """A certificate that OpenSSL may see, in both forms."""

    certificate: x509.Certificate
    openssl: Any


class Rejected(NamedTuple):
    """A certificate that OpenSSL was not shown, and the reason."""

    certificate: x509.Certificate
    fault: CertificateError


class OpenSSLStore:
    """Certificates at which OpenSSL may end a path.

    Args:
        certificates: the trusted certificates.

    Attributes:
        rejected: the trusted certificates that OpenSSL never sees.

    Raises:
        ConfigError: the extra ``openssl`` is not installed.
    """

    def __init__(self, certificates: Iterable[x509.Certificate]) -> None:
        self._crypto = _pyopenssl()
        self.rejected: list[Rejected]
        self._trusted, self.rejected = self._admit(certificates)

    def find_path(
        self, leaf: x509.Certificate, others: Iterable[x509.Certificate], at: datetime.datetime
    ) -> tuple[x509.Certificate, ...]:
        """Let OpenSSL build one path and check its signatures, dates and constraints.

        OpenSSL checks each signature of the path once, and tries no second path after that.

        Args:
            leaf: the peer's own certificate.
            others: the other certificates that the peer sent.
            at: the time, with its time zone.

        Returns:
            The path, from the leaf to a trusted certificate.

        Raises:
            CertificateError: the leaf's key is not acceptable, or OpenSSL cannot read the leaf.
            OpenSSLRefusal: there is no path.
        """
        own, rejected = self._admit([leaf])
        if rejected:
            raise rejected[0].fault
        sent = self._admit(others)[0]
        known = {**self._trusted, **sent, **own}
        [openssl_leaf] = [admitted.openssl for admitted in own.values()]
        context = self._crypto.X509StoreContext(
            self._store(at), openssl_leaf, [admitted.openssl for admitted in sent.values()]
        )

        def ours(certificate: Any) -> x509.Certificate:
            der = self._crypto.dump_certificate(self._crypto.FILETYPE_ASN1, certificate)
            return known[der].certificate if der in known else certificate.to_cryptography()

        try:
            return tuple(map(ours, context.get_verified_chain()))
        except self._crypto.X509StoreContextError as error:
            code, depth, text = error.errors
            raise OpenSSLRefusal(code, depth, ours(error.certificate), text) from error
        finally:
            self._clear_errors()

    def rejected_of(self, others: Iterable[x509.Certificate]) -> Sequence[Rejected]:
        """Return the certificates that OpenSSL is not shown: trusted ones, and of ``others``."""
        return [*self.rejected, *self._admit(others)[1]]

    def _store(self, at: datetime.datetime) -> Any:
        # A new one each time: OpenSSL takes the time of a store only once (X509_STORE_set1_param).
        store = self._crypto.X509Store()
        for admitted in self._trusted.values():
            store.add_cert(admitted.openssl)
        # Without the flag only a self-signed certificate ends a path.
        store.set_flags(self._crypto.X509StoreFlags.PARTIAL_CHAIN)
        store.set_time(at.astimezone(datetime.UTC))
        return store

    def _admit(
        self, certificates: Iterable[x509.Certificate]
    ) -> tuple[dict[bytes, Admitted], list[Rejected]]:
        """Convert those certificates whose key may be used, in OpenSSL's form, by their DER."""
        admitted: dict[bytes, Admitted] = {}
        rejected: list[Rejected] = []
        for certificate in certificates:
            der = certificate.public_bytes(Encoding.DER)
            try:
                check_key(certificate)
                admitted[der] = Admitted(
                    certificate, self._crypto.load_certificate(self._crypto.FILETYPE_ASN1, der)
                )
            except CertificateError as fault:
                rejected.append(Rejected(certificate, fault))
            except self._crypto.Error:
                rejected.append(
                    Rejected(
                        certificate,
                        CertificateError(
                            f"OpenSSL cannot read the certificate of {subject_of(certificate)}",
                            certificate=certificate,
                        ),
                    )
                )
        return admitted, rejected

    def _clear_errors(self) -> None:
        """Empty OpenSSL's queue of errors: it belongs to the thread, and others read it."""
        with suppress(self._crypto.Error):
            self._crypto.load_certificate(self._crypto.FILETYPE_ASN1, b"")


def check_key(certificate: x509.Certificate) -> None:
    """Check that the time for a signature check with a certificate's key is bounded.

    Raises:
        CertificateError: the key cannot be read, is of another kind, or is too short or too long.
    """
    try:
        key = certificate.public_key()
    except MALFORMED as error:
        raise _unacceptable(certificate, "a key that cannot be read") from error
    check_rsa_work(certificate)
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < MIN_RSA_BITS:
            raise _unacceptable(
                certificate,
                f"an RSA key of {key.key_size} bits; {MIN_RSA_BITS} to {MAX_RSA_BITS} are "
                "accepted",
            )
    elif not isinstance(key, BOUNDED_KEYS):
        raise _unacceptable(
            certificate, f"a {kind_of(key)} key; RSA, ECDSA, EdDSA and ML-DSA keys are accepted"
        )


def _unacceptable(certificate: x509.Certificate, key: str) -> CertificateError:
    return CertificateError(
        f"the certificate of {subject_of(certificate)} has {key}", certificate=certificate
    )


def _pyopenssl() -> Any:
    try:
        return importlib.import_module("OpenSSL.crypto")
    except ImportError as error:
        raise ConfigError(
            "verifier='openssl' needs the package pyopenssl: install the extra with "
            "pip install 'trio-tlsx[openssl]'"
        ) from error
