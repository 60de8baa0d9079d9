"""A TLS server whose key stays in a PKCS#11 token: an HSM, a smart card, or SoftHSM.

Usage: PKCS11_PIN=... python pkcs11_signer.py MODULE TOKEN KEY CERT_FILE PORT

MODULE is the token's library, such as /usr/lib/softhsm/libsofthsm2.so; TOKEN and KEY are the
labels of the token and of its private key. This example needs python-pkcs11.
"""

import hashlib
import os
import sys
from pathlib import Path

import pkcs11
import trio
from cryptography import x509
from pkcs11 import MGF, Mechanism
from pkcs11.types import SignMixin
from pkcs11.util.ec import encode_ecdsa_signature

import trio_tlsx
from trio_tlsx import SignatureScheme

#: For RSA the token computes the hash. These are its mechanisms, with the hash, the mask and the
#: salt length of RFC 9846 4.3.3.
RSA_PSS = {
    SignatureScheme.rsa_pss_rsae_sha256: (
        Mechanism.SHA256_RSA_PKCS_PSS,
        (Mechanism.SHA256, MGF.SHA256, 32),
    ),
    SignatureScheme.rsa_pss_rsae_sha384: (
        Mechanism.SHA384_RSA_PKCS_PSS,
        (Mechanism.SHA384, MGF.SHA384, 48),
    ),
    SignatureScheme.rsa_pss_rsae_sha512: (
        Mechanism.SHA512_RSA_PKCS_PSS,
        (Mechanism.SHA512, MGF.SHA512, 64),
    ),
}
#: For ECDSA this program computes the hash, since few tokens do.
ECDSA = {
    SignatureScheme.ecdsa_secp256r1_sha256: hashlib.sha256,
    SignatureScheme.ecdsa_secp384r1_sha384: hashlib.sha384,
    SignatureScheme.ecdsa_secp521r1_sha512: hashlib.sha512,
}


class PKCS11Signer:
    """A signer whose key is in a token."""

    def __init__(self, certificate: x509.Certificate, key: SignMixin) -> None:
        known = RSA_PSS.keys() | ECDSA.keys()
        self.schemes = [s for s in trio_tlsx.schemes_for(certificate) if s in known]
        self._key = key
        # A PKCS#11 session allows one operation at a time. If the token hangs, so do the threads
        # in its library. With a separate limiter they never block trio's other threads.
        self._limiter = trio.CapacityLimiter(1)

    async def sign(self, scheme: SignatureScheme, message: bytes) -> bytes:
        """Sign in a thread; if the handshake is cancelled, the thread is abandoned."""
        return await trio.to_thread.run_sync(
            self._sign, scheme, message, abandon_on_cancel=True, limiter=self._limiter
        )

    def _sign(self, scheme: SignatureScheme, message: bytes) -> bytes:
        if scheme in RSA_PSS:
            mechanism, parameters = RSA_PSS[scheme]
            return self._key.sign(message, mechanism=mechanism, mechanism_param=parameters)
        digest = ECDSA[scheme](message).digest()
        return encode_ecdsa_signature(self._key.sign(digest, mechanism=Mechanism.ECDSA))


async def greet(stream: trio_tlsx.TLSStream[trio.SocketStream]) -> None:
    """Serve one connection."""
    async with stream:
        await stream.send_all(b"hello\n")


async def serve(signer: PKCS11Signer, chain: list[x509.Certificate], port: int) -> None:
    """Serve until Ctrl-C. If a signature fails, only that handshake fails."""
    config = trio_tlsx.ServerConfig(credentials=trio_tlsx.Credentials(chain, signer))
    tcp_listeners = await trio.open_tcp_listeners(port, host="127.0.0.1")
    print("listening on port", tcp_listeners[0].socket.getsockname()[1], flush=True)
    tls_listeners = [trio_tlsx.TLSListener(listener, config) for listener in tcp_listeners]
    await trio.serve_listeners(trio_tlsx.handshake_first(greet), tls_listeners)


def main(module: str, token: str, key: str, cert_file: str, port: str) -> None:
    """Open the token, and serve with its key."""
    chain = x509.load_pem_x509_certificates(Path(cert_file).read_bytes())
    slot = pkcs11.lib(module).get_token(token_label=token)
    with slot.open(user_pin=os.environ["PKCS11_PIN"]) as session:
        private_key = session.get_key(pkcs11.ObjectClass.PRIVATE_KEY, label=key)
        if not isinstance(private_key, SignMixin):
            sys.exit(f"the key {key!r} cannot sign; it needs the attribute CKA_SIGN")
        trio.run(serve, PKCS11Signer(chain[0], private_key), chain, int(port))


if __name__ == "__main__":
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    main(*sys.argv[1:])
