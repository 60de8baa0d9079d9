"""Detect the algorithms that this build of ``cryptography`` supports."""

from __future__ import annotations

from collections.abc import Callable

from cryptography.exceptions import UnsupportedAlgorithm

__all__ = ["is_available"]


def is_available(load_public_key: Callable[[bytes], object]) -> bool:
    """Whether there is the algorithm whose public keys this reads."""
    try:
        load_public_key(b"")
    except UnsupportedAlgorithm:
        return False
    except ValueError:
        pass  # no key is empty, but there are keys
    return True
