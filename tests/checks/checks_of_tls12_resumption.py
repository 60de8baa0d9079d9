"""The checks of resumption in TLS 1.2."""

from __future__ import annotations

from checks_of_tls12 import CLIENT_HELLO, SERVER
from removal import Removal, without_statement

__all__ = ["REMOVALS_OF_TLS12_RESUMPTION"]

RESUMPTION_TESTS = "tests/handshake/test_tls12_resumption.py"
SESSION_ID_TESTS = "tests/handshake/test_tls12_session_ids.py"
KEPT_SESSION_TESTS = "tests/handshake/test_tls12_kept_sessions.py"

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
        "if not (ticket or session_id) or not selection.extended_master_secret:",
        "nothing_is_stored",
        "if not (ticket or session_id):",
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
        "return CONTEXT_PREFIX + ticket_context(",
        "bound_to_its_version",
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
        "yield from verify_client_certificate(hs, config, None, session.client)",
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
    Removal(
        "TLS 1.2: no session without the extended master secret is offered",
        "RFC 7627 5.3",
        "handshake/resumption_client.py",
        "and (session.suite.version == TLS13 or session.extended_master_secret)",
        "is_not_offered",
        "and True",
        SESSION_ID_TESTS,
    ),
    # Session ids
    Removal(
        "TLS 1.2: a ticket replaces the session id",
        "RFC 5077 3.4",
        "handshake/resumption_client12.py",
        '            session_id=b"",\n',
        "replaces_the_session_id",
        "",
        SESSION_ID_TESTS,
    ),
    Removal(
        "TLS 1.2: with a ticket there is no session of the id",
        "RFC 5077 3.4",
        "handshake/resumption_server12.py",
        "(name := ticket or hello.legacy_session_id)",
        "excludes_the_session_id",
        "(name := hello.legacy_session_id)",
        SESSION_ID_TESTS,
    ),
    Removal(
        "TLS 1.2: no session id without the extended master secret",
        "RFC 7627 5.3",
        "handshake/resumption_server12.py",
        " or not config.tickets or not terms.extended_master_secret:",
        "there_is_no_session_id",
        " or not config.tickets:",
        SESSION_ID_TESTS,
    ),
    Removal(
        "TLS 1.2: a session id ends with its lifetime",
        "RFC 5246 F.1.4",
        "handshake/resumption_server12.py",
        "lifetime = config.ticket_keys.lifetime - int(age.total_seconds())",
        "ends_with_its_lifetime",
        "lifetime = config.ticket_keys.lifetime",
        SESSION_ID_TESTS,
    ),
    Removal(
        "TLS 1.2: data that waits for the handshake is sent only in its protocol",
        "RFC 7301 3.1",
        "handshake/client12.py",
        "if selection.alpn_protocol == early_data.alpn_protocol(offer.config):",
        "in_another_protocol",
        "if True:",
        "tests/handshake/test_tls12_without_tls13_options.py",
    ),
    # What a client keeps
    Removal(
        "TLS 1.2: the longest lifetime of a session",
        "4.7.1",
        "handshake/resumption_client12.py",
        "min(hint or UNKNOWN_LIFETIME, MAX_LIFETIME)",
        "follows_the_hint",
        "hint or UNKNOWN_LIFETIME",
        KEPT_SESSION_TESTS,
    ),
    Removal(
        "TLS 1.2: a session that has ended does not go back to the store",
        "RFC 5077 3.3",
        "handshake/resumption_client12.py",
        "config.session_store is None or expired or",
        "ends_in_its_resumption",
        "config.session_store is None or",
        KEPT_SESSION_TESTS,
    ),
    Removal(
        "TLS 1.2: length of a ticket that is kept",
        "RFC 5077 3.3",
        "handshake/resumption_client12.py",
        " or len(session.ticket) > MAX_TICKET_LENGTH:",
        "too_long_to_offer",
        ":",
        KEPT_SESSION_TESTS,
    ),
    Removal(
        "the suite of a stored session is one of its version",
        "RFC 5246 7.4.1.3",
        "sessions/client.py",
        "if reader.uint16() != session.suite.version:",
        "of_another_version",
        "if reader.uint16() < 0:",
        tests="tests/sessions/test_session_store.py",
    ),
]
