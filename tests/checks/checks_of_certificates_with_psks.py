"""The checks of certificates together with an external pre-shared key (RFC 9973)."""

from __future__ import annotations

from places import CLIENT, CLIENT_HELLO, SERVER_HELLO
from removal import Removal, without_statement

__all__ = ["REMOVALS_OF_CERTIFICATES_WITH_PSKS"]

TESTS = "tests/handshake/test_certificate_with_psk.py"
CLIENT_CONFIG = "config/client.py"

REMOVALS_OF_CERTIFICATES_WITH_PSKS = [
    # The selection of a server
    Removal("a certificate with a PSK needs the PSK and a key share", "RFC 9973 4", CLIENT_HELLO,
            "if selected and not {_E.pre_shared_key, _E.key_share} <= answer.extensions.keys():",
            "ServerPeer and with-the-flag-without"),
    Removal("the server does not use the PSK alone", "RFC 9973 4", CLIENT_HELLO,
            "if not selected and psk is not None and psk.external is not None:",
            "AnySelectionServerPeer and the-key-without"),
    Removal("the server uses a PSK with its certificate if that is required", "RFC 9973 4",
            CLIENT_HELLO,
            'if not selected and config.certificate_with_psk == "required":',
            "peer_without_it", tests=TESTS),
    Removal("the server's certificate is verified beside the PSK", "RFC 9973 5.2", CLIENT,
            "if selection.psk is not None and not selection.with_certificate:",
            "is_verified", "if selection.psk is not None:", TESTS),
    # The offer of a client
    without_statement("what goes with tls_cert_with_extern_psk", "RFC 9973 4", SERVER_HELLO,
            "require(hello, _E.key_share, _E.psk_key_exchange_modes, _E.pre_shared_key)",
            "ClientPeer and with-the-flag-without"),
    Removal("no early data with tls_cert_with_extern_psk", "RFC 9973 4", SERVER_HELLO,
            "if _E.early_data in hello.extensions:\n        raise",
            "with-the-flag-and-early_data", "if False:\n        raise"),
    Removal("tls_cert_with_extern_psk goes with a key exchange", "RFC 9973 5.1", SERVER_HELLO,
            "if PSK_DHE_KE not in modes:", "with-the-flag-without-psk_dhe_ke"),
    Removal("no session with tls_cert_with_extern_psk", "RFC 9973 5.1", SERVER_HELLO,
            "if _E.tls_cert_with_extern_psk in hello.extensions:\n                #",
            "a-session-with-the-flag", "if False:\n                #"),
    Removal("the client uses a PSK with certificates if that is required", "RFC 9973 4",
            SERVER_HELLO,
            'if config.certificate_with_psk == "required" and not (selected or resumes):',
            "peer_without_it", tests=TESTS),
    Removal("a required PSK with an unknown identity is like a wrong key", "RFC 9973 4",
            SERVER_HELLO, ' or config.certificate_with_psk == "required"',
            "BothClientPeer and another-identity", ""),
    Removal("a server without a fitting certificate does not use the PSK alone", "RFC 9973 4",
            SERVER_HELLO,
            "if identity is None and (choice.psk is None or choice.with_certificate):",
            "no_fitting", "if identity is None and choice.psk is None:", TESTS),
    Removal("the client's certificate is requested beside the PSK", "RFC 9973 5.2", SERVER_HELLO,
            'if (choice.psk is None or choice.with_certificate) and config.client_auth != "none":',
            "client_certificate", 'if choice.psk is None and config.client_auth != "none":',
            TESTS),
    # Sessions, and what is hidden
    Removal("no session of a connection without a required PSK is resumed", "RFC 9973 4",
            "config/server.py",
            'if config.certificate_with_psk == "required":\n        #',
            "resumes_no_session_without", "if False:\n        #", TESTS),
    Removal("no external PSK is offered beside a session", "RFC 9973 5.1",
            "handshake/client_hello.py",
            'if session is not None and config.certificate_with_psk != "never":',
            "session_is_resumed", tests=TESTS),
    Removal("ECH: the outer hello does not tell of a PSK with a certificate", "RFC 9849 10.5",
            CLIENT_CONFIG, '            certificate_with_psk="never",\n',
            "encrypted_client_hello", "", TESTS),
]  # fmt: skip
