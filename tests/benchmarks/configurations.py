"""Configure each library for a setting. A process imports only the libraries that it uses."""

from __future__ import annotations

import ssl
from importlib import import_module
from typing import Any

from .settings import AES_128, AES_256, CHACHA20, OPENSSL_AES_128_12, PKI, X25519, Setting


def ours(pki: PKI, setting: Setting) -> tuple[Any, Any]:
    """Return our configuration of a client and that of a server."""
    tls: Any = import_module("trio_tlsx")
    common: dict[str, Any] = {"cipher_suites": [setting.suite]}
    if setting.groups == X25519:
        common["groups"] = ["x25519", "P-256"] if setting.is_tls12 else ["x25519"]
    if setting.is_tls12:
        common["versions"] = ["TLSv1.2"]
    client = tls.ClientConfig(
        trust=tls.TrustStore.from_pem_file(pki.ca(setting)),
        resumption=setting.tickets > 0,
        **common,
    )
    server = tls.ServerConfig(
        credentials=tls.Credentials.from_pem_files(pki.chain(setting), pki.key(setting)),
        tickets=setting.tickets,
        **common,
    )
    return client, server


class ResumingContext(ssl.SSLContext):
    """A client's context that resumes the session that it received last.

    asyncio, uvloop, anyio and trio have no argument for a session; all of them call one of these
    two methods.
    """

    session_to_resume: ssl.SSLSession | None = None

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        session = self.session_to_resume
        return super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)

    def wrap_socket(self, *args: Any, **options: Any) -> ssl.SSLSocket:
        return super().wrap_socket(*args, **options, session=self.session_to_resume)


def client_context(pki: PKI, setting: Setting) -> ResumingContext:
    context = ResumingContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=pki.ca(setting))
    limit_suites_of_tls12(context, setting)
    return context


def server_context(pki: PKI, setting: Setting) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.chain(setting), pki.key(setting))
    context.num_tickets = setting.tickets
    limit_suites_of_tls12(context, setting)
    return context


def limit_suites_of_tls12(context: ssl.SSLContext, setting: Setting) -> None:
    """Set the suite of TLS 1.2: a new context has the stdlib's list, not the configured one."""
    if setting.is_tls12:
        context.set_ciphers(OPENSSL_AES_128_12)


def pyopenssl(module: Any, pki: PKI, setting: Setting) -> tuple[Any, Any]:
    """Return pyOpenSSL's context of a client and that of a server."""
    client = module.Context(module.TLS_CLIENT_METHOD)
    client.load_verify_locations(str(pki.ca(setting)))
    client.set_verify(module.VERIFY_PEER)
    server = module.Context(module.TLS_SERVER_METHOD)
    server.use_certificate_chain_file(str(pki.chain(setting)))
    server.use_privatekey_file(str(pki.key(setting)))
    server.set_session_id(b"benchmark")
    return client, server


TLSLITE_CIPHERS = {
    AES_128: "aes128gcm",
    AES_256: "aes256gcm",
    CHACHA20: "chacha20-poly1305",
}


def tlslite_settings(api: Any, setting: Setting) -> Any:
    settings = api.HandshakeSettings()
    settings.minVersion = settings.maxVersion = (3, 4)
    settings.cipherNames = [TLSLITE_CIPHERS[setting.suite]]
    settings.ticket_count = setting.tickets
    settings.ticketKeys = [bytes(32)] if setting.tickets else []
    if setting.groups == X25519:
        settings.eccCurves = settings.keyShares = ["x25519"]
        settings.dhGroups = []
    return settings


def tlslite_credentials(api: Any, pki: PKI, setting: Setting) -> tuple[Any, Any]:
    chain = api.X509CertChain()
    chain.parsePemList(pki.chain(setting).read_text())
    return chain, api.parsePEMKey(pki.key(setting).read_text(), private=True)


def siotls(pki: PKI, setting: Setting) -> tuple[Any, Any]:
    """Return siotls' configuration of a client and that of a server."""
    library: Any = import_module("siotls")
    iana: Any = import_module("siotls.iana")
    pem: Any = import_module("siotls.pem")
    trust: Any = import_module("siotls.trust.backends.openssl")
    import_module("siotls.crypto").install("openssl", duplicate="skip")
    common = {
        "cipher_suites": [iana.CipherSuites[setting.suite]],
        "key_exchanges": [iana.NamedGroup.x25519],
    }
    root = pem.decode_pem_certificate(pki.ca(setting).read_bytes())
    client = library.TLSConfiguration(
        "client", truststore=trust.OpensslTrustStore([root]), **common
    )
    server = library.TLSConfiguration(
        "server",
        private_key=pem.decode_pem_private_key(pki.key(setting).read_bytes()),
        certificate_chain=pem.decode_pem_certificate_chain(pki.chain(setting).read_bytes()),
        **common,
    )
    return client, server
