"""The messages of TLS: how each is encoded and decoded."""
