"""The lines of a key log about Encrypted Client Hello (RFC 9850 2.3)."""

from __future__ import annotations

from collections.abc import Callable

from ..crypto.hpke import HPKEContext
from ..messages.ech import ECHConfig

__all__ = ["log_ech"]


def log_ech(
    write: Callable[[str], object] | None,
    outer_random: bytes,
    context: HPKEContext,
    config: ECHConfig,
) -> None:
    """Write the shared secret and the configuration of an encrypted hello, if there is a log.

    Args:
        outer_random: the random of the outer hello, which a recording has.
    """
    if write is not None:
        write(f"ECH_SECRET {outer_random.hex()} {context.shared_secret.hex()}")
        write(f"ECH_CONFIG {outer_random.hex()} {config.encoded.hex()}")
