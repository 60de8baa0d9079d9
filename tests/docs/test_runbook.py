"""The runbook names each reason and each problem that the log may have."""

from __future__ import annotations

import re

import pytest
from processes import ROOT

from trio_tlsx.contrib.redis import Refusal

RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()

#: The reasons of the cache. The clock is a problem of the ticket keys.
REASONS = [reason for reason in Refusal if reason is not Refusal.CLOCK]


@pytest.mark.parametrize("reason", REASONS, ids=lambda reason: reason.value)
def test_each_reason_to_reject_early_data_has_a_row(reason: Refusal) -> None:
    section = RUNBOOK.partition("## The anti-replay cache")[2].partition("\n## ")[0]
    assert re.search(rf"^\| .*`{reason.value}`", section, re.MULTILINE)


def test_each_problem_of_the_shared_keys_has_a_row() -> None:
    source = (ROOT / "trio_tlsx" / "contrib" / "redis" / "rotation.py").read_text()
    problems = re.findall(r'_note\(f?"([^"{]+)', source)
    assert len(problems) == 4
    section = RUNBOOK.partition("## The rotation")[2].partition("\n## ")[0]
    assert [problem for problem in problems if problem not in section] == []
