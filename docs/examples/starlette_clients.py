"""A Starlette application that authorizes its users by their client certificates.

Everyone with a certificate of the CA may read; names that are listed as writers may write.

Usage: python starlette_clients.py CERT_FILE KEY_FILE CLIENT_CA_FILE PORT WRITER...
"""

import sys
from collections.abc import Collection

import trio
from cryptography import x509
from hypercorn.config import Config
from starlette.applications import Starlette
from starlette.authentication import (
    AuthCredentials,
    AuthenticationBackend,
    BaseUser,
    SimpleUser,
    requires,
)
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

import trio_tlsx
from trio_tlsx.contrib.hypercorn import serve


class ClientCertificates(AuthenticationBackend):
    """Who a client is, by the first DNS name of its certificate.

    TLS has verified the certificate: only the CA of ``client_trust`` can have issued it.
    """

    def __init__(self, writers: Collection[str]) -> None:
        self._writers = writers

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        """Return what the client may do, and its name; None without a certificate."""
        tls = conn.scope.get("extensions", {}).get("tls")  # TestClient has no TLS
        if tls is None or not tls["client_cert_chain"]:
            return None
        certificate = x509.load_pem_x509_certificate(tls["client_cert_chain"][0].encode())
        names = trio_tlsx.Identity.of(certificate).dns_names
        if not names:
            return None
        rights = ["read", "write"] if names[0] in self._writers else ["read"]
        return AuthCredentials(rights), SimpleUser(names[0])


@requires("read", status_code=401)
async def read(request: Request) -> Response:
    """Greet the user."""
    tls = request.scope["extensions"]["tls"]
    return PlainTextResponse(f"{request.user.display_name} over {tls['tls_version']:#06x}\n")


@requires("write", status_code=403)
async def write(request: Request) -> Response:
    """Accept something from a user who may write."""
    return PlainTextResponse(f"{len(await request.body())} bytes\n")


def application(writers: Collection[str]) -> Starlette:
    """Return the application."""
    return Starlette(
        routes=[Route("/", read), Route("/", write, methods=["POST"])],
        middleware=[Middleware(AuthenticationMiddleware, backend=ClientCertificates(writers))],
    )


async def main(cert_file: str, key_file: str, ca_file: str, port: int, writers: list[str]) -> None:
    """Serve until Ctrl-C."""
    config = trio_tlsx.ServerConfig(
        credentials=trio_tlsx.Credentials.from_pem_files(cert_file, key_file),
        client_auth="optional",  # without a certificate, the application answers 401 or 403
        client_trust=ca_file,
        alpn_protocols=["h2", "http/1.1"],
    )
    listeners = await trio_tlsx.open_tls_over_tcp_listeners(
        port, config, host="127.0.0.1", https_compatible=True, handshake_timeout=10
    )
    print("listening on port", listeners[0].port, flush=True)
    await serve(application(writers), Config(), listeners)


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    cert, key, ca, number, *names = sys.argv[1:]
    try:
        trio.run(main, cert, key, ca, int(number), names)
    except* KeyboardInterrupt:
        pass
