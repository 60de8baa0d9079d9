"""The counts of the runner's tests."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from counts import CONFIG, ECH, LEFT_OUT, PSKS, RAW_KEYS, group_of, matches, report


@pytest.mark.parametrize(
    ("name", "group", "is_counted"),
    [
        ("ALPNServer-TLS-TLS13", "TLS 1.3 alone", True),
        ("TLS12-NoTicket-NoMint", "TLS 1.2 alone", True),
        ("Resume-Server-TLS12-TLS13-TLS", "neither or both in the name", True),
        ("StrayHelloRequest", "neither or both in the name", True),
        ("PSK-Client-SHA256-TLS", PSKS, True),
        ("TLS-ECH-Client-Reject-TLS12", ECH, True),
        ("ServerCertificateType-Client-RPKVerifyFail-TLS12", RAW_KEYS, True),
        ("ServerCertificateType-Client-RPKVerifyFail-TLS11", "TLS 1.0 and 1.1", False),
        ("QUIC-ECH-Client-Reject", "QUIC", False),
        ("PSK-Client-SHA256-DTLS", "DTLS", False),
        ("ALPS-Basic-Client-TLS-TLS13", "ALPS", False),
        ("Compliance-fips202205-TLS-Client-TLS12", "policy presets", False),
    ],
)
def test_groups(name: str, group: str, is_counted: bool) -> None:
    assert group_of(name) == (group, is_counted)


def test_patterns_negate_classes_as_in_go() -> None:
    assert matches("Renegotiate-Client-Freely", ["Renegotiate-Client-[^N]*"])
    assert not matches("Renegotiate-Client-NoExt", ["Renegotiate-Client-[^N]*"])


def test_report_of_a_run() -> None:
    names = ["A-TLS13", "B-TLS13", "C-TLS12", "D", "DTLS-E"]
    results = {"A-TLS13": "PASS", "B-TLS13": "FAIL", "C-TLS12": "SKIP"}
    lines = list(report(names, results, {"D": "decision: not so", "*DTLS*": "DTLS: never"}))
    assert "| TLS 1.3 alone | 2 | 1 | 1 | 0 | 0 |" in lines
    assert "| TLS 1.2 alone | 1 | 0 | 0 | 1 | 0 |" in lines
    assert "| DTLS | 1 | 0 | 0 | 0 | 1 |" in lines
    assert lines[-1] == "| decision |  |  | 1 |  |  |  |"


def test_each_disabled_test_has_a_reason() -> None:
    """Nothing waits for a later version of the library."""
    reasons = json.loads(CONFIG.read_text())["DisabledTests"]
    assert all(re.search(r"\w", reason) for reason in reasons.values())
    assert not [reason for reason in reasons.values() if "later" in reason]


def test_what_is_left_out_is_disabled_or_passes() -> None:
    """The features that are left out of the count are named in README.md's table too."""
    text = (Path(__file__).parent / "README.md").read_text()
    assert all(feature in text for feature in LEFT_OUT)
