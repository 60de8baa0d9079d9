"""Certificates, keys and names, before anything is verified.

- ``credentials``, ``reloading``, ``compression``: this side's certificates and keys.
- ``trust``: trusted CAs. ``openssl_store``: the same for OpenSSL. ``pem``: PEM files.
- ``server_name``, ``distinguished_names``, ``identity``: names. ``describe``: names for people.
- ``certificates``, ``structure``, ``issuance``, ``rsa_keys``: how to read a certificate safely.
- ``peer``, ``pinning``, ``revocation``: for ``verify`` hooks. ``negotiated``: the results.
"""
