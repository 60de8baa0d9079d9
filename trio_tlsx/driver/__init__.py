"""The driver: runs an engine over a transport, with any async library.

Nothing here imports trio. ``io/`` has what is specific to trio, and ``contrib/anyio.py`` what is
specific to anyio.

- ``driver``: asks the engine what it wants, and waits for that. ``ending``: what has ended the
  connection. ``handshake_timer``: the time of a handshake.
- ``ciphertext``: one task moves ciphertext each way. ``transport``: what it moves it with.
- ``stream_methods``, ``early_data_methods``, ``connection_info``, ``ssl_compat``: the methods of a
  stream that are the same over each async library.
- ``containment``: the faults of one connection do not end a server.
- ``stapling``: a fresh OCSP response.
- ``library``: what the driver needs of an async library. ``conflict``: one task at a time.
  ``raised``: which errors a stream raised itself.
"""
