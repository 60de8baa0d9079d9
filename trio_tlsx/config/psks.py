"""External pre-shared keys in a configuration, alone or together with certificates (RFC 9973)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..errors import ConfigError
from ..messages.versions import TLS13
from ..sessions.external_psk import ExternalPSK
from .common import CommonConfig, CommonParameters
from .tls12 import Parameters12, check_needs_of_tls13

__all__ = ["with_certificates_and_psks", "with_suites_of_psks"]


def with_certificates_and_psks(
    config: CommonConfig, common: CommonParameters, *, has_psks: bool
) -> CommonParameters:
    """Check ``certificate_with_psk``; return the parameters, without TLS 1.2 if it is required.

    Raises:
        ConfigError: the value is unknown, there are no keys or no TLS 1.3, or
            ``psk_without_key_exchange`` is set.
    """
    value = config.certificate_with_psk
    if value not in ("never", "optional", "required"):
        raise ConfigError(
            f"certificate_with_psk is {value!r}; pass 'never', 'optional' or 'required'"
        )
    if value == "never":
        return common
    if not has_psks:
        raise ConfigError(
            f"certificate_with_psk is {value!r}, but there are no psks: pass psks, or leave it out"
        )
    if config.psk_without_key_exchange:
        raise ConfigError(
            "certificate_with_psk needs a key exchange (RFC 9973 5.1): leave out "
            "psk_without_key_exchange"
        )
    check_needs_of_tls13(common.versions, certificate_with_psk=value)
    if value == "optional":
        return common
    return replace(common, versions=frozenset({TLS13}), tls12=Parameters12())


def with_suites_of_psks(common: CommonParameters, psks: Sequence[ExternalPSK]) -> CommonParameters:
    """Drop the TLS 1.3 suites whose hash function no key has, since they cannot use a key."""
    suites = {
        suite.code: suite
        for suite in common.suite_table.values()
        if any(psk.imported or psk.hash_function is suite.hash for psk in psks)
    }
    if not suites:
        raise ConfigError(
            "none of the cipher_suites has the hash function of one of the psks: add a suite with "
            "that hash function, or pass keys with imported=True"
        )
    return replace(common, suite_table=suites)
