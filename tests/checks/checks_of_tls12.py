"""The checks of TLS 1.2; sections without another RFC are of RFC 5246 here."""

from __future__ import annotations

from removal import Removal, without_statement

__all__ = ["REMOVALS_OF_TLS12"]

PROTECTION_TESTS = "tests/record/test_protection12.py"
EXTENSION_TESTS = "tests/messages/test_extensions12.py"
CODEC_TESTS = "tests/messages/test_codecs.py"
RULES_TESTS = "tests/record/test_message_rules12.py"

PROTECTION = "record/protection12.py"
EXTENSIONS = "messages/extensions12.py"
RULES = "record/message_rules12.py"

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
        "TLS 1.2: a record has room for nonce and tag",
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
        "two_kilobytes",
        "max_ciphertext_length = 2**16",
        PROTECTION_TESTS,
    ),
    Removal(
        "TLS 1.2: the output of a record that is not authentic is erased",
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
        "has_a_limit",
        "return 2**64",
        PROTECTION_TESTS,
    ),
    # Extensions
    Removal(
        "TLS 1.2: uncompressed points",
        "RFC 8422 5.1.2",
        EXTENSIONS,
        "if UNCOMPRESSED not in formats:",
        "compressed",
        tests=EXTENSION_TESTS,
    ),
    Removal(
        "TLS 1.2: the first handshake names no earlier one",
        "RFC 5746 3.4",
        EXTENSIONS,
        'if whole_vector(octets, "renegotiation_info", 1):',
        "earlier",
        tests=EXTENSION_TESTS,
    ),
    Removal(
        "TLS 1.2: only requested extensions are answered",
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
        "few_warnings",
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
]
