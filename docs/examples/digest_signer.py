"""A TLS client whose key signs digests, as in most key-management services.

Usage: python digest_signer.py HOST PORT CA_FILE CERT_FILE KEY_FILE
"""

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import load_pem_private_key

import trio_tlsx
from trio_tlsx import SignatureScheme

#: The hash function of each scheme that can sign a digest. Ed25519 and Ed448 cannot.
HASHES: dict[SignatureScheme, hashes.HashAlgorithm] = {
    SignatureScheme.ecdsa_secp256r1_sha256: hashes.SHA256(),
    SignatureScheme.ecdsa_secp384r1_sha384: hashes.SHA384(),
    SignatureScheme.ecdsa_secp521r1_sha512: hashes.SHA512(),
}

SignDigest = Callable[[SignatureScheme, bytes], Awaitable[bytes]]


class DigestSigner:
    """A signer that sends a digest to its service, however long the message is."""

    def __init__(self, certificate: x509.Certificate, sign_digest: SignDigest) -> None:
        self.schemes = [s for s in trio_tlsx.schemes_for(certificate) if s in HASHES]
        self._sign_digest = sign_digest

    async def sign(self, scheme: SignatureScheme, message: bytes) -> bytes:
        """Hash the message here, and have the service sign the digest."""
        digest = hashes.Hash(HASHES[scheme])
        digest.update(message)
        return await self._sign_digest(scheme, digest.finalize())


def service_of(key_file: str) -> SignDigest:
    """Return a stand-in for a service, which holds the ECDSA key of this file."""
    key = load_pem_private_key(Path(key_file).read_bytes(), None)

    async def sign_digest(scheme: SignatureScheme, digest: bytes) -> bytes:
        await trio.lowlevel.checkpoint()
        algorithm = ec.ECDSA(Prehashed(HASHES[scheme]))
        return cast("ec.EllipticCurvePrivateKey", key).sign(digest, algorithm)

    return sign_digest


async def main(host: str, port: int, ca_file: str, cert_file: str, key_file: str) -> None:
    """Connect with the client's certificate, and print what the server sends."""
    chain = x509.load_pem_x509_certificates(Path(cert_file).read_bytes())  # noqa: ASYNC240
    signer = DigestSigner(chain[0], service_of(key_file))
    config = trio_tlsx.ClientConfig(
        trust=ca_file, credentials=trio_tlsx.Credentials(chain, signer)
    )
    async with await trio_tlsx.open_tls_over_tcp_stream(host, port, config=config) as stream:
        data = await stream.receive_some()
        print(stream.negotiated.version, data.decode(), end="")


if __name__ == "__main__":
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    _, host, port, ca_file, cert_file, key_file = sys.argv
    trio.run(main, host, int(port), ca_file, cert_file, key_file)
