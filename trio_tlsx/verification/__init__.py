"""Certificate verification: two verifiers, one policy, and the reason of a refusal.

- ``verify``: verifies a server or a client. ``policy``: what a certificate must be.
- ``openssl_verifier``: the second verifier; ``pki/openssl_store`` is its access to OpenSSL.
- ``diagnosis``: finds the reason of a refusal. ``certificate_faults``: the faults of a
  certificate, each with its alert; ``builtin_limits``: what only the built-in verifier rejects.
- ``candidate_paths``, ``name_constraints``, ``host_names``: what these need.
"""
