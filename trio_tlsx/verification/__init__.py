"""Certificate verification: two verifiers, one policy, and the reason of a rejection.

- ``verify``: verifies the certificates of a server or a client. ``policy``: the rules for each
  certificate. ``raw_keys``: verifies a raw public key.
- ``openssl_verifier``: the second verifier; ``pki/openssl_store`` is its access to OpenSSL.
- ``diagnosis``: finds the reason of a rejection. ``certificate_faults``: the faults of a
  certificate, each with its alert; ``builtin_limits``: the limits of the built-in verifier alone.
- ``candidate_paths``, ``name_constraints``, ``host_names``: parts that these use.
"""
