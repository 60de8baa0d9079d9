"""Certificates, keys and names, before anything is verified.

- ``credentials``, ``reloading``, ``compression``: this side's certificates and keys.
- ``public_keys``: raw public keys and pins. ``ech``, ``ech_keys``: the keys of Encrypted Client
  Hello.
- ``trust``: trusted CAs. ``openssl_store``: the same for OpenSSL. ``pem``: PEM files.
  ``verified_paths``: a cache of paths.
- ``server_name``, ``distinguished_names``, ``identity``: names. ``describe``: names for people.
- ``certificates``, ``chains``, ``structure``, ``issuance``, ``rsa_keys``: how to read a
  certificate safely.
- ``peer``, ``pinning``, ``revocation``: for ``verify`` hooks. ``negotiated``: the results.
"""
