"""A TLS server that staples a current OCSP response to its certificate.

Usage: python ocsp_stapling.py CERT_FILE KEY_FILE PORT

CERT_FILE also contains the issuer's certificate. The server's certificate names the CA's OCSP
responder. This example needs httpx.
"""

import sys
from functools import partial

import httpx
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID

import trio_tlsx


async def fetch(certificate: x509.Certificate, issuer: x509.Certificate) -> bytes:
    """Fetch a response from the responder that the certificate names (RFC 6960)."""
    access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess)
    [url, *_] = (
        description.access_location.value
        for description in access.value
        if description.access_method == AuthorityInformationAccessOID.OCSP
    )
    request = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, hashes.SHA1())
    async with httpx.AsyncClient() as client:
        response = await client.post(
            url,
            content=request.build().public_bytes(Encoding.DER),
            headers={"Content-Type": "application/ocsp-request"},
        )
    return response.raise_for_status().content


async def greet(stream: trio_tlsx.TLSStream[trio.SocketStream]) -> None:
    """Serve one connection."""
    async with stream:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nhello\n")


def load(cert_file: str, key_file: str) -> trio_tlsx.Credentials:
    """Load the credentials, with a new RefreshingStaple for the new certificate."""
    credentials = trio_tlsx.Credentials.from_pem_files(cert_file, key_file)
    if len(credentials.chain) < 2:
        raise trio_tlsx.ConfigError(
            "CERT_FILE has no issuer certificate; OCSP needs it, so append it"
        )
    certificate, issuer, *_ = credentials.chain
    return credentials.stapling(trio_tlsx.RefreshingStaple(partial(fetch, certificate, issuer)))


async def main(cert_file: str, key_file: str, port: int) -> None:
    """Serve until Ctrl-C, and reload the files after a renewal."""
    files = (cert_file, key_file)
    credentials = trio_tlsx.ReloadingCredentials(partial(load, *files), files)
    config = trio_tlsx.ServerConfig(select_credentials=credentials)
    tcp_listeners = await trio.open_tcp_listeners(port, host="127.0.0.1")
    print("listening on port", tcp_listeners[0].socket.getsockname()[1], flush=True)
    tls_listeners = [trio_tlsx.TLSListener(listener, config) for listener in tcp_listeners]
    await trio.serve_listeners(trio_tlsx.handshake_first(greet), tls_listeners)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    try:
        trio.run(main, sys.argv[1], sys.argv[2], int(sys.argv[3]))
    except* KeyboardInterrupt:
        pass
