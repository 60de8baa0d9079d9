"""The checks before a cached path is used again."""

from __future__ import annotations

from functools import partial

from places import AUTHENTICATION
from removal import Removal

__all__ = ["REMOVALS_OF_CACHED_PATHS"]

SHARED = 'globals().setdefault("shared", VerifiedPaths())'
of_paths = partial(
    Removal,
    section="4.5.1.3",
    module="pki/verified_paths.py",
    tests="tests/pki/test_verified_paths.py",
)
of_handshakes = partial(
    Removal, module=AUTHENTICATION, tests="tests/handshake/test_cached_paths.py"
)

REMOVALS_OF_CACHED_PATHS = [
    of_paths("a path is stored only after its verification", module="verification/verify.py",
            source="path = _verify_anew(chain, purpose, name, trust, at)\n"
            "        verified.keep(key, chain, der_chain, path)",
            without="verified.keep(key, chain, der_chain, tuple(chain))\n"
            "        path = _verify_anew(chain, purpose, name, trust, at)",
            matching="rejected_again"),
    of_paths("a stored path belongs to one trust store", module="pki/trust.py",
            source="VerifiedPaths() if cache_paths", without=f"{SHARED} if cache_paths",
            matching="another_trust_store"),
    of_paths("a stored path is used only for its role", source='f"{role} {', without='f"{',
            matching="same_text"),
    of_paths("a stored path is used only for its name", source=" {host}", without="",
            matching="another_name"),
    of_paths("a stored path is used only for its kind of name",
            source="{'name' if address is None else 'address'}", without="",
            matching="same_text"),
    of_paths("a stored path is used only for its whole chain", source="*map(opaque24, der_chain)",
            without="opaque24(der_chain[0])", matching="another_chain"),
    of_paths("a stored path is used only while it is valid",
            source="if path is not None and path.not_before <= at <= path.not_after:",
            without="if path is not None:", matching="all_its_certificates_are_valid"),
    of_paths("notBefore of all certificates of a stored path",
            source="max(certificate.not_valid_before_utc for certificate in certificates)",
            without="certificates[0].not_valid_before_utc",
            matching="all_its_certificates_are_valid"),
    of_paths("notAfter of all certificates of a stored path",
            source="min(certificate.not_valid_after_utc for certificate in certificates)",
            without="certificates[0].not_valid_after_utc",
            matching="all_its_certificates_are_valid"),
    of_paths("cache_paths=False stores nothing", module="pki/trust.py",
            source=" if cache_paths else None", without="", matching="turns_it_off"),
    of_paths("only certificates of a verified path are shared",
            source="if id(certificate) in on_path", without="", matching="not_parsed_again"),
    of_paths("number of stored paths and certificates",
            source="if len(self._values) > self._max_entries:", without="if False:",
            matching="used_last or bounded_in_number"),
    of_paths("length of a stored path",
            source="if sum(len(der) for _, der in sent) <= MAX_STORED_PATH_OCTETS:",
            without="if True:", matching="too_long"),
    of_paths("length of a stored certificate",
            source="if len(der) <= MAX_STORED_CERTIFICATE_OCTETS:",
            without="if True:", matching="too_long"),
    of_handshakes("CertificateVerify is verified although the path is stored", "4.5.2",
            source="verify(scheme, leaf, signed.signature, content)",
            without='leaf in globals().setdefault("seen", set()) or verify(\n'
            "            scheme, leaf, signed.signature, content)\n"
            '        globals()["seen"].add(leaf)',
            matching="proof_of_the_key"),
    of_handshakes("verify is called although the path is stored", "4.5.1.3",
            source="if not config.verifiers:",
            without='seen = globals().setdefault("seen", set())\n'
            "    if not config.verifiers or path in seen or seen.add(path):",
            matching="hooks_are_called"),
]  # fmt: skip
