"""Write the figures of the documentation from the committed results.

    python -m tests.benchmarks.page [--check]

`docs/performance_tables.md` is all tables; `docs/performance.md` and `docs/hooks.md` have
figures between markers, and `README.md` has a sentence. A test compares all with the results.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from .measurement import Figure, Results
from .pairs import ROOT
from .primitives import FULL_HANDSHAKE, HYBRID
from .report import median, number
from .rows import (
    DEFAULT,
    GOALS,
    LIMITS,
    OURS,
    RAW,
    SSL_STREAM,
    SUMMARY,
    Goal,
    Row,
    find,
    row_named,
)

RESULTS = Path(__file__).parent / "results"
PAGE = ROOT / "docs" / "performance.md"
TABLES = ROOT / "docs" / "performance_tables.md"
HOOKS = ROOT / "docs" / "hooks.md"
README = ROOT / "README.md"
BULK_CPU = row_named("bulk, 64 KiB writes, CPU")
BEGIN, END = "<!-- measured -->\n", "<!-- end -->\n"


def load() -> list[Results]:
    return [Results.from_json(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]


def python(results: Results) -> str:
    return "Python " + ".".join(results.environment["python"].split(".")[:2])


def best_rival(row: Row, results: Results) -> tuple[str, float] | None:
    contenders = {figure.contender: None for figure in results.figures if figure.part == row.part}
    values = [
        (name, value)
        for name in contenders
        if name not in (OURS, *LIMITS) and (value := row.value(results, name)) is not None
    ]
    if not values:
        return None
    choose = max if row.higher_is_better else min
    return choose(values, key=lambda pair: pair[1])


def summary(results: Results) -> Iterator[str]:
    """Yield a table of ratios: ours to trio.SSLStream, to the limit and to the best rival."""
    yield f"| {python(results)} | trio_tlsx | of {SSL_STREAM} | of {RAW} | best rival | of that |"
    yield "|---|---|---|---|---|---|"
    for row in SUMMARY:
        for variant in (row.variant, DEFAULT) if row.variant else (row.variant,):
            own = row.value(results, OURS, variant)
            if own is None:
                continue
            rival = best_rival(row, results)
            cells = [
                row.title + "; ours: default groups" * (variant == DEFAULT),
                number(own),
                ratio(row, results, SSL_STREAM, variant),
                ratio(row, results, RAW, variant),
                f"{rival[0]}, {number(rival[1])}" if rival else "",
                bold_if_behind(row, results, rival[0], variant) if rival else "",
            ]
            yield f"| {' | '.join(cells)} |"


def ratio(row: Row, results: Results, other: str, variant: str) -> str:
    value = row.ratio(results, other, variant)
    return "" if value is None else f"{value:.2f}"


def bold_if_behind(row: Row, results: Results, rival: str, variant: str) -> str:
    value = row.ratio(results, rival, variant)
    if value is None:
        return ""
    ahead = value >= 1 if row.higher_is_better else value <= 1
    return f"{value:.2f}" if ahead else f"**{value:.2f}**"


def goals(results: Sequence[Results]) -> Iterator[str]:
    """Yield the table of goals, with the result on each Python."""
    yield "| goal | |" + "".join(f" {python(result)} |" for result in results)
    yield "|---|---|" + "---|" * len(results)
    for goal in GOALS:
        sign = "at least" if goal.at_least else "at most"
        cells = (reached(goal, result) for result in results)
        yield f"| {goal.title} | {sign} {goal.target} |" + "".join(f" {cell} |" for cell in cells)


def reached(goal: Goal, results: Results) -> str:
    value = goal.value(results)
    if value is None:
        return ""
    good = value >= goal.target if goal.at_least else value <= goal.target
    text = f"{value:.2f}" if goal.target < 10 else number(value)
    return text if good else f"**{text}**"


def floors(results: Sequence[Results]) -> Iterator[str]:
    """Yield the CPU time of the primitives in a handshake and in 64 KiB."""
    yield "| CPU us | " + " | ".join(map(python, results)) + " |"
    yield "|---|" + "---|" * len(results)
    seal, open_ = (f"AES-128-GCM: {verb} 64 KiB in records" for verb in ("seal", "open"))
    full = Row("", "in memory", "full", ("us",), "X25519")
    rows: dict[str, Callable[[Results], float | None]] = {
        "full handshake in memory, both sides": lambda r: full.value(r, OURS),
        "its primitives": lambda r: primitives_of(r, FULL_HANDSHAKE),
        "the same with our default groups": lambda r: full.value(r, OURS, DEFAULT),
        "its primitives ": lambda r: primitives_of(r, FULL_HANDSHAKE | HYBRID),
        "64 KiB in writes of 64 KiB, client and server": lambda r: BULK_CPU.value(r, OURS),
        "AES-128-GCM of that": lambda r: primitives_of(r, {seal: 1, open_: 1}),
        "raw trio TCP of that": lambda r: BULK_CPU.value(r, RAW),
    }
    for name, value in rows.items():
        cells = (value(result) for result in results)
        yield f"| {name} |" + "".join(f" {'' if c is None else number(c)} |" for c in cells)


def primitives_of(results: Results, counts: Mapping[str, int]) -> float | None:
    figures = {name: find(results, "primitives", name, "cryptography") for name in counts}
    if None in figures.values():
        return None
    return sum(median(f.values["us"]) * counts[name] for name, f in figures.items() if f)


def environments(results: Sequence[Results]) -> Iterator[str]:
    names = {
        "python": "Python",
        "profile-guided": "built with PGO",
        "compiler": "compiler",
        "ssl": "OpenSSL of `ssl`",
        "cryptography's OpenSSL": "OpenSSL of cryptography",
        "machine": "machine",
        "system": "system",
        "kernel": "kernel",
        "time": "time",
        "commit": "commit",
        "command": "command",
    }
    yield "| |" + "".join(f" {python(result)} |" for result in results)
    yield "|---|" + "---|" * len(results)
    for key, name in names.items():
        yield f"| {name} |" + "".join(f" {shown(result.environment[key])} |" for result in results)
    packages = dict.fromkeys(name for r in results for name in r.environment["packages"])
    for package in packages:
        yield f"| {package} |" + "".join(
            f" {result.environment['packages'].get(package, 'missing')} |" for result in results
        )
    yield "| rounds |" + "".join(f" {result.rounds} |" for result in results)
    for part in dict.fromkeys(part for result in results for part in result.others):
        yield f"| machine time that other programs took, {part} |" + "".join(
            f" {median(result.others[part]):.0%} |" if part in result.others else " |"
            for result in results
        )


def shown(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def tables(results: Results) -> Iterator[str]:
    """Yield all results: a table for each case."""
    yield f"## {python(results)}"
    yield ""
    groups: dict[tuple[str, str], list[Figure]] = {}
    for figure in results.figures:
        groups.setdefault((figure.part, figure.case), []).append(figure)
    for (part, case), figures in groups.items():
        yield from case_table(part, case, figures)
    for name, reason in results.missing.items():
        yield f"- Not measured: {name}: {reason}"
    for failure in results.failures:
        yield f"- Failed: {failure['contender']} {failure['where']}: {failure['reason']}"


def case_table(part: str, case: str, figures: Sequence[Figure]) -> Iterator[str]:
    main = figures[0].metric
    others = [name for name in figures[0].values if name != main]
    yield f"**{part}: {case}**"
    yield ""
    yield f"| | {main} | best and worst round |" + "".join(f" {name} |" for name in others)
    yield "|---|---|---|" + "---|" * len(others)
    higher = main.endswith("/s")
    for figure in sorted(figures, key=lambda f: median(f.values[main]), reverse=higher):
        values = sorted(figure.values[main], reverse=higher)
        name = f"{figure.contender}, {figure.variant}" if figure.variant else figure.contender
        name = f"**{name}**" if figure.contender == OURS else name
        cells = [name, number(median(values)), f"{number(values[0])}, {number(values[-1])}"]
        cells += [number(median(figure.values[o])) if o in figure.values else "" for o in others]
        yield f"| {' | '.join(cells)} |"
    yield ""


def hooks(results: Sequence[Results]) -> Iterator[str]:
    """Yield the table with the cost of each hook."""
    yield "| hook | " + " | ".join(map(python, results)) + " |"
    yield "|---|" + "---|" * len(results)
    names = dict.fromkeys(
        f.case for result in results for f in result.figures if f.part == "hooks"
    )
    for name in names:
        if name.startswith("no hook"):
            continue
        found = (find(result, "hooks", name, OURS) for result in results)
        cells = (f"{median(f.values[f.metric]):.2f}" if f else "" for f in found)
        yield f"| {name} | " + " | ".join(cells) + " |"


def join(lines: Iterator[str]) -> str:
    return "\n".join(lines) + "\n"


def page_parts(results: Sequence[Results]) -> list[str]:
    """Return the content of the page between its markers, in order."""
    summaries = "\n".join(join(summary(result)) for result in results)
    return [join(goals(results)), join(floors(results)), summaries, join(environments(results))]


CLAIM = re.compile(r"^  Of the CPU time of .*? full handshake\.\n", re.DOTALL | re.MULTILINE)


def claim(results: Sequence[Results]) -> str:
    """Return the README's sentence: the range of the ratios on all Pythons."""

    def of_ssl_stream(title: str) -> str:
        row = row_named(title)
        ratios = [row.ratio(result, SSL_STREAM) for result in results]
        found = [value for value in ratios if value is not None]
        return f"{min(found):.2f} to {max(found):.2f}"

    pythons = ", ".join(python(result).removeprefix("Python ") for result in results)
    return (
        f"  Of the CPU time of `trio.SSLStream` on Python {pythons}, trio-tlsx needs\n"
        f"  {of_ssl_stream('round trip, CPU')} for a round trip of 100 bytes,\n"
        f"  {of_ssl_stream('bulk, 64 KiB writes, CPU')} for data in writes of 64 KiB, and\n"
        f"  {of_ssl_stream('full handshake, CPU')} for a connection with a full handshake.\n"
    )


def replaced(text: str, parts: Sequence[str]) -> str:
    """Replace the content between the markers of a text."""
    pieces = text.split(BEGIN)
    result = pieces[0]
    for piece, part in zip(pieces[1:], parts, strict=True):
        _, end, rest = piece.partition(END)
        result += BEGIN + part + end + rest
    return result


def documents() -> dict[Path, str]:
    """Return the intended content of each file with figures."""
    results = load()
    head = "# All measurements\n\n[Performance](performance.md) explains them.\n\n"
    return {
        PAGE: replaced(PAGE.read_text(), page_parts(results)),
        README: CLAIM.sub(claim(results), README.read_text()),
        HOOKS: replaced(HOOKS.read_text(), [join(hooks(results))]),
        TABLES: head + "\n".join(join(tables(result)) for result in results),
    }


def main() -> None:
    different = [path for path, text in documents().items() if read(path) != text]
    if sys.argv[1:] == ["--check"]:
        names = ", ".join(path.name for path in different)
        sys.exit(f"{names}: not as in the results" if different else 0)
    for path in different:
        path.write_text(documents()[path])


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


if __name__ == "__main__":
    main()
