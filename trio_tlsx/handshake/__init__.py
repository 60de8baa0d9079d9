"""The handshake: both roles, each from top to bottom as in the RFC, as generators.

- ``client``, ``server``: start a handshake and select the version. ``client13``, ``server13``: the
  rest of a TLS 1.3 handshake. ``client12``, ``server12``: that of TLS 1.2.
- ``client13_hello``, ``server13_hello``: the hellos of TLS 1.3 and the HelloRetryRequest.
  ``client12_hello``, ``server12_hello``: the hellos of TLS 1.2.
- ``client_hello``: makes a ClientHello from parameters, also an inner or an outer one.
- ``ech_client``, ``ech_server``, ``ech_confirmation``, ``ech_key_log``: Encrypted Client Hello.
- ``group_selection``, ``second_client_hello``: the server's key exchange and its retry.
- ``authentication``, ``certificate_selection``, ``certificate_types``,
  ``certificate_compression``: certificates and raw public keys.
- ``resumption_client``, ``resumption_server``, ``early_data``, ``psk``, ``external_psk``: PSKs.
  ``resumption_client12``, ``resumption_server12``: the sessions of TLS 1.2.
- ``alpn``, ``record_sizes``: the extensions for the application protocol and for record sizes.
  ``hello``: checks of both hellos. ``keys13``: the keys of TLS 1.3.
- ``steps``: sends and receives messages and installs keys, for both roles. ``steps12``: the same
  for TLS 1.2.
- ``wants``, ``questions``: the values that a generator yields.
- ``established``: the result of a handshake.
"""
