"""Format results as tables: medians, spread, ratios."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from .measurement import Figure, Results

REFERENCES = ("trio.SSLStream", "raw trio TCP")
#: In memory the stdlib's ssl takes the place of trio.SSLStream, which is built on it.
IN_MEMORY_REFERENCE = "stdlib ssl"


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def ratio(own: Figure, other: Figure) -> float:
    """Return the median of the ratios of each round, in the figures' main metric."""
    pairs = zip(own.values[own.metric], other.values[other.metric], strict=False)
    return statistics.median(mine / theirs for mine, theirs in pairs)


def cases(results: Results) -> Iterator[tuple[tuple[str, str], list[Figure]]]:
    """Yield each part and case with its figures, in the order in which they were measured."""
    groups: dict[tuple[str, str], list[Figure]] = {}
    for figure in results.figures:
        groups.setdefault((figure.part, figure.case), []).append(figure)
    yield from groups.items()


def reference(figures: Sequence[Figure], name: str) -> Figure | None:
    """Return the figure to compare others with: that with X25519, if groups differ."""
    named = [figure for figure in figures if figure.contender == name]
    return next((f for f in named if f.variant != "default groups"), None)


def number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(results: Results) -> Iterator[str]:
    """Yield the lines of the report."""
    for (part, case), figures in cases(results):
        yield from case_table(part, case, figures)
    for part, shares in results.others.items():
        yield f"{part}: other programs took {statistics.median(shares):.0%} of the machine's time"
    yield ""
    if results.missing:
        yield "Not measured:"
        yield from (f"  {name}: {reason}" for name, reason in results.missing.items())
    if results.failures:
        yield "Failed:"
        yield from (f"  {f['contender']} {f['where']}: {f['reason']}" for f in results.failures)


def case_table(part: str, case: str, figures: Sequence[Figure]) -> Iterator[str]:
    metric = figures[0].metric
    others = [name for name in figures[0].values if name != metric]
    compared = [
        found for name in (*REFERENCES, IN_MEMORY_REFERENCE) if (found := reference(figures, name))
    ]
    yield f"{part}: {case}, {metric}"
    titles = [metric, "quartiles", *(f"of {found.contender}" for found in compared), *others]
    rows = [["", *titles], *(case_row(figure, compared, others) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(titles) + 1)]
    for row in rows:
        first, *cells = row
        yield (
            "  "
            + first.ljust(widths[0])
            + "".join(
                "  " + cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)
            )
        )
    yield ""


def case_row(figure: Figure, compared: Sequence[Figure], others: Sequence[str]) -> list[str]:
    values = figure.values[figure.metric]
    low, high = quartiles(values)
    name = f"{figure.contender}, {figure.variant}" if figure.variant else figure.contender
    return [
        name,
        number(median(values)),
        f"{number(low)} to {number(high)}",
        *(f"{ratio(figure, other):.2f}" for other in compared),
        *(number(median(figure.values[o])) if o in figure.values else "" for o in others),
    ]
