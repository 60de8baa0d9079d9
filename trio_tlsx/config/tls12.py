"""The options of TLS 1.2 as its handshake uses them, and the versions of a configuration."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..crypto.cipher_suites import CipherSuite
from ..crypto.cipher_suites12 import CipherSuite12
from ..crypto.groups import Group
from ..crypto.signatures import SignatureScheme
from ..crypto.signatures12 import AUTHENTICATION_BY, schemes_of_12
from ..errors import ConfigError
from ..messages.versions import PROTOCOL_NAMES, TLS12, TLS13

__all__ = ["Parameters12", "check_needs_of_tls13", "look_up_versions", "resolve_12"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Parameters12:
    """The parameters of TLS 1.2, resolved once when a configuration is created.

    All tables are empty in a configuration without TLS 1.2.

    Attributes:
        unusable_option: the option that leaves nothing for TLS 1.2, by its name; empty if none.
    """

    suite_table: Mapping[int, CipherSuite12] = field(default_factory=dict[int, CipherSuite12])
    group_table: Mapping[int, Group] = field(default_factory=dict[int, Group])
    scheme_table: tuple[SignatureScheme, ...] = ()
    require_extended_master_secret: bool = False
    unusable_option: str = ""


def look_up_versions(names: Iterable[str]) -> frozenset[int]:
    """Return the versions with these names.

    Raises:
        ConfigError: a name is unknown, or the list is empty.
    """
    codes = {name: code for code, name in PROTOCOL_NAMES.items()}
    known = ", ".join(repr(name) for name in codes)
    versions: set[int] = set()
    for name in names:
        if name not in codes:
            raise ConfigError(f"unknown version {name!r}; pass one or more of {known}")
        versions.add(codes[name])
    if not versions:
        raise ConfigError(f"versions is empty: pass one or more of {known}")
    return frozenset(versions)


def resolve_12(
    versions: Collection[int],
    suites: Iterable[CipherSuite],
    groups: Iterable[Group],
    schemes: Sequence[SignatureScheme],
    *,
    is_client: bool,
    require_extended_master_secret: bool,
) -> Parameters12:
    """Return the parameters of TLS 1.2; its tables are empty if it cannot be negotiated.

    The arguments are those of both versions; TLS 1.2 uses what it has of them. A client offers no
    suite whose ServerKeyExchange it could not verify in any of its schemes.
    """
    if TLS12 not in versions:
        return Parameters12()
    suite_table = {suite.code: suite for suite in suites if isinstance(suite, CipherSuite12)}
    group_table = {group.code: group for group in groups if not group.is_post_quantum}
    scheme_table = schemes_of_12(tuple(schemes))
    if is_client:
        kinds = {AUTHENTICATION_BY[scheme] for scheme in scheme_table}
        suite_table = {
            code: suite for code, suite in suite_table.items() if suite.authentication in kinds
        }
    for option, table in (
        ("groups", group_table),
        ("signature_schemes", scheme_table),
        ("cipher_suites", suite_table),
    ):
        if not table:
            return Parameters12(unusable_option=option)
    return Parameters12(
        suite_table=suite_table,
        group_table=group_table,
        scheme_table=scheme_table,
        require_extended_master_secret=require_extended_master_secret,
    )


def check_needs_of_tls13(versions: Collection[int], **options: object) -> None:
    """Check that a configuration that has one of ``options`` also has TLS 1.3.

    Raises:
        ConfigError: an option is set, and there is only TLS 1.2.
    """
    for name, value in options.items():
        if value and TLS13 not in versions:
            raise ConfigError(
                f"{name} has no effect in TLS 1.2: add 'TLSv1.3' to versions, or leave out {name}"
            )
