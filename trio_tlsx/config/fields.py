"""The types that the fields of a configuration accept, and the advice for other types."""

from __future__ import annotations

from collections.abc import Mapping

from ..arguments import (
    BOOL,
    BYTES,
    CALLABLE,
    CLOCK,
    INT,
    PATH,
    STR,
    Expected,
    any_of,
    has_methods,
    instance_of,
    optional,
    plain_function,
    sequence_of,
)
from ..pki.compression import is_compressor
from ..pki.credentials import Credentials
from ..pki.ech_keys import ONE_OR_SEVERAL_KEYS, ECHKeys
from ..pki.trust import TrustStore
from ..sessions.external_psk import ExternalPSK
from ..sessions.ticket_keys import TicketKeys

__all__ = ["CLIENT_FIELDS", "SERVER_FIELDS"]

_FLAG = Expected(BOOL, "True or False")
_HOOK = Expected(optional(CALLABLE), "a function, plain or async, or None")
_TRUST = Expected(
    optional(any_of(instance_of(TrustStore), PATH)),
    "the path of a PEM file, or a TrustStore; for PEM in memory TrustStore.from_pem(pem)",
)

_COMMON_FIELDS: Mapping[str, Expected] = {
    "credentials": Expected(
        optional(any_of(instance_of(Credentials), sequence_of(instance_of(Credentials)))),
        "Credentials.from_pem_files(cert, key) or several such Credentials in a list; "
        "ReloadingCredentials go into select_credentials",
    ),
    "versions": Expected(sequence_of(STR), 'a list of names, such as ["TLSv1.3", "TLSv1.2"]'),
    "alpn_protocols": Expected(
        sequence_of(any_of(STR, BYTES)), 'a list of protocols, such as ["h2", "http/1.1"]'
    ),
    "cipher_suites": Expected(
        sequence_of(STR), 'a list of names, such as ["TLS_AES_128_GCM_SHA256"]'
    ),
    "groups": Expected(sequence_of(STR), 'a list of names, such as ["x25519"]'),
    "signature_schemes": Expected(sequence_of(STR), 'a list of names, such as ["ed25519"]'),
    "certificate_compression": Expected(
        sequence_of(any_of(STR, is_compressor)),
        'a list of names, such as ["zlib"], or of objects with the methods of '
        "CertificateCompressor",
    ),
    "record_size_limit": Expected(INT, "a number of bytes"),
    "max_fragment_size": Expected(INT, "a number of bytes"),
    "max_chain_length": Expected(INT, "a number of certificates"),
    "peer_certificate_types": Expected(
        optional(sequence_of(STR)), 'a list of "X509" and "RawPublicKey", or None'
    ),
    "key_update_bytes": Expected(optional(INT), "a number of bytes, or None"),
    "key_log": Expected(
        optional(any_of(PATH, CALLABLE)),
        "the path of a file, a function that is called with each line, or None",
    ),
    "verify": Expected(
        any_of(CALLABLE, sequence_of(CALLABLE)),
        "a function that is called with the Peer, or several in a list",
    ),
    "verify_replaces_builtin": _FLAG,
    "grease": _FLAG,
    "psk_without_key_exchange": _FLAG,
    "certificate_with_psk": Expected(STR, "'never', 'optional' or 'required'"),
    "on_event": Expected(optional(plain_function), "a function that is not async, or None"),
    "require_extended_master_secret": _FLAG,
    "clock": CLOCK,
}

CLIENT_FIELDS: Mapping[str, Expected] = {
    **_COMMON_FIELDS,
    "ech": Expected(
        optional(any_of(STR, BYTES, CALLABLE)),
        'an ECHConfigList as bytes or in base64, a function that returns one, or "grease"',
    ),
    "trust": _TRUST,
    "key_shares": Expected(
        optional(sequence_of(STR)), 'a list of names, such as ["x25519"], or None'
    ),
    "remember_groups": _FLAG,
    "select_credentials": _HOOK,
    "own_certificate_types": Expected(
        optional(sequence_of(STR)), 'a list of "X509" and "RawPublicKey", or None'
    ),
    "middlebox_compatibility": _FLAG,
    "insecure_skip_verification": _FLAG,
    "resumption": _FLAG,
    "tickets_wanted": Expected(
        optional(sequence_of(INT)), "two numbers of tickets in a tuple, such as (4, 1), or None"
    ),
    "session_store": Expected(
        optional(has_methods("put", "take")), "an object with the methods of SessionStore, or None"
    ),
    "session_context": Expected(BYTES, "bytes that name the trust"),
    "verify_on_resumption": _FLAG,
    "ocsp_stapling": Expected(optional(BOOL), "True, False or None"),
    "timestamps": _FLAG,
    "max_fragment_length": Expected(optional(INT), "512, 1024, 2048, 4096 or None"),
    "require_secure_renegotiation": _FLAG,
    "psks": Expected(
        sequence_of(instance_of(ExternalPSK)), "a list of keys, [ExternalPSK(identity, key)]"
    ),
}

SERVER_FIELDS: Mapping[str, Expected] = {
    **_COMMON_FIELDS,
    "ech_keys": Expected(
        any_of(instance_of(ECHKeys), ONE_OR_SEVERAL_KEYS.predicate),
        f"{ONE_OR_SEVERAL_KEYS.advice}, or ECHKeys",
    ),
    "ech_trial_decryption": _FLAG,
    "select_credentials": _HOOK,
    "client_auth": Expected(STR, "'none', 'optional' or 'required'"),
    "client_trust": _TRUST,
    "require_cookie": _FLAG,
    "retry_for_group": Expected(STR, "'never', 'post_quantum' or 'always'"),
    "tickets_after_handshake": _FLAG,
    "tickets": Expected(optional(INT), "a number of tickets, or None"),
    "ticket_keys": Expected(
        optional(instance_of(TicketKeys)), "TicketKeys([key]), or None to create keys"
    ),
    "ticket_store": Expected(
        optional(has_methods("put", "take")), "an object with the methods of TicketStore, or None"
    ),
    "ticket_application_data": Expected(
        any_of(BYTES, CALLABLE), "bytes, or a function that returns bytes for a Negotiated"
    ),
    "max_early_data_size": Expected(INT, "a number of bytes"),
    "anti_replay_cache": Expected(
        optional(has_methods("claim")), "an object with the method of AntiReplayCache, or None"
    ),
    "psks": Expected(
        any_of(CALLABLE, instance_of(Mapping), sequence_of(instance_of(ExternalPSK))),
        "a list of ExternalPSK(identity, key), a mapping of them by identity, or a function that "
        "returns the key of an identity",
    ),
}
