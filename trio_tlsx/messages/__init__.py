"""Encode and decode the messages of TLS."""
