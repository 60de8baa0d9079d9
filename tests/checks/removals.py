"""The security checks, each with the source that makes it, and a way to take it out."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["REMOVALS", "Removal"]

WRONG_MESSAGES = "tests/wrong_messages/test_wrong_messages.py"
LIMITS = "tests/engine/test_limits.py"
VERIFICATION = "tests/test_verification.py"
EXTERNAL_PSKS = "tests/engine/test_external_psk.py"
SESSION_TESTS = "tests/engine/test_resumption.py"
EARLY_TESTS = "tests/engine/test_early_data.py"


@dataclass(frozen=True)
class Removal:
    """A check, and what is left of the source without it.

    Attributes:
        check: what is checked.
        section: of RFC 9846, or of the RFC that is named.
        module: the file in ``trio_tlsx`` that does it.
        source: the piece of it that stands there once.
        without: what stands in its place when the check is removed.
        tests: where a test has to fail then.
        matching: which of the tests there are run (pytest's ``-k``).
    """

    check: str
    section: str
    module: str
    source: str
    matching: str = ""
    without: str = "if False:"
    tests: str = WRONG_MESSAGES


def _elif(check: str, section: str, module: str, source: str, matching: str) -> Removal:
    return Removal(check, section, module, source, matching, "elif False:")


def _pass(
    check: str, section: str, module: str, source: str, matching: str, tests: str = WRONG_MESSAGES
) -> Removal:
    return Removal(check, section, module, source, matching, "pass", tests)


HELLO = "engine/hello.py"
CLIENT_HELLO = "engine/client_hello.py"
SERVER_HELLO = "engine/server_hello.py"
EXTENSIONS = "engine/extensions.py"
AUTHENTICATION = "engine/authentication.py"
CLIENT = "engine/client13.py"
SERVER = "engine/server13.py"
INCOMING = "engine/incoming.py"
READER = "engine/message_reader.py"
CONNECTION = "engine/connection.py"
EARLY_DATA = "engine/early_data.py"
POLICY = "policy.py"
RESUMPTION = "engine/resumption.py"
COMPRESSED = "engine/compressed_certificates.py"
COMPRESSION = "certificate_compression.py"

REMOVALS = [
    # Who the peer is
    Removal("chain, name and dates of the server", "4.5.1.3", CLIENT,
            "return verify_server(chain, offer.server_name, trust, at)",
            "unknown-ca or expired or another-name", "return ()"),
    Removal("chain and dates of the client", "4.5.1.3", SERVER,
            "return verify_client(chain, config.client_trust, at)",
            "unknown-ca or expired", "return ()"),
    Removal("the server's name", "RFC 9525 6", "verification.py",
            "builder.build_server_verifier(name.subject).verify(leaf, others)",
            "do_not_match", "builder.build_client_verifier().verify(leaf, others).chain",
            VERIFICATION),
    Removal("dates", "RFC 5280 6.1.3", "verification.py", ".store(trust.store).time(at)",
            "dates", ".store(trust.store).time(chain[0].not_valid_before_utc)", VERIFICATION),
    _pass("extended key usage", "RFC 5280 4.2.1.12", POLICY,
          "check_extended_key_usage(certificate, usages, self)", "extended_key_usage",
          VERIFICATION),
    _pass("key usage of a leaf", "4.5.1.2", POLICY, "check_leaf_key(leaf, usage)",
          "key_usage_of_a_leaf", VERIFICATION),
    _pass("key usage of a CA", "RFC 5280 4.2.1.3", POLICY, "check_ca_key(ca, usage)",
          "key_usage_of_a_ca", VERIFICATION),
    Removal("length of the chain", "RFC 5280 6.1", AUTHENTICATION,
            "if len(entries) > MAX_CHAIN_LENGTH:", "ten-certificates"),
    Removal("a server has a certificate", "4.5.1.3", CLIENT, "if not chain:",
            "AskingServerPeer-certificate-none"),
    Removal("a client has one that must", "4.5.1.3", SERVER,
            'if config.client_auth == "required":', "CertifiedClientPeer-certificate-none"),
    Removal("a server that is resumed, where that is wanted", "2.2", CLIENT,
            "and config.verify_on_resumption:", "resuming_server", "and False:",
            "tests/engine/test_resumption.py"),
    # That it is the peer
    _pass("signature of CertificateVerify", "4.5.2", AUTHENTICATION,
          "signatures.verify(scheme, leaf, certificate_verify.signature, content)", "signature-"),
    Removal("its scheme was offered", "4.5.2", AUTHENTICATION,
            "(s for s in accepted if s == certificate_verify.algorithm)", "not-wanted",
            "(s for s in SignatureScheme if s == certificate_verify.algorithm)"),
    Removal("its scheme fits the key", "4.5.2", AUTHENTICATION, "if scheme not in possible:",
            "scheme-"),
    Removal("no server signs as old clients do", "RFC 9963 2", SERVER,
            "[scheme for scheme in offered if scheme not in CLIENT_ONLY_SCHEMES]",
            "old_clients", "offered", "tests/engine/test_misbehaviour.py"),
    Removal("it is for this role", "4.5.2", AUTHENTICATION,
            "content = _signed_content(context, hs.transcript.digest())\n    leaf",
            "for-the-other-role",
            "content = _signed_content({SERVER_CONTEXT: CLIENT_CONTEXT, CLIENT_CONTEXT: "
            "SERVER_CONTEXT}[context], hs.transcript.digest())\n    leaf"),
    Removal("Finished", "4.5.3", AUTHENTICATION,
            "if not hmac.compare_digest(finished.verify_data, expected):", "finished-wrong"),
    Removal("length of Finished", "6.2", AUTHENTICATION,
            "if len(finished.verify_data) != len(expected):", "finished-of-"),
    Removal("context of the server's Certificate", "4.5.1", CLIENT,
            "if certificate.certificate_request_context:", "certificate-with-a-context"),
    Removal("context of the client's Certificate", "4.5.1", SERVER,
            "if certificate.certificate_request_context != request.certificate_request_context:",
            "certificate-with-a-context"),
    Removal("context of CertificateRequest", "4.4.2", CLIENT,
            "if request.certificate_request_context:", "certificate_request-with-a-context"),
    # Compressed certificates
    Removal("it is compressed as was offered", "RFC 8879 4", COMPRESSED,
            "if compressor is None:", "algorithm-"),
    Removal("how long it says that it is", "RFC 8879 4", COMPRESSED,
            "if length > MAX_CERTIFICATE_LENGTH:", "longer-than-allowed"),
    Removal("it is as long as it says", "RFC 8879 4", COMPRESSED, "if len(body) != length:",
            "length-one-more"),
    Removal("how much comes out", "RFC 8879 4", COMPRESSION, "max_length + 1)",
            "bomb", "0)", "tests/engine/test_certificate_compression.py"),
    Removal("it is compressed to its end", "RFC 8879 4", COMPRESSION, "not decompressor.eof or ",
            "checksum", ""),
    Removal("nothing is behind it", "RFC 8879 4", COMPRESSION, "decompressor.unused_data or ",
            "behind-it", ""),
    Removal("no algorithm twice", "RFC 8879 3", EXTENSIONS,
            "if len(set(algorithms)) < len(algorithms):", "zlib-twice"),
    # Versions, suites, groups
    Removal("downgrade sentinel", "4.2.3", CLIENT_HELLO,
            "if answer.random.endswith(DOWNGRADE_SENTINELS):", "downgrade-sentinel"),
    Removal("selected version", "4.3.1", CLIENT_HELLO,
            'if ext.decode_uint16(version, "supported_versions") != TLS13:', "selects-version"),
    Removal("legacy_version", "4.2.2, 4.2.3", HELLO, "if legacy_version != TLS12:",
            "legacy_version"),
    Removal("session id echo", "4.2.3", CLIENT_HELLO,
            "if answer.legacy_session_id_echo != hello.legacy_session_id:", "session-id"),
    Removal("the server's compression", "4.2.3", CLIENT_HELLO,
            "if answer.legacy_compression_method != 0:", "compression"),
    Removal("the client's compression", "4.2.2", SERVER_HELLO,
            "if hello.legacy_compression_methods != NO_COMPRESSION:", "compression"),
    Removal("the suite was offered", "4.2.3", CLIENT_HELLO,
            "suite = config.suite_table.get(answer.cipher_suite)", "suite-0x",
            "suite = config.suite_table.get(answer.cipher_suite, "
            "next(iter(config.suite_table.values())))"),
    Removal("the group has a key share of ours", "4.3.8", CLIENT_HELLO, "share = shares.get(code)",
            "server_hello-group", "share = shares.get(code, next(iter(shares.values())))"),
    Removal("key shares are for offered groups", "4.3.8", SERVER_HELLO,
            "if not shares.keys() <= set(offered):", "share-for-group or shares-not-of"),
    Removal("one key share for each group", "4.3.8", EXTENSIONS, "if group in shares:",
            "two-shares"),
    Removal("form of a point", "4.3.8.2", "engine/groups.py",
            'if not peer.startswith(b"\\x04"):', "share-compressed or share-hybrid"),
    # HelloRetryRequest
    Removal("the suite stays", "4.2.4", CLIENT_HELLO,
            "if chosen_suite(config, hello, answer) is not suite:", "changes-the-suite"),
    Removal("the version stays", "4.2.4", CLIENT_HELLO,
            "if _E.supported_versions not in answer.extensions:",
            "RetryingServerPeer-server_hello-without-supported_versions"),
    _pass("there is one only", "4.2.4", CLIENT_HELLO,
          'raise unexpected("sent a second HelloRetryRequest")', "asks-again"),
    Removal("it asks for a change", "4.2.4", CLIENT_HELLO, "if _E.cookie not in retry.extensions:",
            "asks-for-no-change"),
    Removal("it asks for a new key share", "4.3.8", CLIENT_HELLO, "if code in shares:",
            "asks-for-what"),
    Removal("the second ClientHello is the first", "4.2.2", SERVER_HELLO,
            "if without_extensions(first, _MAY_CHANGE) != "
            "without_extensions(second, _MAY_CHANGE):", "second_client_hello"),
    Removal("no early data after it", "4.2.2", SERVER_HELLO,
            "if _E.early_data in second.extensions:",
            "early_data-added"),
    _elif("only the key share that was asked for", "4.2.2", SERVER_HELLO, "elif len(shares) != 1:",
          "another-share-too"),
    _elif("the cookie comes back", "4.3.2", SERVER_HELLO,
          "elif cookie is None:", "without-cookie"),
    _elif("it is the same cookie", "4.3.2", SERVER_HELLO,
          "elif not hmac.compare_digest(cookie, expected):", "cookie-"),
    Removal("the transcript holds the first ClientHello's hash", "4.1", "engine/transcript.py",
            "self._messages = [uint8(HandshakeType.message_hash) + opaque24(digest), *retry]",
            "", "self._messages = [client_hello, *retry]", "tests/engine/test_rfc8448.py"),
    # Extensions
    Removal("an extension in the wrong message", "4.3", EXTENSIONS,
            "if extension not in allowed and extension in _ALLOWED:", "-with-"),
    Removal("an extension that was not asked for", "4.3", EXTENSIONS,
            "if is_response and (extension not in requested or extension in GREASE):",
            "-with-unsolicited"),
    Removal("an answer to what means nothing", "RFC 8701 3.2", EXTENSIONS,
            "(extension not in requested or extension in GREASE)", "answer",
            "extension not in requested", "tests/engine/test_grease.py"),
    Removal("an extension twice", "4.3", EXTENSIONS, "if code in extensions:", "-twice"),
    Removal("mandatory extensions", "9.2", HELLO, "if extension not in hello.extensions:",
            "client_hello-without"),
    Removal("signature_algorithms in CertificateRequest", "4.4.2", CLIENT,
            "if _E.signature_algorithms not in request.extensions:",
            "certificate_request-without"),
    Removal("pre_shared_key is the last", "4.3.11", SERVER_HELLO,
            "if tuple(extensions)[-1] != _E.pre_shared_key:", "psk-not-last"),
    # Pre-shared keys
    Removal("binders", "4.3.11", "engine/psk.py",
            "if not hmac.compare_digest(offered.binders[index], binder(psk, partial)):",
            "another-key"),
    Removal("labels of binders", "7.1, RFC 9258 5.2", "engine/psk.py",
            'return "imp binder" if self.external.imported else "ext binder"',
            "not-imported or as-a-session", 'return "res binder"'),
    Removal("with keys only an unknown identity ends as a wrong key does", "6.2",
            "engine/external.py", "return known if known or not needed else unknown",
            "another-identity", "return known"),
    Removal("the key is still in the second ClientHello", "4.2.2", SERVER_HELLO,
            "if psk.identity not in identities:", "another-identity"),
    Removal("identities of one ClientHello", "4.3.11", SERVER_HELLO,
            "identities = offered.identities[:MAX_IDENTITIES]", "only_so_many",
            "identities = offered.identities", EXTERNAL_PSKS),
    Removal("the key is of the identity that was asked for", "RFC 9258 5.1",
            "engine/questions.py", "if answer.identity != self.identity:", "something_else",
            tests=EXTERNAL_PSKS),
    Removal("length of a key", "RFC 9257 6", "external_psk.py",
            "if len(self.key) < MIN_KEY_LENGTH:", "keys_that_cannot_be", tests=EXTERNAL_PSKS),
    Removal("the key that is chosen was offered", "4.3.11", CLIENT_HELLO,
            "if index >= len(psks):", "chooses-2 or chooses-999"),
    Removal("it goes with the suite's hash", "4.3.11", CLIENT_HELLO,
            "if psks[index].suite.hash is not suite.hash:", "another-hash"),
    Removal("one is chosen where nothing else will do", "4.3.11", CLIENT_HELLO,
            "if config.psk_required:", "chooses-none"),
    Removal("with a key exchange unless it was asked for without", "4.3.9", CLIENT_HELLO,
            "if not config.psk_without_key_exchange:", "without-key_share"),
    Removal("the application protocol was offered", "RFC 7301 3.2", CLIENT,
            "if protocols[0] not in config.alpn:", "chooses-"),
    Removal("least record_size_limit", "RFC 8449 4", "engine/handshake.py",
            "if limit < MIN_RECORD_SIZE_LIMIT:", "record_size_limit-"),
    # Syntax
    _pass("trailing octets", "6.2", "engine/wire.py", 'raise self.error("has trailing octets")',
          "trailing"),
    Removal("vectors that are too short", "6.2", "engine/wire.py", "if length < minimum:",
            "test_wrong_message"),
    Removal("vectors of an odd length", "6.2", "engine/wire.py", "if len(octets) % 2:",
            "0003040300"),
    # Order
    Removal("the message is the one that must come", "4", "engine/handshake.py",
            "if raw.handshake_type != message_type.handshake_type:", "-instead"),
    Removal("messages and changes of keys", "5.1", READER,
            'raise unexpected("sent more handshake octets where others must come first")',
            "along-with", "return"),
    _pass("nothing between the pieces of a message", "5.1", READER,
          'raise unexpected("ended in the middle of a handshake message")', "interrupted-by"),
    _pass("data in a handshake", "5.1", READER, "raise unexpected_record(record.content_type)",
          "data-before-it"),
    _pass("other messages after the handshake", "4.7", CONNECTION,
          'raise unexpected("sent a handshake message after the handshake")', "key_update-"),
    Removal("change_cipher_spec", "5", INCOMING,
            'if not self.accept_change_cipher_spec or bytes(payload) != b"\\x01":',
            "change_cipher_spec"),
    Removal("a server's change_cipher_spec behind its Finished", "5", CLIENT,
            "hs.incoming.accept_change_cipher_spec = False", "change_cipher_spec", "pass"),
    Removal("a client's change_cipher_spec behind its Finished", "5", SERVER,
            "hs.incoming.accept_change_cipher_spec = False", "change_cipher_spec", "pass"),
    # Records
    Removal("sequence numbers", "5.3", "engine/record.py",
            "self.sequence_number = sequence_number + 1", "swapped",
            "self.sequence_number = sequence_number"),
    Removal("length of a record", "5.1, 5.2", INCOMING,
            "if length > (MAX_CIPHERTEXT_LENGTH if protected else MAX_PLAINTEXT_LENGTH):",
            "announced or of-2"),
    Removal("length of what is in it", "5.4", INCOMING,
            "if len(inner) > self.plaintext_limit:", "inside or padding"),
    Removal("nothing but padding", "5.4", INCOMING, "if not unpadded:", "all-zeros"),
    _elif("empty records under keys", "5.1", INCOMING, "elif not content:", "empty-"),
    Removal("empty records in the clear", "5.1", INCOMING, "if not payload:", "empty-"),
    Removal("the end of the transport is no end of the data", "6.1", READER,
            "raise self._end_of_transport()", "", "return False",
            "tests/engine/test_contract.py"),
    # Sessions
    Removal("a session of this server", "4.7.1", RESUMPTION,
            "(session.server_name, session.port) == (server_name.host, port)",
            "another_name or another_port", "True", SESSION_TESTS),
    Removal("a session that was made under this trust", "4.7.1", RESUMPTION,
            "and session.context == config.session_context", "another_context", "",
            SESSION_TESTS),
    Removal("a session under a suite that is still allowed", "4.3.11", RESUMPTION,
            "and any(suite.name == session.cipher_suite for suite in config.suite_table.values())",
            "no_longer_allows", "", SESSION_TESTS),
    Removal("a session that has not ended", "4.7.1", RESUMPTION,
            "and session.received_at <= config.clock() < session.expires_at",
            "expired_for_the_client or future", "", SESSION_TESTS),
    Removal("a session ends a week after its server was verified", "4.7.1", "sessions.py",
            "self.verified_at + MAX_AGE,", "ends_with", "", "tests/test_sessions.py"),
    Removal("a session ends with the server's certificates", "4.7.1", "sessions.py",
            "*(certificate.not_valid_after_utc for certificate in self.peer_certificates),",
            "ends_with", "", "tests/test_sessions.py"),
    Removal("a session is used once", "C.4", "sessions.py", "session = sessions.pop()",
            "each_once", "session = sessions[-1]", "tests/test_sessions.py"),
    Removal("no ticket lasts longer than a week", "4.7.1", RESUMPTION,
            "lifetime=min(ticket.ticket_lifetime, MAX_LIFETIME),", "too_much",
            "lifetime=ticket.ticket_lifetime,", SESSION_TESTS),
    Removal("a ticket in its time", "4.7.1", RESUMPTION,
            "self.issued_at <= now < self.issued_at + lifetime",
            "expired_for_the_server or future", "True", SESSION_TESTS),
    Removal("a ticket ends a week after the handshake with certificates", "4.7.1", RESUMPTION,
            "and now < self.authenticated_at + MAX_AGE", "outlives", "", SESSION_TESTS),
    Removal("a ticket ends with the client's certificates", "4.7.1", RESUMPTION,
            "and all(now <= certificate.not_valid_after_utc for certificate in chain)",
            "new_certificate", "", SESSION_TESTS),
    Removal("a ticket is for one way of judging clients", "4.7.1", RESUMPTION,
            "form + config.client_policy + ", "judging_clients", "form + ", SESSION_TESTS),
    Removal("a ticket is of this form", "4.7.1", RESUMPTION,
            "form = uint8(TICKET_FORM_VERSION)", "another_version", 'form = b""', SESSION_TESTS),
    Removal("a ticket is for one certificate", "4.7.1", RESUMPTION,
            "hashlib.sha256(leaf).digest() + ", "another_certificate or virtual_host", "",
            SESSION_TESTS),
    Removal("a ticket is for one name", "4.7.1", RESUMPTION, "digest() + server_name",
            "another_name", "digest()", SESSION_TESTS),
    Removal("ticket keys are forgotten", "C.4", "ticket_keys.py",
            "if now - key.since < 2 * lifetime", "rotate", "", "tests/test_ticket_keys.py"),
    Removal("a client that resumes is judged again", "4.7.1", SERVER,
            "if session is not None and client is not None and accepted is None:",
            "judges_a_resuming", tests=SESSION_TESTS),
    Removal("a ticket in a store is used once", "8.1", "tickets.py",
            "return self._states.pop(name, None)", "one_use", "return self._states.get(name)",
            "tests/engine/test_tickets.py"),
    Removal("how much rides in a ticket", "4.7.1", "tickets.py",
            "if len(data) > MAX_TICKET_APPLICATION_DATA:", "no_more_than",
            tests="tests/engine/test_tickets.py"),
    # Early data
    Removal("nobody gets early data who has not asked for it", "F.5", EARLY_DATA,
            "offered is None or not hs.early_data.wanted:", "nobody_will_read",
            "offered is None:", EARLY_TESTS),
    Removal("early data within what is allowed now", "4.3.10", EARLY_DATA,
            "0 < session.max_early_data_size <= config.max_early_data_size",
            "less", "True", EARLY_TESTS),
    Removal("early data under the suite of the session", "4.3.10", EARLY_DATA,
            "and session.suite is suite", "suite", "", EARLY_TESTS),
    Removal("early data of the application protocol of the session", "4.3.10", EARLY_DATA,
            "and session.alpn_protocol == protocol", "protocol", "", EARLY_TESTS),
    Removal("early data under the first key", "4.3.10", EARLY_DATA,
            "if offered.identities[0][0] != psk.identity:", "not_the_first",
            tests=EARLY_TESTS),
    Removal("early data that is fresh", "8.3", EARLY_DATA,
            "if abs(config.clock() - expected) > FRESHNESS:", "too", tests=EARLY_TESTS),
    Removal("early data that was not taken before", "8.2", EARLY_DATA,
            "if not first or config.clock() >= until:", "taken_once",
            "if config.clock() >= until:", EARLY_TESTS),
    Removal("a register that has answered in time", "8.2", EARLY_DATA,
            "if not first or config.clock() >= until:", "too_late", "if not first:", EARLY_TESTS),
    Removal("a register that says neither yes nor no", "8", "engine/questions.py",
            "return answer is True", "bool", "return answer is not False",
            EARLY_TESTS),
    Removal("early data only as much as was allowed", "4.7.1", EARLY_DATA, "if left < 0:",
            "too-much"),
    Removal("a client is judged before its early data is read", "4.5.1", SERVER,
            "            # Whether it may in is to be said before anybody reads what it sent.\n"
            "            yield from judge_client(hs, config, None, client.chain)",
            "no_longer", "            pass", EARLY_TESTS),
    Removal("the server took it under the suite of the session", "4.3.10", EARLY_DATA,
            "if suite is not made.psk.suite:", "although_it_must_not", tests=EARLY_TESTS),
    Removal("the server took it for the same application protocol", "4.3.10", EARLY_DATA,
            "if protocol != made.session.alpn_protocol:", "of-another-protocol"),
    Removal("nothing is sent again of another application protocol", "4.3.10", CLIENT,
            "if not accepted and alpn_protocol == early_data.alpn_protocol(config):",
            "goes_on", "if not accepted:", EARLY_TESTS),
    Removal("a register that could not know", "8.2", "replay.py",
            "if since < self._started or ", "before_it_was_made", "if ",
            "tests/test_replay.py"),
    Removal("a register that has forgotten it", "8.2", "replay.py",
            "until <= now or ", "remembered", "", "tests/test_replay.py"),
    Removal("a register that is full", "8.2", "replay.py",
            "if len(self) >= self._max_entries:", "ten_times", tests="tests/test_replay.py"),
    Removal("a register of each process", "8", "replay.py",
            " or os.getpid() != self._process", "forked", "", "tests/test_replay.py"),
    Removal("shared ticket keys need a shared register", "8", "config.py",
            "if self.ticket_keys is not None:", "shares_ticket_keys", tests=EARLY_TESTS),
    Removal("only early data that was accepted is answered early", "2.3", CONNECTION,
            "if not self.can_write:", "nothing_is_answered",
            tests="tests/engine/test_conformance_early_data.py"),
    # Limits
    Removal("length of a message", "6.2", READER, "if length > limit:", "announced-"),
    Removal("empty records in a row", "5.1", INCOMING,
            "if self._empty_records > MAX_EMPTY_RECORDS:", "", tests=LIMITS),
    Removal("skipped early data", "4.3.10", INCOMING, "if length > self.early_data_to_skip:", "",
            tests=LIMITS),
    Removal("user_canceled in a row", "6.1", READER,
            "if self._user_canceled > MAX_USER_CANCELED:", "", tests=LIMITS),
    Removal("tickets", "4.7.1", CONNECTION, "if self._tickets > MAX_TICKETS:", "", tests=LIMITS),
    Removal("KeyUpdates in a row", "4.7.3", "engine/key_updates.py",
            "if self.received_in_a_row > MAX_KEY_UPDATES:", "",
            tests="tests/engine/test_key_updates.py"),
]  # fmt: skip
