"""The checks of TLS 1.2; sections without another RFC are of RFC 5246 here."""

from __future__ import annotations

from places import INCOMING
from removal import Removal, without_statement

__all__ = ["CLIENT", "CLIENT_HELLO", "REMOVALS_OF_TLS12", "SERVER"]

PROTECTION_TESTS = "tests/record/test_protection12.py"
EXTENSION_TESTS = "tests/messages/test_extensions12.py"
CODEC_TESTS = "tests/messages/test_codecs.py"
TLS12_TESTS = "tests/handshake/test_tls12.py"
VERSION_TESTS = "tests/handshake/test_tls12_versions.py"
CONNECTION_TESTS = "tests/handshake/test_tls12_connections.py"
RULES_TESTS = "tests/record/test_message_rules12.py"

PROTECTION = "record/protection12.py"
EXTENSIONS = "messages/extensions12.py"
RULES = "record/message_rules12.py"
AUTHENTICATION = "handshake/authentication.py"
RECORD_SIZES = "handshake/record_sizes.py"
STEPS = "handshake/steps12.py"
CLIENT = "handshake/client12.py"
CLIENT_HELLO = "handshake/client12_hello.py"
SERVER = "handshake/server12.py"
SERVER_HELLO = "handshake/server12_hello.py"
POST_HANDSHAKE = "engine/post_handshake12.py"

