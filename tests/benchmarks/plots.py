"""Draw results: a column for each Python, a row for each case, for light and dark pages.

python -m tests.benchmarks.plots FOLDER RESULTS.json [RESULTS.json ...]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from .measurement import Figure, Results
from .report import median, number, quartiles

OURS = "trio_tlsx"
LIMITS = ("raw trio TCP", "openssl s_time")
DEFAULT = "default groups"
#: Plots leave these out: their figures are another order of magnitude.
TOO_SLOW = ("tlslite-ng",)

ROOM_FOR_NUMBERS = 1.2  #: a factor of the longest bar
NAME_HEIGHT, ROOM_FOR_NAMES = 0.06, 60  #: of the plot's height; a factor of its last count
INCHES = 3.6, 0.21  #: the width of a column, the height of a bar
DPI = 160


@dataclass(frozen=True)
class Theme:
    """The colors of a plot."""

    name: str
    background: str
    text: str
    faint: str
    ours: str
    rival: str
    limit: str


THEMES = (
    Theme("light", "#ffffff", "#1f2328", "#d8dee4", "#1d63d8", "#9aa4af", "#d9c48f"),
    Theme("dark", "#131416", "#e6e9ec", "#3a3f45", "#5b9dff", "#6b747e", "#8f7c46"),
)


@dataclass(frozen=True)
class Panel:
    """A case as bars.

    Attributes:
        parts: the metrics that make up a bar, on top of each other if there are several.
    """

    part: str
    case: str
    title: str
    parts: tuple[str, ...]


@dataclass(frozen=True)
class Plot:
    name: str
    panels: tuple[Panel, ...]


CPU = ("client CPU us", "server CPU us")
PLOTS = (
    Plot(
        "bulk",
        tuple(
            Panel("bulk", f"writes of {size}", f"{size} writes, MB/s", ("MB/s",))
            for size in ("16 KiB", "64 KiB", "1 MiB")
        ),
    ),
    Plot(
        "bulk-cpu",
        tuple(
            Panel("bulk", f"writes of {size}", f"{size} writes, CPU us per 64 KiB", CPU)
            for size in ("16 KiB", "64 KiB", "1 MiB")
        ),
    ),
    Plot(
        "round-trips",
        (
            Panel("ping-pong", "1 connection", "round trip of 100 octets, us", ("p50 us",)),
            Panel("ping-pong", "1 connection", "the same, CPU us", CPU),
            Panel("ping-pong", "64 connections", "64 connections at once, CPU us", CPU),
        ),
    ),
    Plot(
        "handshakes",
        (
            Panel("full handshake", "ECDSA certificate", "full handshake, us", ("p50 us",)),
            Panel(
                "full handshake",
                "ECDSA certificate",
                "the same, CPU us",
                CPU,
            ),
            Panel("resumed handshake", "server with 2 tickets", "resumed, CPU us", CPU),
            Panel("in memory", "full", "full, in memory, CPU us", CPU),
            Panel("in memory", "resumed, two tickets", "resumed, in memory, CPU us", CPU),
        ),
    ),
    Plot(
        "memory",
        (
            Panel(
                "memory",
                "1,000 connections, full handshake",
                "idle connection, octets per end",
                ("octets per end",),
            ),
        ),
    ),
)
CONNECTIONS_DRAWN = (OURS, "trio.SSLStream", "asyncio", "uvloop", "aiofastnet", "raw trio TCP")


def draw(results: Sequence[Results], folder: Path) -> None:
    """Write each plot as SVG and PNG, for each theme."""
    folder.mkdir(parents=True, exist_ok=True)
    pyplot: Any = import_module("matplotlib.pyplot")
    for theme in THEMES:
        with pyplot.rc_context(settings(theme)):
            for plot in PLOTS:
                if not all(rows(result, panel) for panel in plot.panels for result in results):
                    continue  # a part was not measured
                save(draw_bars(pyplot, plot, results, theme), folder, f"{plot.name}-{theme.name}")
            save(draw_requests(pyplot, results, theme), folder, f"requests-{theme.name}")
            pyplot.close("all")


def settings(theme: Theme) -> dict[str, Any]:
    return {
        "font.size": 8,
        "axes.titlesize": 9,
        "axes.titlelocation": "left",
        "axes.edgecolor": theme.faint,
        "axes.facecolor": theme.background,
        "figure.facecolor": theme.background,
        "savefig.facecolor": theme.background,
        "text.color": theme.text,
        "axes.labelcolor": theme.text,
        "axes.titlecolor": theme.text,
        "xtick.color": theme.text,
        "ytick.color": theme.text,
        "grid.color": theme.faint,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "svg.fonttype": "none",  # text stays text
        "svg.hashsalt": "trio-tlsx",  # the same results make the same file
    }


def save(figure: Any, folder: Path, name: str) -> None:
    figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
    figure.savefig(folder / f"{name}.png", dpi=DPI)


def python_name(results: Results) -> str:
    major, minor, _ = results.environment["python"].split(".", 2)
    return f"Python {major}.{minor}"


def rows(results: Results, panel: Panel) -> list[Figure]:
    """Return the figures of a panel: ours first, then the rivals, then the limits."""
    figures = [
        figure
        for figure in results.figures
        if (figure.part, figure.case) == (panel.part, panel.case)
        and figure.contender not in TOO_SLOW
        and set(panel.parts) <= set(figure.values)
        and (figure.variant != DEFAULT or figure.contender == OURS)
    ]

    def order(figure: Figure) -> tuple[int, float]:
        if figure.contender == OURS:
            return 0, figure.variant == DEFAULT
        value = total(figure, panel)
        best_first = -value if panel.parts == ("MB/s",) else value
        return 2 if figure.contender in LIMITS else 1, best_first

    return sorted(figures, key=order)


def total(figure: Figure, panel: Panel) -> float:
    rounds = zip(*(figure.values[metric] for metric in panel.parts), strict=True)
    return median([sum(values) for values in rounds])


def draw_bars(pyplot: Any, plot: Plot, results: Sequence[Results], theme: Theme) -> Any:
    heights = [max(len(rows(result, panel)) for result in results) for panel in plot.panels]
    width, height = INCHES
    figure, grid = pyplot.subplots(
        len(plot.panels),
        len(results),
        figsize=(width * len(results), sum(heights) * height + len(heights) * 0.62),
        height_ratios=[count + 0.5 for count in heights],
        squeeze=False,
        sharex="row",
        layout="constrained",
    )
    for panel, line in zip(plot.panels, grid, strict=True):
        longest = 0.0
        for result, axes in zip(results, line, strict=True):
            longest = max(longest, draw_panel(axes, rows(result, panel), panel, theme))
            axes.set_title(panel.title)
        line[0].set_xlim(0, longest * ROOM_FOR_NUMBERS)  # of all: they share their scale
    head_columns(grid[0], results)
    return figure


def head_columns(axes: Sequence[Any], results: Sequence[Results]) -> None:
    """Write the name of each Python above its column."""
    for ax, result in zip(axes, results, strict=True):
        ax.set_title(f"{python_name(result)}\n{ax.get_title('left')}")


def draw_panel(axes: Any, figures: Sequence[Figure], panel: Panel, theme: Theme) -> float:
    """Draw bars; return where the longest ends."""
    longest = 0.0
    for place, figure in enumerate(figures):
        color = theme.rival
        if figure.contender == OURS:
            color = theme.ours
        elif figure.contender in LIMITS:
            color = theme.limit
        start, parts = 0.0, [figure.values[metric] for metric in panel.parts]
        for values, alpha in zip(parts, (1.0, 0.62), strict=False):
            axes.barh(place, median(values), left=start, height=0.72, color=color, alpha=alpha)
            start += median(values)
        end = start
        if len(parts) == 1:
            low, high = quartiles(parts[0])
            axes.plot([low, high], [place, place], color=theme.text, linewidth=0.8)
            end = max(start, high)
        longest = max(longest, end)
        text = number(total(figure, panel))
        axes.annotate(text, (end, place), (4, 0), textcoords="offset points", va="center")
    axes.set_yticks(range(len(figures)), [label(figure) for figure in figures])
    for tick, figure in zip(axes.get_yticklabels(), figures, strict=True):
        if figure.contender == OURS:
            tick.set_fontweight("bold")
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.locator_params(axis="x", nbins=4)
    axes.grid(axis="x", linewidth=0.5)
    axes.set_axisbelow(True)
    return longest


def label(figure: Figure) -> str:
    return f"{figure.contender}, default groups" if figure.variant == DEFAULT else figure.contender


def draw_requests(pyplot: Any, results: Sequence[Results], theme: Theme) -> Any:
    """Draw the CPU time of a request over the number of connections."""
    figure, [line] = pyplot.subplots(
        1,
        len(results),
        figsize=(INCHES[0] * len(results), 3.2),
        squeeze=False,
        sharey=True,
        layout="constrained",
    )
    tops: list[float] = []
    for result, axes in zip(results, line, strict=True):
        tops.append(draw_lines(axes, result, theme))
        axes.set_title("CPU us of a request, both ends")
        axes.set_xlabel("connections")
        axes.grid(axis="y", linewidth=0.5)
        axes.set_axisbelow(True)
    line[0].set_ylim(0, max(tops) * 1.08)  # of all: they share their scale
    head_columns(line, results)
    return figure


def draw_lines(axes: Any, results: Results, theme: Theme) -> float:
    """Draw a line for each contender; return the highest value."""
    lines = {name: points_of(results, name) for name in CONNECTIONS_DRAWN}
    lines = {name: points for name, points in lines.items() if points}
    top = max(value for points in lines.values() for _, value in points)
    lowest_free = 0.0
    for name, points in sorted(lines.items(), key=lambda item: item[1][-1][1]):
        color = theme.ours if name == OURS else theme.limit if name in LIMITS else theme.rival
        axes.plot(*zip(*points, strict=True), color=color, marker="o", markersize=3, linewidth=1.5)
        last, value = points[-1]
        height = max(value, lowest_free)  # a name does not cover another one
        lowest_free = height + top * NAME_HEIGHT
        axes.annotate(
            name,
            (last, height),
            (6, 0),
            textcoords="offset points",
            va="center",
            fontweight="bold" if name == OURS else None,
        )
    axes.set_xscale("log")
    counts = [count for count, _ in lines[OURS]]
    axes.set_xticks(counts, [f"{count:,}" for count in counts])
    axes.minorticks_off()
    axes.set_xlim(counts[0] * 0.7, counts[-1] * ROOM_FOR_NAMES)
    return top


def points_of(results: Results, name: str) -> list[tuple[int, float]]:
    return [
        (int(f.case.split()[0].replace(",", "")), sum(median(f.values[role]) for role in CPU))
        for f in results.figures
        if f.part == "requests" and f.contender == name
    ]


def main() -> None:
    folder, *paths = map(Path, sys.argv[1:])
    draw([Results.from_json(path.read_text()) for path in paths], folder)


if __name__ == "__main__":
    main()
