"""The checks of resumption in TLS 1.2."""

from __future__ import annotations

from checks_of_tls12 import CLIENT_HELLO, SERVER
from removal import Removal, without_statement

__all__ = ["REMOVALS_OF_TLS12_RESUMPTION"]

RESUMPTION_TESTS = "tests/handshake/test_tls12_resumption.py"

REMOVALS_OF_TLS12_RESUMPTION = [
    # Resumption
    Removal(
        "TLS 1.2: no session is resumed that was not offered",
        "E.4",
        CLIENT_HELLO,
        "    if session is None:\n        # RFC",
        "echoes",
        "    if session is None:\n        return None\n        # RFC",
    ),
    Removal(
        "TLS 1.2: a session keeps its cipher suite",
        "RFC 5246 7.4.1.3",
        CLIENT_HELLO,
        "if session.suite.code != answer.cipher_suite:",
        "another-suite",
    ),
    Removal(
        "TLS 1.2: a server resumes with the extended master secret",
        "RFC 7627 5.3",
        CLIENT_HELLO,
        "if session is not None and not extended:",
        "drops-the-extended",
    ),
    Removal(
        "TLS 1.2: a client resumes with the extended master secret",
        "RFC 7627 5.3",
        "handshake/resumption_server12.py",
        "if not terms.extended_master_secret:",
        "cannot_resume",
        tests=RESUMPTION_TESTS,
    ),
    Removal(
        "TLS 1.2: no session without the extended master secret is stored",
        "RFC 7627 5.3",
        "handshake/resumption_client12.py",
        "if ticket is None or not selection.extended_master_secret:",
        "nothing_is_stored",
        "if ticket is None:",
        RESUMPTION_TESTS,
    ),
    Removal(
        "TLS 1.2: a ticket comes only if it was promised",
        "RFC 5077 3.3",
        "handshake/resumption_client12.py",
        "if not selection.ticket_promised:",
        "promises-no-ticket",
    ),
    Removal(
        "TLS 1.2: tickets are none of TLS 1.3",
        "RFC 5077 4",
        "handshake/resumption_server12.py",
        'return b"TLS 1.2" + ticket_context(',
        "never_opens",
        "return ticket_context(",
        RESUMPTION_TESTS,
    ),
    Removal(
        "TLS 1.2: the suite of a resumed session is offered and allowed",
        "RFC 5246 7.4.1.3",
        "handshake/resumption_server12.py",
        "if code not in config.tls12.suite_table or code not in hello.cipher_suites:",
        "cipher_suites",
        tests=RESUMPTION_TESTS,
    ),
    without_statement(
        "TLS 1.2: a resumed client is authorized again",
        "RFC 5246 7.4.6",
        SERVER,
        "yield from verify_client_certificate(hs, config, None, chain)",
        "authorized_again",
        RESUMPTION_TESTS,
    ),
    without_statement(
        "TLS 1.2: a resumed server is verified again if configured",
        "RFC 5246 7.4.2",
        "handshake/resumption_client12.py",
        "yield from reverify_on_resumption(hs, offer.config, offer.server_name, session)",
        "verifies_again",
        RESUMPTION_TESTS,
    ),
]
