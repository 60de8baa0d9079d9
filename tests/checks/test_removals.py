"""The list of checks and its page in the documentation say the same."""

from __future__ import annotations

from pathlib import Path

from removals import REMOVALS

PAGE = Path(__file__).parents[2] / "docs" / "checks.md"


def test_the_page_has_each_check() -> None:
    rows = [line.split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    listed = [(row[0].removeprefix("| "), row[1], row[2].strip("`")) for row in rows[1:]]
    assert listed == [(r.check, r.section, r.module) for r in REMOVALS]


def test_each_check_has_its_own_name() -> None:
    names = [removal.check for removal in REMOVALS]
    assert len(set(names)) == len(names)
