"""The shim's credentials, and the selection that the flags require."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from pathlib import Path

from flags import Flags, Unimplemented
from later import later

from trio_tlsx.crypto.signatures import SignatureScheme, schemes_for
from trio_tlsx.crypto.signatures12 import AUTHENTICATION_BY
from trio_tlsx.errors import ConfigError, NegotiationError
from trio_tlsx.messages import extensions as ext
from trio_tlsx.messages.info import CertificateRequest, ClientHello
from trio_tlsx.pki.credentials import Credentials, PrivateKeySigner
from trio_tlsx.sessions.external_psk import ExternalPSK

__all__ = ["Disappointed", "Identity"]

DEFAULT = -1

#: The types of certificates in a CertificateRequest (RFC 5246 7.4.4, RFC 8422 5.5).
TYPES = {"RSA": 1, "ECDSA": 64}


class Disappointed(Exception):
    """The connection is not what the flags said to expect."""


@dataclass
class Candidate:
    """Credentials, under the number that the flags give them."""

    number: int
    credentials: Credentials
    must_match_issuer: bool


class Identity:
    """All that the shim could be.

    Attributes:
        selected: the number of the credentials that were used.
        is_asynchronous: whether hooks answer later.
    """

    def __init__(self, flags: Flags) -> None:
        self._flags = flags
        self.is_asynchronous = "-async" in flags
        self.selected: int | None = None
        numbered = [*enumerate(flags.credentials), (DEFAULT, flags)]
        made = [self._candidate(number, own) for number, own in numbered]
        self._candidates = [candidate for candidate in made if candidate is not None]
        self.has_any = any(
            "-cert-file" in own or "-new-rpk-credential" in own for _, own in numbered
        )
        self._psks = [
            (number, imported_psk(own)) for number, own in numbered if "-psk-importer-key" in own
        ]

    def _candidate(self, number: int, own: Flags) -> Candidate | None:
        certificate, key = own.text("-cert-file"), own.text("-key-file")
        is_raw = "-new-rpk-credential" in own
        if key is None or not (certificate or is_raw):
            return None
        try:
            credentials = (
                Credentials.from_pem_files(certificate, key)
                if certificate is not None
                else Credentials.from_raw_key(Path(key).read_bytes())
            )
        except ConfigError as refusal:
            if "digitalSignature" not in str(refusal):
                raise Unimplemented(str(refusal)) from refusal
            return None
        if not isinstance(credentials.signer, PrivateKeySigner):
            raise Unimplemented("another signer")
        schemes, of_12 = credentials.signer.schemes, credentials.signer.tls12_schemes
        if preferred := own.numbers("-signing-prefs"):
            possible = schemes_for(credentials.leaf, legacy=True)
            schemes = [SignatureScheme(code) for code in preferred if code in possible]
            of_12 = [SignatureScheme(code) for code in preferred if code in of_12]
            if of_12 and not schemes:  # for TLS 1.2 alone, and Credentials need one of TLS 1.3
                schemes = credentials.signer.schemes
        signer = Signer(self, number, credentials.signer, schemes, of_12)
        if not signer.schemes:
            return None  # refused where Credentials are made, so nobody can be asked to use it
        return Candidate(
            number,
            self._stapled(own, with_signer(credentials, signer)),
            "-must-match-issuer" in own,
        )

    def _stapled(self, own: Flags, credentials: Credentials) -> Credentials:
        if "-use-ocsp-callback" in self._flags:
            credentials = credentials.stapling(self._ocsp_response)
        elif "-ocsp-response" in own:
            credentials = credentials.stapling(own.base64("-ocsp-response"))
        if "-signed-cert-timestamps" in own:
            timestamps = ext.decode_timestamps(own.base64("-signed-cert-timestamps"))
            credentials = credentials.with_timestamps(timestamps)
        return credentials

    def _ocsp_response(self) -> bytes | None:
        if "-fail-ocsp-callback" in self._flags:
            raise OSError("the test wants no response to be had")
        if "-decline-ocsp-callback" in self._flags:
            return None
        return self._flags.base64("-ocsp-response") or None

    @property
    def types(self) -> list[str]:
        """The types of certificates of all credentials, in their order."""
        every = [candidate.credentials.certificate_type.name for candidate in self._candidates]
        return list(dict.fromkeys(every)) or ["X509"]

    @property
    def psks(self) -> Sequence[ExternalPSK]:
        return [psk for _, psk in self._psks]

    def find_psk(self, identity: bytes) -> Awaitable[ExternalPSK | None] | ExternalPSK | None:
        """The look-up of a server."""
        found = next((psk for psk in self.psks if psk.identity == identity), None)
        return later(found) if self.is_asynchronous else found

    def selected_for(self, psk_identity: bytes | None) -> int | None:
        """The number of what was used: of the key, if there was one."""
        numbers = (number for number, psk in self._psks if psk.identity == psk_identity)
        return next(numbers, self.selected)

    def select(
        self, request: ClientHello | CertificateRequest
    ) -> Sequence[Credentials] | Awaitable[Sequence[Credentials]] | None:
        """The hook ``select_credentials``: all that may answer this request."""
        check_request(self._flags, request)
        if "-fail-early-callback" in self._flags:
            raise NegotiationError("the test wants this peer refused")
        if "-fail-ddos-callback" in self._flags or "-fail-cert-callback" in self._flags:
            raise RuntimeError("the test wants this to fail")
        if not self.has_any:
            return None
        matching = [
            candidate.credentials
            for candidate in self._candidates
            if not candidate.must_match_issuer
            or not candidate.credentials.authorities.isdisjoint(request.authorities)
        ]
        types = types_of_request(request)
        if not any(each.certificate_type in types for each in matching) and matching:
            if isinstance(request, CertificateRequest):
                raise NegotiationError("nothing here of the type that this peer requests")
            return matching  # the server finds that out
        matching = [each for each in matching if each.certificate_type in types]
        known = {scheme for each in matching for scheme in schemes_for_request(each, request)}
        if known.isdisjoint(request.signature_schemes) and not self._psks:
            raise NegotiationError("nothing here that this peer could verify")
        return later(matching) if self.is_asynchronous else matching


def with_signer(credentials: Credentials, signer: Signer) -> Credentials:
    """The same credentials, which this one signs for."""
    if credentials.raw_public_key is None:
        return Credentials(credentials.chain, signer)
    return Credentials.for_raw_public_key(credentials.raw_public_key, signer)


def types_of_request(request: ClientHello | CertificateRequest) -> Sequence[int]:
    """The types of certificates that answer a request."""
    if isinstance(request, CertificateRequest):
        return (request.certificate_type,)
    return request.server_certificate_types


def schemes_for_request(
    credentials: Credentials, request: ClientHello | CertificateRequest
) -> Sequence[SignatureScheme]:
    """The schemes that credentials can sign in, in the version of the request.

    A CertificateRequest of TLS 1.2 has no extensions. A ClientHello may be for either version.
    """
    signer = credentials.signer
    if not isinstance(signer, Signer):
        raise TypeError("the credentials of the shim have its own signer")
    if isinstance(request, CertificateRequest):
        return signer.schemes if request.extensions else signer.tls12_schemes
    return [*signer.schemes, *signer.tls12_schemes]


class Signer:
    """Signs with what ``-signing-prefs`` allows, and with ``-async`` not at once."""

    def __init__(
        self,
        identity: Identity,
        number: int,
        signer: PrivateKeySigner,
        schemes: Sequence[SignatureScheme],
        tls12_schemes: Sequence[SignatureScheme],
    ) -> None:
        self._identity = identity
        self._number = number
        self._signer = signer
        self.schemes = schemes
        self.tls12_schemes = tls12_schemes

    def sign(self, scheme: SignatureScheme, message: bytes) -> bytes | Awaitable[bytes]:
        self._identity.selected = self._number
        signature = self._signer.sign(scheme, message)
        return later(signature) if self._identity.is_asynchronous else signature


def imported_psk(own: Flags) -> ExternalPSK:
    return ExternalPSK(
        own.base64("-psk-importer-identity"),
        own.base64("-psk-importer-key"),
        context=own.base64("-psk-importer-context"),
        hash="SHA384" if "-psk-importer-sha384" in own else "SHA256",
    )


def check_request(flags: Flags, request: ClientHello | CertificateRequest) -> None:
    """Check that the peer says of itself what the flags say to expect."""
    schemes = flags.numbers("-expect-peer-verify-pref")
    if schemes and list(request.signature_schemes) != schemes:
        raise Disappointed(f"signature_algorithms: {request.signature_schemes}")
    if "-expect-certificate-types" in flags:
        check_types(flags.base64("-expect-certificate-types"), request.signature_schemes)
    names = flags.text("-expect-client-ca-list")
    if names is not None:
        expected = () if names == "<EMPTY>" else tuple(map(bytes.fromhex, names.split(",")))
        if request.authorities != expected:
            raise Disappointed(f"certificate_authorities: {request.authorities}")
    protocols = flags.octets("-expect-advertised-alpn")
    if protocols and isinstance(request, ClientHello):
        offered = [protocol.encode("latin-1") for protocol in request.alpn_protocols]
        if b"".join(bytes((len(each),)) + each for each in offered) != protocols:
            raise Disappointed(f"ALPN: {offered}")


def check_types(certificate_types: bytes, schemes: Sequence[int]) -> None:
    """Check that a request has schemes of the keys that its types allow, and no others."""
    expected = {name for name, code in TYPES.items() if code in certificate_types}
    actual = {AUTHENTICATION_BY[code] for code in schemes}
    if actual != expected:
        raise Disappointed(f"keys of the types {actual}, not {expected}")
