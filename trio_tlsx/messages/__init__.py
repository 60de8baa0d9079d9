"""The messages of TLS, as octets and as objects.

- ``codec``: the presentation language. ``extensions``, ``handshake``: all messages and extensions.
- ``alerts``: decodes alerts. ``versions``, ``grease``: code points.
- ``info``: the ClientHello and CertificateRequest that hooks see.
"""
