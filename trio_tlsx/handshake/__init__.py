"""The handshake: both roles, each top to bottom as in the RFC, as generators that yield wants.

- ``client``, ``server``: the version. ``client13``, ``server13``: TLS 1.3, and
  beside them the place of TLS 1.2.
- ``client_hello``: makes a ClientHello from parameters, also an inner or outer one of ECH
  (Encrypted Client Hello). ECH itself is not implemented. Its places: the client calls
  ``make_client_hello`` twice in ``client`` and finds out in ``client13_hello`` whether the server
  accepted; the server decrypts in ``server``, before it selects a configuration; its keys are in
  ``config``, the HPKE in ``crypto``.
- ``client13_hello``, ``server13_hello``: the hellos of TLS 1.3 and the HelloRetryRequest.
- ``authentication``, ``certificate_selection``, ``certificate_compression``: certificates.
- ``resumption_client``, ``resumption_server``, ``early_data``, ``psk``, ``external_psk``: PSKs.
- ``steps``: what both roles are written in; it also installs keys and limits record sizes.
- ``wants``, ``questions``: what they yield.
- ``established``: what remains after the handshake.
"""
