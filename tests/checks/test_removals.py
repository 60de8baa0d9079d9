"""The list of checks and its page in the documentation say the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from removal import Removal
from removals import REMOVALS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "checks.md"


def test_the_page_has_each_check() -> None:
    rows = [line.split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    listed = [(row[0].removeprefix("| "), row[1], row[2].strip("`")) for row in rows[1:]]
    assert listed == [(r.check, r.section, r.module) for r in REMOVALS]


def test_each_check_has_its_own_name() -> None:
    names = [removal.check for removal in REMOVALS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("removal", REMOVALS, ids=lambda removal: removal.check)
def test_each_check_is_where_the_list_says(removal: Removal) -> None:
    assert (ROOT / "trio_tlsx" / removal.module).read_text().count(removal.source) == 1
