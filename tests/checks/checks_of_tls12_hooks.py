"""The checks of hooks in TLS 1.2."""

from __future__ import annotations

from checks_of_tls12 import CLIENT, SERVER
from removal import Removal

__all__ = ["REMOVALS_OF_TLS12_HOOKS"]

HOOK_TESTS = "tests/handshake/test_tls12_hooks.py"

REMOVALS_OF_TLS12_HOOKS = [
    Removal(
        "TLS 1.2: the server's key is proven before verify is called",
        "RFC 8422 5.4",
        CLIENT,
        """    server = check_key_exchange(offer.config, selection, presented, message)
    yield from verify_server_certificate(
        hs,
        offer.config,
        offer.server_name,
        steps12.certificate_with(certificate, extensions),
        server,
    )
""",
        "server_key_is_proven",
        """    yield from verify_server_certificate(
        hs,
        offer.config,
        offer.server_name,
        steps12.certificate_with(certificate, extensions),
        presented,
    )
    server = check_key_exchange(offer.config, selection, presented, message)
""",
        HOOK_TESTS,
    ),
    Removal(
        "TLS 1.2: the client's key is proven before verify is called",
        "RFC 5246 7.4.8",
        SERVER,
        """    client = steps12.check_signature(config, presented, certificate_verify, content)
    hs.transcript.start(terms.suite)
    yield from verify_client_certificate(hs, config, message, client)
""",
        "client_key_is_proven",
        """    hs.transcript.start(terms.suite)
    yield from verify_client_certificate(hs, config, message, presented)
    client = steps12.check_signature(config, presented, certificate_verify, content)
""",
        HOOK_TESTS,
    ),
]