REMOVALS_OF_TLS12 = [
    # Records
    Removal(
        "TLS 1.2: sequence numbers",
        "RFC 5246 6.1",
        PROTECTION,
        "        self.sequence_number += 1\n        sealed = ",
        "swapped",
        "        sealed = ",
        PROTECTION_TESTS,
    ),
    Removal(
        "TLS 1.2: minimum length of an encrypted record",
        "RFC 5246 6.2.3.3",
        PROTECTION,
        "if length < 0:",
        "too_short",
        tests=PROTECTION_TESTS,
    ),
    Removal(
        "TLS 1.2: length of a record",
        "RFC 5246 6.2.3",
        PROTECTION,
        "max_ciphertext_length = MAX_CIPHERTEXT_LENGTH_12",
        "limit_of_the_ciphertext",
        "max_ciphertext_length = 2**16",
        PROTECTION_TESTS,
    ),
    Removal(
        "TLS 1.2: the output of a record that fails authentication is erased",
        "RFC 5246 6.2.3.3",
        PROTECTION,
        "content[:] = bytes(length)",
        "run_stops",
        "pass",
        PROTECTION_TESTS,
    ),
    Removal(
        "TLS 1.2: limit of records for each key",
        "RFC 9846 5.5",
        PROTECTION,
        "return max(0, self.suite.records_per_key - KEY_UPDATE_MARGIN - self.sequence_number)",
        "record_limit",
        "return 2**64",
        PROTECTION_TESTS,
    ),
    # Extensions
    Removal(
        "TLS 1.2: ec_point_formats has the uncompressed format",
        "RFC 8422 5.1.2",
        EXTENSIONS,
        "if UNCOMPRESSED not in formats:",
        "compressed",
        tests=EXTENSION_TESTS,
    ),
    Removal(
        "TLS 1.2: renegotiation_info is empty in the first handshake",
        "RFC 5746 3.4",
        EXTENSIONS,
        'if whole_vector(octets, "renegotiation_info", 1):',
        "earlier",
        tests=EXTENSION_TESTS,
    ),
    Removal(
        "TLS 1.2: an extension in a ServerHello was requested",
        "RFC 5246 7.4.1.4",
        EXTENSIONS,
        "if check is None or extension not in requested or extension in GREASE:",
        "rejected",
        "if check is None:",
        EXTENSION_TESTS,
    ),
    without_statement(
        "TLS 1.2: extensions of a ServerHello can be decoded",
        "RFC 5246 7.4.1.4",
        EXTENSIONS,
        "        check(body)\n",
        "wrong",
        EXTENSION_TESTS,
    ),
    # Messages
    Removal(
        "TLS 1.2: curve type of a ServerKeyExchange",
        "RFC 8422 5.4",
        "messages/handshake12.py",
        "if curve_type != NAMED_CURVE:",
        "named_curve",
        tests=CODEC_TESTS,
    ),
    # Alerts
    Removal(
        "TLS 1.2: number of warnings",
        "RFC 5246 7.2.2",
        RULES,
        "if self._warnings > MAX_WARNINGS:",
        "few_warning_alerts",
        tests=RULES_TESTS,
    ),
    Removal(
        "TLS 1.2: level of an alert",
        "RFC 5246 7.2",
        RULES,
        "if (level := content[0]) not in (WARNING, FATAL):",
        "levels",
        "if (level := content[0]) < 0:",
        RULES_TESTS,
    ),
    # Versions
    Removal(
        "TLS 1.2: no fallback below the server's newest version",
        "RFC 7507 3",
        "handshake/server.py",
        "if FALLBACK_SCSV in hello.cipher_suites and version < max(config.versions):",
        "fallback",
    ),
    Removal(
        "TLS 1.2: the sentinel of a server that has TLS 1.3",
        "4.2.3",
        "handshake/server12_hello.py",
        "if TLS13 not in config.versions:",
        "forced_fallback",
        "if True:",
        VERSION_TESTS,
    ),
    Removal(
        "TLS 1.2: it is selected only by its version",
        "4.3.1",
        "handshake/client.py",
        "if version != TLS13:",
        "selects-1.2-by-extension",
    ),
    Removal(
        "TLS 1.2: an older version than that is not selected",
        "RFC 5246 7.4.1.3",
        "handshake/client.py",
        "if answer.legacy_version == TLS12 and TLS12 in config.versions:",
        "version-1",
        "if TLS12 in config.versions:",
    ),
    Removal(
        "TLS 1.2: no answer to early data",
        "E.3",
        CLIENT_HELLO,
        "if offer.early_data is not None:",
        "early_data_for_tls_1_3",
        tests=TLS12_TESTS,
    ),
    # Hellos
    Removal(
        "TLS 1.2: the selected cipher suite was offered",
        "RFC 5246 7.4.1.3",
        CLIENT_HELLO,
        "if suite is None:",
        "suite-",
    ),
    Removal(
        "TLS 1.2: a server selects no compression",
        "RFC 5246 7.4.1.3",
        CLIENT_HELLO,
        "if answer.legacy_compression_method != 0:",
        "compression",
    ),
    Removal(
        "TLS 1.2: the server signals secure renegotiation",
        "RFC 5746 3.4",
        CLIENT_HELLO,
        "if config.require_secure_renegotiation and _E.renegotiation_info not in extensions:",
        "no-secure-renegotiation",
    ),
    Removal(
        "TLS 1.2: an extended master secret if it is required",
        "RFC 7627 5.2",
        STEPS,
        "if config.tls12.require_extended_master_secret and not has_it:",
        "required_extended",
        tests=TLS12_TESTS,
    ),
    Removal(
        "TLS 1.2: a client offers no compression only",
        "RFC 5246 7.4.1.2",
        SERVER_HELLO,
        "if NO_COMPRESSION not in hello.legacy_compression_methods:",
        "null-compression",
    ),
    Removal(
        "TLS 1.2: cipher suites",
        "RFC 5246 7.4.1.3",
        SERVER_HELLO,
        "config.tls12.suite_table.values() if suite.code in hello.cipher_suites",
        "no-common-suite",
        "config.tls12.suite_table.values()",
    ),
    Removal(
        "TLS 1.2: the curve of a certificate is one of the client's",
        "RFC 8422 5.3",
        SERVER_HELLO,
        "if curve is not None and curve not in curves:",
        "not-the-curve",
    ),
    without_statement(
        "TLS 1.2: supported_groups",
        "RFC 8422 4",
        SERVER_HELLO,
        """        raise NegotiationError("the peer's ClientHello lacks supported_groups")""",
        "no-supported-groups",
    ),
    without_statement(
        "TLS 1.2: no signatures with SHA-1",
        "RFC 5246 7.4.1.4.1",
        SERVER_HELLO,
        """        raise NegotiationError(
            "this peer accepts only signatures with SHA-1: its ClientHello lacks "
            "signature_algorithms"
        )""",
        "no-signature-algorithms",
    ),
    # The server's key
    Removal(
        "TLS 1.2: the server's chain is not empty",
        "RFC 5246 7.4.2",
        CLIENT,
        "if presented is None:",
        "certificate-none",
    ),
    Removal(
        "TLS 1.2: the key of the certificate goes with the cipher suite",
        "RFC 5246 7.4.2",
        CLIENT,
        "if authentication_of_leaf != selection.suite.authentication:",
        "another-key",
    ),
    Removal(
        "TLS 1.2: the curve of the server's certificate was offered",
        "RFC 8422 5.3",
        CLIENT,
        "if curve is not None and curve not in offered:",
        "on-a-curve-not-offered",
    ),
    Removal(
        "TLS 1.2: a client certificate is of a type that the server requests",
        "RFC 5246 7.4.4",
        "handshake/certificate_selection12.py",
        "tuple(s for s in request.signature_schemes if AUTHENTICATION_BY.get(s) in allowed)",
        "another_type",
        "request.signature_schemes",
        TLS12_TESTS,
    ),
    Removal(
        "TLS 1.2: the selected group was offered",
        "RFC 8422 5.4",
        CLIENT,
        "group = config.tls12.group_table.get(message.group)",
        "group-",
        "group = GROUPS.get(message.group)",
    ),
    Removal(
        "TLS 1.2: the signature scheme was offered",
        "RFC 5246 7.4.3",
        AUTHENTICATION,
        "if scheme == signed.algorithm:",
        "ServerPeer12 and scheme-not-offered",
        "if True:",
    ),
    Removal(
        "TLS 1.2: the signature scheme fits the key",
        "RFC 5246 7.4.3",
        STEPS,
        "content, schemes_for_12, verify",
        "scheme-of-another-key",
        "content, lambda _: config.tls12.scheme_table, verify",
    ),
    Removal(
        "TLS 1.2: signatures",
        "RFC 5246 7.4.3",
        STEPS,
        "content, schemes_for_12, verify",
        "(signed or signature) and Peer12",
        "content, schemes_for_12, lambda *_: None",
    ),
    Removal(
        "TLS 1.2: RSA exponent and modulus of the key that signs",
        "RFC 8017 3.1",
        AUTHENTICATION,
        "    check_rsa_work(leaf)  # the signature is checked before the key is trusted\n",
        "costly",
        "",
        TLS12_TESTS,
    ),
    Removal(
        "TLS 1.2: the server's chain is verified",
        "RFC 5246 7.4.2",
        CLIENT,
        """    yield from verify_server_certificate(
        hs,
        offer.config,
        offer.server_name,
        steps12.certificate_with(certificate, extensions),
        server,
    )
""",
        "not_trusted",
        "",
        TLS12_TESTS,
    ),
    # The client's key
    Removal(
        "TLS 1.2: a client certificate if it is required",
        "RFC 5246 7.4.6",
        SERVER,
        'if config.client_auth == "required":',
        "certificate-none",
    ),
    Removal(
        "TLS 1.2: the client's chain is verified",
        "RFC 5246 7.4.6",
        SERVER,
        "    yield from verify_client_certificate(hs, config, message, client)\n",
        "not_trusted",
        "",
        TLS12_TESTS,
    ),
    # The change of keys and Finished
    Removal(
        "TLS 1.2: change_cipher_spec comes before Finished",
        "RFC 5246 7.1",
        INCOMING,
        "if self._next_opener is not None and bytes(payload) != HELLO_REQUEST:",
        "change_cipher_spec-",
    ),
    Removal(
        "TLS 1.2: change_cipher_spec comes only where it is expected",
        "RFC 5246 7.1",
        STEPS,
        "hs.incoming.accept_change_cipher_spec = False",
        "change-cipher-spec",
        "pass",
    ),
    Removal(
        "TLS 1.2: no change_cipher_spec comes before the ServerHello",
        "RFC 5246 7.1",
        STEPS,
        "if hs.incoming.empty_records:",
        "server_hello-change-cipher-spec-before",
        "if False:",
    ),
    Removal(
        "TLS 1.2: no message spans change_cipher_spec",
        "RFC 5246 7.1",
        "handshake/steps.py",
        "        self._reader.check_boundary()\n"
        "        self.incoming.install_at_change_cipher_spec(opener)",
        "spans",
        "        self.incoming.install_at_change_cipher_spec(opener)",
        TLS12_TESTS,
    ),
    Removal(
        "TLS 1.2: Finished",
        "RFC 5246 7.4.9",
        AUTHENTICATION,
        "if not hmac.compare_digest(finished.verify_data, expected):",
        "Peer12 and octet-wrong",
    ),
    Removal(
        "TLS 1.2: length of Finished",
        "RFC 5246 7.4.9",
        AUTHENTICATION,
        "if len(finished.verify_data) != len(expected):",
        "Peer12 and finished-",
    ),
    Removal(
        "TLS 1.2: number of HelloRequests",
        "RFC 5246 7.4.1.1",
        RULES,
        "if count > MAX_HELLO_REQUESTS:",
        "many-hello-requests",
    ),
    # After the handshake
    Removal(
        "TLS 1.2: no second request to renegotiate",
        "RFC 5246 7.2.2",
        POST_HANDSHAKE,
        "if self._refused:",
        "refused_once",
        tests=CONNECTION_TESTS,
    ),
    Removal(
        "TLS 1.2: no request to renegotiate after close_notify",
        "RFC 5246 7.2.2",
        POST_HANDSHAKE,
        "if not may_answer:",
        "after_close_notify",
        tests=CONNECTION_TESTS,
    ),
    Removal(
        "TLS 1.2: no message after the handshake but requests to renegotiate",
        "RFC 5246 7.4",
        POST_HANDSHAKE,
        "if message[0] != self._request_type.handshake_type:",
        "application_data-",
    ),
    Removal(
        "TLS 1.2: the connection ends before the limit of its keys",
        "5.5",
        POST_HANDSHAKE,
        "if records_left:",
        "orderly",
        "if True:",
        CONNECTION_TESTS,
    ),
    # Exporters
    Removal(
        "TLS 1.2: no exports without an extended master secret",
        "RFC 7627 5.4",
        STEPS,
        "return Exporter12(secret, tls_unique) if extended else Exporter12(None, None)",
        "nothing_is_exported",
        "return Exporter12(secret, tls_unique)",
        TLS12_TESTS,
    ),
    Removal(
        "TLS 1.2: exporter labels",
        "RFC 5705 6",
        "crypto/exporter12.py",
        "if not label.isascii() or label in RESERVED_LABELS:",
        "impossible",
        tests=TLS12_TESTS,
    ),
    # Records
    Removal(
        "TLS 1.2: length of the content of a record",
        "RFC 5246 6.2.1",
        STEPS,
        "    hs.incoming.plaintext_limit = MAX_PLAINTEXT_LENGTH\n",
        "without_a_limit",
        "",
        TLS12_TESTS,
    ),
    Removal(
        "TLS 1.2: our record_size_limit",
        "RFC 8449 4",
        RECORD_SIZES,
        "hs.incoming.plaintext_limit = own_limit(ours, type_length)",
        "record_size_limit",
        "pass",
        TLS12_TESTS,
    ),
    Removal(
        "TLS 1.2: max_fragment_length",
        "RFC 6066 4",
        RECORD_SIZES,
        "hs.incoming.plaintext_limit = length + type_length",
        "max_fragment_length",
        "pass",
        TLS12_TESTS,
    ),
]
