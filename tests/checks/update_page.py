"""Write the table of docs/checks.md from the list of removals, whenever that changes."""

from __future__ import annotations

from pathlib import Path

from removals import REMOVALS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "checks.md"


def main() -> None:
    lines = PAGE.read_text().splitlines()
    table = [number for number, line in enumerate(lines) if line.startswith("|")]
    head = lines[: table[0] + 2]  # with the names of the columns and the rule below them
    rows = [f"| {r.check} | {r.section} | `{r.module}` | `{r.tests}` |" for r in REMOVALS]
    PAGE.write_text("\n".join([*head, *rows, *lines[table[-1] + 1 :], ""]))


if __name__ == "__main__":
    main()
