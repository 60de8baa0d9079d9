"""The trio side: everything that imports trio.

From the system call to the application: ``transport`` (system calls on the descriptor of the
socket below, or the methods of another stream) -> ``driver/ciphertext`` (one task moves ciphertext
each way) -> the engine (``record/receive``, ``record/protection``, ``engine/connection``) ->
``driver/driver`` (asks the engine and waits) -> ``stream`` (:class:`TLSStream`). The socket of the
stream below owns the descriptor; ``TLSStream.aclose`` closes that stream.

- ``data_phase``: after the handshake, the short way of ordinary data over a descriptor: system
  call, ``record/receive`` and ``protection``, ``stream``. It leaves everything else, and waiting,
  to the driver.
- ``library``: the driver for trio.
- ``listener``: servers and clients over TCP.
- ``proxy_header``, ``proxy_protocol``: the client's address behind a proxy.
- ``endpoints``: the addresses of a connection.
- ``stapling``: a fresh OCSP response, over trio.
"""
