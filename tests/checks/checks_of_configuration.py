"""The checks of a configuration's options, when the configuration is created."""

from __future__ import annotations

from removal import Removal, without_statement

__all__ = ["REMOVALS_OF_CONFIGURATION"]

FIELDS = "tests/config/test_fields.py"
TYPES = "tests/config/test_argument_types.py"
VALUES = "tests/config/test_parameters.py"
TRUST = "tests/config/test_trust_paths.py"

COMMON = "config/common.py"
CLIENT = "config/client.py"
SERVER = "config/server.py"
NAMES = "config/names.py"

REMOVALS_OF_CONFIGURATION = [
    without_statement("types of a client's options", "-", CLIENT,
            "check_fields(self, CLIENT_FIELDS)", "test_types_of_fields", FIELDS),
    without_statement("types of a server's options", "-", SERVER,
            "check_fields(self, SERVER_FIELDS)", "test_types_of_fields", FIELDS),
    Removal("a string is rejected as a list of names", "-", "arguments.py",
            "and not isinstance(value, str | bytes | bytearray | memoryview)", "types_of_fields",
            "", FIELDS),
    Removal("a class is rejected in place of an object", "-", "arguments.py",
            "not isinstance(value, type) and ", "types_of_fields", "", FIELDS),
    Removal("a string is rejected as an iterable of paths", "-", "arguments.py",
            " and not isinstance(value, str | bytes):", "wrong_types", ":", TYPES),
    *(
        without_statement(f"the type of {name}", "-", module, f'check("{name}", {name}, {kind})',
                          "wrong_types", TYPES)
        for name, module, kind in (
            ("private_key", "pki/credentials.py", "SIGNING_KEY"),
            ("schemes", "pki/credentials.py", "SCHEMES"),
            ("key", "pki/credentials.py", "KEY_BYTES"),
            ("data", "pki/credentials.py", "PKCS12"),
            ("ocsp", "pki/credentials.py", "OCSP_SOURCE"),
            ("timestamps", "pki/credentials.py", "TIMESTAMPS"),
            ("load", "pki/reloading.py", "LOAD"),
            ("pins", "pki/pinning.py", "PINS"),
            ("crls", "pki/revocation.py", "CRLS"),
        )
    ),
    Removal("PEM text is rejected as a path", "-", COMMON, 'if "-----BEGIN" in path:', "pem_text",
            tests=TRUST),
    Removal("a directory is rejected as a PEM file", "-", COMMON, "if os.path.isdir(path):",
            "directory", tests=TRUST),
    Removal("the range of record_size_limit", "RFC 8449 4", COMMON,
            "if not MIN_RECORD_SIZE_LIMIT <= config.record_size_limit <= "
            "MAX_INNER_PLAINTEXT_LENGTH:", "both_roles", tests=VALUES),
    Removal("the range of max_fragment_size", "5.1", COMMON,
            "if not MIN_RECORD_SIZE_LIMIT <= config.max_fragment_size <= MAX_PLAINTEXT_LENGTH:",
            "both_roles", tests=VALUES),
    Removal("the minimum of key_update_bytes", "5.5", COMMON,
            "if config.key_update_bytes is not None and "
            "config.key_update_bytes < MIN_KEY_UPDATE_BYTES:", "both_roles", tests=VALUES),
    Removal("the range of max_chain_length", "4.5.1", COMMON,
            "if not 1 <= config.max_chain_length <= MAX_CHAIN_LENGTH_ALLOWED:", "both_roles",
            tests=VALUES),
    Removal("verify_replaces_builtin needs verify", "4.5", COMMON,
            "if config.verify_replaces_builtin and not verifiers:", "both_roles", tests=VALUES),
    Removal("the names of algorithms are known", "-", NAMES, "if key not in rows:", "both_roles",
            tests=VALUES),
    Removal("no list of algorithms is empty", "-", NAMES, "if not found:", "both_roles",
            tests=VALUES),
    Removal("lengths of ALPN protocols", "RFC 7301 3.1", NAMES,
            "if not 1 <= len(protocol) <= MAX_ALPN_PROTOCOL_LENGTH:", "both_roles",
            tests=VALUES),
    Removal("the length of all ALPN protocols", "RFC 7301 3.1", NAMES,
            "if sum(len(protocol) + 1 for protocol in encoded) > MAX_ALPN_LIST_LENGTH:",
            "both_roles", tests=VALUES),
    Removal("session_store needs session_context", "4.3.11", CLIENT,
            "if (config.session_store is None) != (not config.session_context):", "of_a_client",
            tests=VALUES),
    Removal("session_store excludes insecure_skip_verification", "4.3.11", CLIENT,
            "if config.session_store is not None and config.insecure_skip_verification:",
            "of_a_client", tests=VALUES),
    Removal("number of pre-shared keys that a client offers",
            "4.3.11", CLIENT, "if len(listed) > MAX_PSKS:",
            "of_a_client", tests=VALUES),
    Removal("the range of tickets", "4.7.1", SERVER,
            "if config.tickets is not None and not 0 <= config.tickets <= MAX_TICKETS_ISSUED:",
            "of_a_server", tests=VALUES),
    Removal("the range of max_early_data_size", "4.3.10", SERVER,
            "if not 0 <= config.max_early_data_size <= MAX_EARLY_DATA_ACCEPTED:", "of_a_server",
            tests=VALUES),
    Removal("client_auth has a defined value", "4.4.2", SERVER,
            'if config.client_auth not in ("none", "optional", "required"):', "of_a_server",
            tests=VALUES),
    Removal("client_auth needs client_trust", "4.5.1.3", SERVER,
            'if config.client_auth != "none" and not trusting:', "of_a_server", tests=VALUES),
    Removal("client_trust needs client_auth", "4.4.2", SERVER,
            'if config.client_auth == "none" and config.client_trust is not None:',
            "of_a_server", tests=VALUES),
]  # fmt: skip
