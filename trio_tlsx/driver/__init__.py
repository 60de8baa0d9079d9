"""The driver: runs an engine over a transport, with any async library.

Nothing here imports trio. ``io/`` has what is specific to trio, and ``contrib/anyio.py`` what is
specific to anyio.

- ``driver``: runs the engine and waits for what it needs. ``ending``: the end of the connection.
  ``handshake_timer``: the time limit of a handshake.
- ``ciphertext``: one task moves ciphertext each way. ``transport``: the interface to the stream
  below.
- ``stream_methods``, ``early_data_methods``, ``connection_info``, ``ssl_compat``: the methods of a
  stream that are the same over each async library.
- ``containment``: the faults of one connection do not end a server.
- ``stapling``: a fresh OCSP response.
- ``library``: the names that the driver needs of an async library. ``conflict``: rejects a second
  task in one direction. ``raised``: the errors that a stream raised itself.
"""
