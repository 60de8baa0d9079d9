"""The record layer (RFC 9846 5).

- ``protection``: encrypts and decrypts a record of TLS 1.3; the constants of its length.
- ``protection12``: the same for TLS 1.2. Both fulfil ``interface``; the handshake of a version
  installs its keys.
- ``receive``: from ciphertext to content; the bounds of a received record.
- ``send``: from content to ciphertext; the bounds of a sent record. ``handshake/record_sizes``
  lowers the bounds of both directions to what the two sides negotiate.
- ``message_reader``: joins and splits records into handshake messages, and bounds these.
  ``message_rules12``: the bounds and alerts of TLS 1.2.
- ``alerts``: received alerts, ``user_canceled`` among them. ``engine/connection`` sends alerts.
- ``key_update``: KeyUpdate in both directions.
- ``buffers``: large buffers from a pool.
"""
