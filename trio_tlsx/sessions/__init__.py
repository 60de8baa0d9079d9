"""Sessions: resumption, early data and external pre-shared keys, without the handshake.

- ``client``: a client's :class:`Session` and its stores.
- ``ticket_binding``: binds a server's ticket to a configuration.
- ``ticket_keys``, ``ticket_store``, ``sealing``: how a server encrypts or stores tickets.
- ``anti_replay``: remembers early data. ``handshake/early_data`` decides whether to accept it.
- ``external_psk``, ``psk_import``: external pre-shared keys (RFC 9258).
- ``selected_groups``: the groups that servers selected before.
"""
