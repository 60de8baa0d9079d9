"""The checks of the results of hooks, and the checks of the hooks in this library."""

from __future__ import annotations

from removal import Removal, without_branch, without_statement

__all__ = ["REMOVALS_OF_HOOKS"]

VERIFY = "tests/handshake/test_verify_hook.py"
REVOCATIONS = "tests/pki/test_revocation.py"

AUTHENTICATION = "handshake/authentication.py"
QUESTIONS = "handshake/questions.py"
REVOCATION = "pki/revocation.py"

REMOVALS_OF_HOOKS = [
    Removal("the built-in verification is replaced only by verify_replaces_builtin", "4.5",
            AUTHENTICATION,
            "if not config.verify_replaces_builtin:", "not_called_after", tests=VERIFY),
    Removal("verify accepts only with None", "4.5", QUESTIONS,
            "if answer is not None:\n            raise InternalError(\n"
            '                f"verify returned', "verify_must_return",
            "if False:\n            raise InternalError(\n"
            '                f"verify returned', VERIFY),
    Removal("the peer's public key is pinned", "RFC 7469 2.4", "pki/pinning.py",
            "if wanted.isdisjoint(map(_digest, peer.path or (leaf,))):",
            "pinned_public_keys", tests=VERIFY),
    Removal("pins match only the verified path", "RFC 7469 2.6", "pki/pinning.py",
            "peer.path or (leaf,))):", "public_key_must",
            "peer.path or peer.certificates)):", VERIFY),
    Removal("the issuer of an OCSP response is verified", "RFC 6960 3.2", REVOCATION,
            "if issuer is None:", "for_a_trusted", tests=REVOCATIONS),
    Removal("the signature of an OCSP response", "RFC 6960 3.2", REVOCATION,
            "if not _is_signed(response, issuer, at):", "response_with_a_wrong",
            tests=REVOCATIONS),
    Removal("a delegated responder has the OCSP purpose", "RFC 6960 4.2.2.2", REVOCATION,
            "if usages is None or ExtendedKeyUsageOID.OCSP_SIGNING not in usages:",
            "ocsp_responder_without or response_is_requested",
            tests=REVOCATIONS),
    Removal("a delegated responder's certificate is valid at this time", "RFC 6960 4.2.2.2",
            REVOCATION,
            "if not responder.not_valid_before_utc <= at <= responder.not_valid_after_utc:",
            "responder_that", tests=REVOCATIONS),
    without_statement("the CA issued the delegated responder's certificate", "RFC 6960 4.2.2.2",
            REVOCATION,
            "responder.verify_directly_issued_by(issuer)", "another_ca", REVOCATIONS),
    Removal("an OCSP response has the serial number", "RFC 6960 3.2", REVOCATION,
            "single.serial_number == wanted.serial_number", "another_certificate", "True",
            REVOCATIONS),
    Removal("an OCSP response has the issuer", "RFC 6960 3.2", REVOCATION,
            "            and single.issuer_name_hash == wanted.issuer_name_hash\n"
            "            and single.issuer_key_hash == wanted.issuer_key_hash\n",
            "another_issuer", "", REVOCATIONS),
    Removal("dates of an OCSP response", "RFC 6960 3.2", REVOCATION,
            "if not begin - CLOCK_SKEW <= at <= end + CLOCK_SKEW:", "out_of_date",
            tests=REVOCATIONS),
    Removal("a revoked OCSP status is rejected", "RFC 6960 2.2", REVOCATION,
            "if single.certificate_status is ocsp.OCSPCertStatus.REVOKED:", "revoked_is_rejected",
            tests=REVOCATIONS),
    Removal("only a good OCSP status is accepted", "RFC 6960 2.2", REVOCATION,
            "if single.certificate_status is not ocsp.OCSPCertStatus.GOOD:", "unknown_is_rejected",
            tests=REVOCATIONS),
    without_branch("a required OCSP response is present", "RFC 7633 4.2.3", REVOCATION,
            "elif not peer.resumed and (must or _promises_staple(leaf)):", "missing_ocsp_response",
            REVOCATIONS),
    Removal("an expired OCSP response is not stapled", "RFC 6960 3.2", "driver/stapling.py",
            "if min(ends) <= now:",
            "refreshing_staple_rejects", tests="tests/io/test_refreshing_staple.py"),
    Removal("a listed certificate is rejected", "RFC 5280 6.3.3", REVOCATION,
            "if listed is not None:", "crl_with_the_certificate", tests=REVOCATIONS),
    Removal("a required revocation list is present", "RFC 5280 6.3.3", REVOCATION,
            "if must and not found:", "crl_is_rejected or crl_of_the_issuer", tests=REVOCATIONS),
    Removal("the signature of a revocation list", "RFC 5280 6.3.3", REVOCATION,
            "return crl.is_signature_valid(issuer.public_key())", "crl_with_a_wrong",
            "return True", REVOCATIONS),
    Removal("the issuer of a revocation list may sign lists", "RFC 5280 6.3.3", REVOCATION,
            "if not named or (usage and not usage.crl_sign):", "ca_without_crl", "if not named:",
            REVOCATIONS),
    Removal("dates of a revocation list", "RFC 5280 6.3.3", REVOCATION,
            "if at < begin - CLOCK_SKEW or (end is not None and at > end + CLOCK_SKEW):",
            "crl_out_of_date", tests=REVOCATIONS),
    Removal("critical extensions of a revocation list", "RFC 5280 5.2.5", REVOCATION,
            "    for extension in critical:", "partial_and_delta", "    for extension in ():",
            REVOCATIONS),
    Removal("revocation lists need a verified path", "RFC 5280 6.3", REVOCATION,
            "if not peer.path:", "crl_without_verification", tests=REVOCATIONS),
    Removal("the private key matches the certificate", "4.5.2", "pki/credentials.py",
            "if not fits(private_key, certificate):", "", tests="tests/pki/test_credentials.py"),
]  # fmt: skip
