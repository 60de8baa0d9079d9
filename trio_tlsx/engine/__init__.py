"""The engines: TLS without a socket or an event loop.

- ``interface``: the contract between an engine and its driver.
- ``connection``: the native engine. ``post_handshake``: its messages after the handshake.
  ``exports``: keying material. ``reporter``: events and log lines.
- ``openssl``: the engine over the stdlib's ``ssl``. ``select``: picks one of the two.
- ``ssl_object``, ``certificate_dict``: the attributes and formats of ``ssl.SSLObject``.
"""
