"""Certificates: our own credentials, and the verification of the peer's."""
