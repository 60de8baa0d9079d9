"""The cryptographic tables and the key schedule; the primitives are `cryptography`'s."""
