"""Tables of algorithms, the key schedule, the transcript; the primitives are `cryptography`'s."""
