"""Certificates, keys and names: credentials, trust stores, revocation and pins."""
