"""The handshake: both roles, each top to bottom as in the RFC, as generators that yield wants.

- ``client``, ``server``: the version. ``client13``, ``server13``: TLS 1.3, and
  beside them the place of TLS 1.2.
- ``client_hello``: makes a ClientHello from parameters, also an inner or outer one of ECH.
- ``client13_hello``, ``server13_hello``: the hellos of TLS 1.3 and the HelloRetryRequest.
- ``authentication``, ``certificate_selection``, ``certificate_compression``: certificates.
- ``resumption_client``, ``resumption_server``, ``early_data``, ``psk``, ``external_psk``: PSKs.
- ``steps``: what both roles are written in. ``wants``, ``questions``: what they yield.
- ``established``: what remains after the handshake.
"""
