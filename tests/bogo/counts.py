#!/usr/bin/env python3
"""Count the runner's tests by group, and those that are left out by feature; see README.md.

    python3 counts.py NAMES.json [RESULTS.json]

Both files are the runner's ``-json-output``: the first of a run that only lists all tests, the
second of the run whose results are counted. Without the second only the tests are counted.
"""

from __future__ import annotations

import collections
import fnmatch
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

__all__ = ["ECH", "GROUPS", "LEFT_OUT", "PSKS", "disabled_by", "group_of", "matches", "report"]

CONFIG = Path(__file__).parent / "config.json"

#: The features that are left out of the count, with the patterns of their tests. The first feature
#: that matches counts.
LEFT_OUT = {
    "DTLS": "*DTLS*",
    "QUIC": "*QUIC*",
    "TLS 1.0 and 1.1": "*-TLS1-* *-TLS1 TLS1-* *-TLS11-* *-TLS11 TLS11-*",
    "policy presets": "Compliance-*",
    "handshake hints": "*HintMismatch*",
    "ALPS": "ALPS-*",
    "Channel ID": "*ChannelID*",
    "delegated credentials": "DelegatedCredentials-*",
    "trust anchor IDs": "TrustAnchors-*",
    "SPAKE2+": "PAKE-*",
    "NPN": "NPN-* *-NPN*",
    "renegotiation": "Renegotiate-* *-Renego*",
    "False Start": "FalseStart-*",
    "CBC and 3DES": "*_CBC_* CBC* *CBCPadding* *-3DES-*",
    "static RSA": "*-RSA_WITH_AES_* BadRSAClientKeyExchange-* RSAKeyUsage-* Basic-Server-RSA-*",
    "pre-shared keys of TLS 1.2": "*PSK_WITH_* *EmptyPSKHint*",
    "the hello of SSL 2.0": "SendV2ClientHello-*",
    "TLS_FALLBACK_SCSV": "*FallbackSCSV*",
    "SSL_peek": "Peek-*",
    "SRTP": "SRTP-*",
    "padding by the server": "ServerPadding*",
    "a work-around for JDK 11": "Server-JDK11* Client-RejectJDK11*",
}

PSKS = "external pre-shared keys (`PSK-*`)"
ECH = "Encrypted Client Hello (`TLS-ECH-*`)"
RAW_KEYS = "raw public keys (`*CertificateType-*`)"
NEITHER = "neither or both in the name"

RAW_KEY_TESTS = "ClientCertificateType-* ServerCertificateType-* *RawPublicKey*"

#: The groups of the tests that are counted, by the versions in their names: TLS 1.3, TLS 1.2.
GROUPS = {
    (True, False): "TLS 1.3 alone",
    (False, True): "TLS 1.2 alone",
    (False, False): NEITHER,
    (True, True): NEITHER,
}

STATES = {"PASS": "passed", "FAIL": "failed", "SKIP": "not implemented"}


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether one of the runner's patterns matches; Go negates a class by ``^``."""
    return any(fnmatch.fnmatchcase(name, pattern.replace("[^", "[!")) for pattern in patterns)


def group_of(name: str) -> tuple[str, bool]:
    """The group of a test, or the feature that it is left out for; whether it is counted."""
    without_psks = name.startswith("PSK-") and not matches(name, ["*DTLS*", "*QUIC*"])
    if without_psks:
        return PSKS, True
    for feature, patterns in LEFT_OUT.items():
        if matches(name, patterns.split()):
            return feature, False
    if name.startswith("TLS-ECH-"):
        return ECH, True
    if matches(name, RAW_KEY_TESTS.split()):
        return RAW_KEYS, True
    return GROUPS["TLS13" in name, "TLS12" in name], True


def disabled_by(name: str, disabled: Mapping[str, str]) -> str | None:
    """Why a test is disabled: the feature, or ``decision``; None if it is not disabled."""
    whole = (why for pattern, why in disabled.items() if matches(name, [pattern]))
    return next((why.partition(":")[0].partition(" (")[0] for why in whole), None)


def table(head: str, rows: Mapping[str, collections.Counter[str]]) -> Iterable[str]:
    columns = [*STATES.values(), "disabled"]
    yield f"| {head} | tests | {' | '.join(columns)} |"
    yield "|---" * (len(columns) + 2) + "|"
    for name, states in rows.items():
        counts = [states.total(), *(states[column] for column in columns)]
        yield f"| {name} | {' | '.join(f'{count:,}' for count in counts)} |"


def report(
    names: Iterable[str], results: Mapping[str, str], disabled: Mapping[str, str]
) -> Iterable[str]:
    """Three tables in Markdown: the groups, what is left out, and why tests are disabled.

    Args:
        names: all tests of the runner.
        results: PASS, FAIL or SKIP for each test that ran.
        disabled: the reason for each pattern of disabled tests.
    """
    counted: dict[str, collections.Counter[str]] = {
        group: collections.Counter() for group in (*GROUPS.values(), PSKS, ECH, RAW_KEYS)
    }
    left_out = {feature: collections.Counter[str]() for feature in LEFT_OUT}
    reasons: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for name in names:
        group, is_counted = group_of(name)
        why = disabled_by(name, disabled)
        state = "disabled" if why is not None else STATES[results.get(name, "SKIP")]
        (counted if is_counted else left_out)[group][state] += 1
        if is_counted and why is not None:
            reasons[why][group] += 1
    yield from table("group", counted)
    yield ""
    yield from table("left out", left_out)
    yield ""
    yield f"| reason | {' | '.join(counted)} |"
    yield "|---" * (len(counted) + 1) + "|"
    for why in sorted(reasons, key=lambda why: -reasons[why].total()):
        counts = (str(reasons[why][group] or "") for group in counted)
        yield f"| {why} | {' | '.join(counts)} |"


def read(path: str) -> dict[str, str]:
    """The results in a file of the runner's."""
    with open(path) as file:
        return {name: each["actual"] for name, each in json.load(file)["tests"].items()}


def main() -> None:
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    disabled = json.loads(CONFIG.read_text())["DisabledTests"]
    results = read(sys.argv[2]) if len(sys.argv) == 3 else {}
    print("\n".join(report(read(sys.argv[1]), results, disabled)))


if __name__ == "__main__":
    main()
