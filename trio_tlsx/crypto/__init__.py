"""Cipher suites, groups, signature schemes and the key schedule, over ``cryptography``."""
