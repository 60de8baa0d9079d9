"""The messages of TLS, as octets and as objects.

- ``codec``: the presentation language. ``extensions``, ``handshake``: the messages and extensions.
  ``extensions12``, ``handshake12``: those that only TLS 1.2 has.
- ``ech``, ``certificate_types``, ``ticket_request``: the structures of one extension.
- ``alerts``: decodes alerts. ``versions``, ``grease``: code points.
- ``info``: the ClientHello and CertificateRequest that hooks see.
"""
