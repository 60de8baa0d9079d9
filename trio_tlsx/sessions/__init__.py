"""Sessions: resumption, early data and external pre-shared keys, without the handshake.

- ``client``: a client's :class:`Session` and its stores.
- ``ticket_binding``: what a server's ticket is bound to.
- ``ticket_keys``, ``ticket_store``, ``sealing``: how a server encrypts or stores tickets.
- ``anti_replay``: remembers early data. ``handshake/early_data`` decides whether to accept it.
- ``external_psk``, ``psk_import``: external pre-shared keys (RFC 9258).
"""
