"""The description of one security check: its source, and the replacement that removes it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["WRONG_MESSAGES", "Removal", "without_branch", "without_statement"]

WRONG_MESSAGES = "tests/wrong_messages/test_wrong_messages.py"


@dataclass(frozen=True)
class Removal:
    """A check, and what is left of the source without it.

    Attributes:
        check: what is checked.
        section: of RFC 9846, or of the RFC that is named.
        module: the file in ``trio_tlsx`` that does it.
        source: the piece of it that stands there once.
        without: what stands in its place when the check is removed.
        tests: where a test has to fail then.
        matching: which of the tests there are run (pytest's ``-k``).
    """

    check: str
    section: str
    module: str
    source: str
    matching: str = ""
    without: str = "if False:"
    tests: str = WRONG_MESSAGES


def without_branch(
    check: str, section: str, module: str, source: str, matching: str, tests: str = WRONG_MESSAGES
) -> Removal:
    return Removal(check, section, module, source, matching, "elif False:", tests)


def without_statement(
    check: str, section: str, module: str, source: str, matching: str, tests: str = WRONG_MESSAGES
) -> Removal:
    return Removal(check, section, module, source, matching, "pass", tests)
