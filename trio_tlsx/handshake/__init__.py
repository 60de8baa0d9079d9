"""The handshake: both roles, each top to bottom as in the RFC, as generators that yield wants.

- ``client``, ``server``: the version. ``client13``, ``server13``: TLS 1.3. ``client12``,
  ``server12``: TLS 1.2; ``steps12`` has what both roles share.
- ``client_hello``: makes a ClientHello from parameters, also an inner or outer one of ECH
  (Encrypted Client Hello). ECH itself is not implemented. Its places: the client calls
  ``make_client_hello`` twice in ``client``, and again after a HelloRetryRequest in
  ``client13_hello``, which also finds out whether the server accepted; the server decrypts in
  ``server``, before it selects a version and a configuration; it decrypts a second hello and
  confirms in ``server13_hello``; the configurations and keys of ECH would be a module of
  ``config``, the HPKE one of ``crypto``.
- ``client13_hello``, ``server13_hello``: the hellos of TLS 1.3 and the HelloRetryRequest.
- ``group_selection``, ``second_client_hello``: the server's key exchange and its retry.
- ``authentication``, ``certificate_selection``, ``certificate_compression``: certificates.
- ``resumption_client``, ``resumption_server``, ``early_data``, ``psk``, ``external_psk``: PSKs.
- ``steps``, ``steps12``: what both roles are written in; they install keys.
- ``record_sizes``: record_size_limit and max_fragment_length.
- ``wants``, ``questions``: what they yield.
- ``established``: what remains after the handshake.
"""
