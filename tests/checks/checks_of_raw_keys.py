"""The checks of raw public keys (RFC 7250)."""

from __future__ import annotations

from places import AUTHENTICATION, CLIENT
from removal import Removal, without_statement

__all__ = ["REMOVALS_OF_RAW_KEYS"]

TYPES = "handshake/certificate_types.py"
VERIFIER = "verification/raw_keys.py"
KEYS = "pki/public_keys.py"
TESTS = "tests/handshake/test_raw_public_keys.py"
SESSIONS = "tests/handshake/test_raw_key_resumption.py"
KEY_TESTS = "tests/pki/test_public_keys.py"
TRUST_TESTS = "tests/pki/test_trusted_keys.py"
CONFIG_TESTS = "tests/config/test_certificate_types.py"

REMOVALS_OF_RAW_KEYS = [
    Removal(
        "the server's raw public key is trusted",
        "RFC 7250 4.4",
        CLIENT,
        "        verify_raw_public_key(server.raw_public_key, trust)\n",
        "not_trusted",
        "",
        TESTS,
    ),
    Removal(
        "the client's raw public key is trusted",
        "RFC 7250 4.4",
        "handshake/server13.py",
        "        verify_raw_public_key(client.raw_public_key, config.client_trust)\n",
        "not_trusted",
        "",
        TESTS,
    ),
    Removal(
        "a raw public key is one of the trusted keys",
        "RFC 7250 4.4",
        VERIFIER,
        "if not sum(hmac.compare_digest(digest, pin) for pin in pins):",
        "not_trusted",
        tests=TESTS,
    ),
    without_statement(
        "a raw RSA key is strong enough",
        "RFC 8017 3.1",
        VERIFIER,
        "check_rsa_strength(key)",
        "weak",
        TRUST_TESTS,
    ),
    Removal(
        "one raw public key",
        "4.5.1",
        AUTHENTICATION,
        "if others:",
        "two-raw-keys",
    ),
    Removal(
        "no OCSP response with a raw public key",
        "RFC 6066 8",
        AUTHENTICATION,
        "if entry.extensions:",
        "RawServerPeer-certificate-raw-key-with-ocsp",
    ),
    Removal(
        "the extensions with a raw public key were requested",
        "4.3",
        AUTHENTICATION,
        "    check_context(entry.extensions, Context.CT, tuple(requested))\n    if",
        "RawClientPeer-certificate-raw-key-with-ocsp",
        "    if",
    ),
    Removal(
        "TLS 1.2: no OCSP response with a raw public key",
        "RFC 6066 8",
        "handshake/client12.py",
        "if extensions and presented.raw_public_key is not None:",
        "StaplingRaw",
    ),
    Removal(
        "a raw public key can sign",
        "4.3.3",
        AUTHENTICATION,
        "if not usable:",
        "cannot-sign",
    ),
    Removal(
        "the length of a raw public key",
        "RFC 7250 3",
        KEYS,
        "if len(der) > MAX_RAW_KEY_LENGTH:",
        "too_long",
        tests=KEY_TESTS,
    ),
    Removal(
        "a raw public key is a SubjectPublicKeyInfo",
        "RFC 7250 3",
        KEYS,
        "bytes(asn1.decode_der(_SubjectPublicKeyInfo, der).algorithm.data)",
        "another-structure",
        "bytes(asn1.decode_der(_SubjectPublicKeyInfo, der).algorithm.data if der[4] != 2 else "
        'bytes.fromhex("06092a864886f70d010101"))',
    ),
    Removal(
        "the server selects a type that was offered",
        "RFC 7250 4.2",
        TYPES,
        "if selected not in offered:",
        "not-offered",
    ),
    Removal(
        "the client accepts the type of the server's certificate",
        "RFC 7250 4.2",
        TYPES,
        "if types.of_server not in config.peer_certificate_types:",
        "no-type",
    ),
    Removal(
        "the server sends a type that the client accepts",
        "RFC 7250 4.2",
        "handshake/server13_hello.py",
        "candidates = [each for each in candidates if each.certificate_type in accepted]",
        "server-types-others",
        "candidates = [*candidates]",
    ),
    Removal(
        "TLS 1.2: the server sends a type that the client accepts",
        "RFC 7250 4.2",
        "handshake/server12_hello.py",
        "fitting = [each for each in candidates if each.certificate_type in accepted]",
        "server-types-others",
        "fitting = [*candidates]",
    ),
    Removal(
        "the client has a type that the server accepts",
        "RFC 7250 4.2",
        TYPES,
        "        if certificate_type in offered:",
        "types-others",
        "        if True:",
    ),
    Removal(
        "certificate types are more than the default",
        "RFC 7250 4.1",
        "messages/certificate_types.py",
        "if tuple(types) == DEFAULT_TYPES:",
        "default-alone",
    ),
    Removal(
        "ECH: a raw public key never is that of the public name",
        "RFC 9849 6.1.7",
        "config/client.py",
        "            peer_certificate_types=DEFAULT_TYPES,  # a raw public key has no name\n",
        "public_name",
        "",
        "tests/handshake/test_raw_key_ech.py",
    ),
    Removal(
        "a session of a raw public key is resumed only while the key is trusted",
        "RFC 7250 4.4",
        "handshake/resumption_client.py",
        "return config.trust is not None and key.digest in config.trust.pins",
        "no_longer_trusted",
        "return True",
        SESSIONS,
    ),
    Removal(
        "a session of a raw public key is resumed only where raw keys are accepted",
        "RFC 7250 4.1",
        "handshake/resumption_client.py",
        "if CertificateType.RawPublicKey not in config.peer_certificate_types:",
        "no_longer_accepted",
        tests=SESSIONS,
    ),
    Removal(
        "a session of a certificate is resumed only where certificates are accepted",
        "RFC 7250 4.1",
        "handshake/resumption_client.py",
        "            CertificateType.X509 in config.peer_certificate_types\n",
        "session_of_a_certificate",
        "            True\n",
        SESSIONS,
    ),
    Removal(
        "tickets are bound to the trusted public keys",
        "RFC 7250 4.4",
        "config/server.py",
        "            digest.update(pin)\n",
        "other_keys",
        "            pass\n",
        SESSIONS,
    ),
    Removal(
        "a raw public key is accepted only if something decides about it",
        "RFC 7250 4.4",
        "config/certificate_types.py",
        "if verified and CertificateType.RawPublicKey in types and not has_keys:",
        "",
        tests=CONFIG_TESTS,
    ),
]
