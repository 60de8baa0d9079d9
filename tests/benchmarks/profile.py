"""Profile trio_tlsx: show which functions, imports and objects a figure consists of.

    python -m tests.benchmarks.profile [PART ...] [--rows N] [--page FILE]

Without a PART all of them run. Both ends are in this process. A profile of time counts the time
in a function itself, without the functions that it calls, as a share of the whole. The profiler
slows Python functions down more than it slows cryptography and system calls, so their shares are
larger without it. Each time is the median of several rounds, so that other programs on the machine
hardly change the shares.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import linecache
import platform
import pstats
import re
import statistics
import tempfile
import tracemalloc
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import trio

from .certificates import create_pki
from .exchanges import connected, round_trip, transfer
from .in_memory import Ours, shake_hands
from .on_trio import OnTrio, RawTCP
from .on_trio import Ours as OursOnTrio
from .settings import DEFAULT_GROUPS, PKI, Setting
from .startup import import_report

WARM_UP = 10
ROWS = 12
FULL, RESUMED = Setting(), Setting(tickets=2)
HYBRID = Setting(groups=DEFAULT_GROUPS)

#: The groups of built-in functions, by a word in the function's name; the first match counts.
BUILT_IN = {
    "cryptography": "cryptography",
    "x25519": "cryptography",
    "mlkem": "cryptography",
    "_hashlib": "hashlib",
    "posix": "system calls",
    "epoll": "system calls",
    "": "other built-in functions",
}


@dataclass(frozen=True)
class Sizes:
    """How many rounds there are, and how often a round does each operation.

    A round is so short that in most of them the kernel runs no other program.
    """

    rounds: int = 200
    handshakes: int = 2
    round_trips: int = 10
    bulk_bytes: int = 2**20
    connections: int = 400
    imports: int = 9


SMOKE = Sizes(rounds=2, round_trips=3, connections=2, imports=1)


@dataclass
class Row:
    """A line of a profile: an amount, such as a time, in a number of calls or objects."""

    amount: float = 0
    count: float = 0

    def add(self, amount: float, count: float) -> None:
        self.amount += amount
        self.count += count


class Profile:
    """The parts of one operation: by group, and in detail."""

    def __init__(self, title: str, unit: str) -> None:
        self.title = title
        self.unit = unit
        self.groups: defaultdict[str, Row] = defaultdict(Row)
        self.details: defaultdict[str, Row] = defaultdict(Row)

    def add(self, group: str, detail: str, amount: float, count: float) -> None:
        self.groups[group].add(amount, count)
        self.details[detail].add(amount, count)

    def markdown(self, rows: int) -> Generator[str]:
        """Yield the lines of a section of the documentation."""
        total = sum(row.amount for row in self.groups.values()) or 1
        yield f"\n## {self.title[0].upper()}{self.title[1:]}"
        for heading, table in ("group", self.groups), ("detail", self.details):
            yield f"\n| {heading} | share | {self.unit} |\n|---|---|---|"
            largest = sorted(table.items(), key=lambda item: -item[1].amount)
            for name, row in largest[:rows]:
                name = name.replace("|", r"\|")
                yield f"| `{name}` | {row.amount / total:.1%} | {row.count:,.1f} |"

    def lines(self, rows: int) -> Generator[str]:
        """Yield the lines of a report."""
        total = sum(row.amount for row in self.groups.values()) or 1
        yield f"\n{self.title}"
        for heading, table in ("groups", self.groups), ("details", self.details):
            yield f"\n{'share':>6} {self.unit:>10}  {heading}"
            largest = sorted(table.items(), key=lambda item: -item[1].amount)
            for name, row in largest[:rows]:
                yield f"{row.amount / total:>6.1%} {row.count:>10,.1f}  {name}"


class Rounds:
    """The functions of an operation, with their calls and their time in each round."""

    def __init__(self, operations: int) -> None:
        self._operations = operations
        self._samples: defaultdict[tuple[str, int, str], list[tuple[float, float]]] = defaultdict(
            list
        )

    @contextmanager
    def profiled(self) -> Generator[None]:
        """Profile a round."""
        profiler = cProfile.Profile()
        gc.disable()
        profiler.enable()
        yield
        profiler.disable()
        gc.enable()
        found: Any = pstats.Stats(profiler)
        for function, (_, calls, seconds, *_) in found.stats.items():
            sample = seconds / self._operations, calls / self._operations
            self._samples[function].append(sample)

    def profile(self, title: str) -> Profile:
        """Return the median of all rounds, which the time of other programs does not change."""
        profile = Profile(title, "calls")
        for (path, _, name), samples in self._samples.items():
            seconds, calls = map(statistics.median, zip(*samples, strict=True))
            if path == "~":
                profile.add(built_in_group(name), built_in_name(name), seconds, calls)
            else:
                place = short(path)
                profile.add(group_of(place), f"{place}: {name}", seconds, calls)
        return profile


def short(path: str) -> str:
    """Return a path from its package on, such as ``trio_tlsx/crypto/key_schedule.py``."""
    for package in ("trio_tlsx", "cryptography", "trio", "outcome", "benchmarks"):
        if f"/{package}/" in path:
            return package + "/" + path.rpartition(f"/{package}/")[2]
    return Path(path).name


def group_of(place: str) -> str:
    """Return the folder of a module of ours, or else the package."""
    package, _, rest = place.partition("/")
    if package == "trio_tlsx":
        return f"trio_tlsx/{rest.partition('/')[0]}" if "/" in rest else package
    return package if rest else "Python's library"


def built_in_name(name: str) -> str:
    """Return the name of a method of C as ``Class.method``, and of a function as it is."""
    if match := re.match(r"<method '(\w+)' of '(?:.*\.)?(\w+)' objects>", name):
        return f"{match[2]}.{match[1]}"
    return name.removeprefix("<built-in method ").rstrip(">")


def built_in_group(name: str) -> str:
    return next(group for word, group in BUILT_IN.items() if word in name)


def handshakes(pki: PKI, setting: Setting, title: str, sizes: Sizes) -> Profile:
    """Profile handshakes in memory: both sides, and one octet from the server."""
    library = Ours(pki, setting)
    for _ in range(WARM_UP):
        shake_hands(library)
    rounds = Rounds(sizes.handshakes)
    for _ in range(sizes.rounds):
        with rounds.profiled():
            for _ in range(sizes.handshakes):
                shake_hands(library)
    return rounds.profile(title)


async def data(
    contender: OnTrio,
    operation: Callable[[Any, Any], Awaitable[None]],
    title: str,
    rounds: int,
    count: int,
) -> Profile:
    """Profile an operation on the two ends of a connection; ``count`` of them are a round."""
    client, server = await connected(contender)
    for _ in range(WARM_UP):
        await operation(client, server)
    found = Rounds(count)
    for _ in range(rounds):
        with found.profiled():
            for _ in range(count):
                await operation(client, server)
    await client.aclose()
    await server.aclose()
    return found.profile(title)


def bulk(pki: PKI, length: int, title: str, sizes: Sizes) -> Profile:
    write = partial(transfer, total=length, write_bytes=length)
    count = sizes.bulk_bytes // length
    return trio.run(data, OursOnTrio(pki, FULL), write, title, sizes.rounds, count)


def round_trips(contender: OnTrio, title: str, sizes: Sizes) -> Profile:
    return trio.run(data, contender, round_trip, title, sizes.rounds, sizes.round_trips)


async def idle_connections(contender: OnTrio, count: int) -> Counter[tuple[str, int]]:
    """Return the octets and the objects of idle connections by the line that allocates them."""
    others = [await connected(contender) for _ in range(count)]  # these have the AEADs for a while
    tracemalloc.start()
    mine = [await connected(contender) for _ in range(count)]
    gc.collect()
    snapshot = tracemalloc.take_snapshot()
    tracemalloc.stop()
    for pair in (*others, *mine):
        for stream in pair:
            await trio.aclose_forcefully(stream)
    found: Counter[tuple[str, int]] = Counter()
    for statistic in snapshot.statistics("lineno"):
        frame = statistic.traceback[0]
        code = linecache.getline(frame.filename, frame.lineno).partition("#")[0].strip()
        line = f"{short(frame.filename)}: {code}"
        found[line, 0] += statistic.size
        found[line, 1] += statistic.count
    return found


def memory(pki: PKI, sizes: Sizes) -> Profile:
    """Show the objects of an end of an idle connection beyond those of raw TCP."""
    count = sizes.connections
    found = trio.run(idle_connections, OursOnTrio(pki, FULL), count)
    found.subtract(trio.run(idle_connections, RawTCP(pki, FULL), count))
    profile = Profile(f"memory: {found_octets(found) / count / 2:,.0f} octets per end", "objects")
    for line in {line for line, _ in found}:
        octets, objects = found[line, 0] / count / 2, found[line, 1] / count / 2
        profile.add(line.partition(":")[0], line, octets, objects)
    return profile


def found_octets(found: Counter[tuple[str, int]]) -> int:
    return sum(octets for (_, kind), octets in found.items() if kind == 0)


def imports(sizes: Sizes) -> Profile:
    """Show the modules that a program imports beyond trio, by `-X importtime`."""
    best: dict[str, int] = {}
    for _ in range(sizes.imports):
        for module, us in import_report().items():
            best[module] = min(us, best.get(module, us))
    total = sum(best.values()) / 1e3
    profile = Profile(f"imports after `import trio`: {total:.0f} ms", "modules")
    for module, us in best.items():
        package, *rest = module.split(".")
        group = package if package in ("cryptography", "trio_tlsx") else "Python's library"
        if package == "trio_tlsx" and rest:
            group = f"trio_tlsx/{rest[0]}"
        profile.add(group, module, us, 1)
    return profile


PARTS: dict[str, Callable[[PKI, Sizes], Profile]] = {
    "full": lambda pki, sizes: handshakes(pki, FULL, "full handshake, both sides", sizes),
    "resumed": lambda pki, sizes: handshakes(
        pki, RESUMED, "resumed handshake and its tickets, both sides", sizes
    ),
    "default-groups": lambda pki, sizes: handshakes(
        pki, HYBRID, "full handshake with X25519MLKEM768, both sides", sizes
    ),
    "round-trip": lambda pki, sizes: round_trips(
        OursOnTrio(pki, FULL), "round trip of 100 octets", sizes
    ),
    "raw-round-trip": lambda pki, sizes: round_trips(
        RawTCP(pki, FULL), "round trip of 100 octets over raw TCP", sizes
    ),
    "64-KiB": lambda pki, sizes: bulk(pki, 2**16, "a write of 64 KiB, both ends", sizes),
    "1-MiB": lambda pki, sizes: bulk(pki, 2**20, "a write of 1 MiB, both ends", sizes),
    "memory": memory,
    "imports": lambda _, sizes: imports(sizes),
}


def introduction() -> str:
    versions = {
        "Python": platform.python_version(),
        **{name: version(name) for name in ("cryptography", "trio")},
    }
    named = ", ".join(f"{name} {number}" for name, number in versions.items())
    return f"""# Profiles

[Performance](performance.md) explains these profiles. This command wrote the page with
{named}:

```sh
python -m tests.benchmarks.profile --page docs/performance_profiles.md
```

A share of time is that of the function itself, without the functions that it calls; `calls` counts
its calls for one operation. Calls of built-in functions are in groups of their own. The profiler
slows Python functions down more than it slows cryptography and system calls, so their real shares
are larger."""


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.profile", description="Profile trio_tlsx."
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--rows", type=int, default=ROWS, help=f"of each table; {ROWS} by default")
    parser.add_argument("--smoke", action="store_true", help="tiny amounts")
    parser.add_argument("--page", type=Path, help="write a page of the documentation instead")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(unknown)}; parts are {', '.join(PARTS)}")
    with tempfile.TemporaryDirectory() as directory:
        pki, sizes = create_pki(Path(directory)), SMOKE if arguments.smoke else Sizes()
        profiles = (PARTS[name](pki, sizes) for name in arguments.parts or PARTS)
        if arguments.page is None:
            for profile in profiles:
                print(*profile.lines(arguments.rows), sep="\n")
            return
        sections = [line for profile in profiles for line in profile.markdown(arguments.rows)]
        arguments.page.write_text("\n".join([introduction(), *sections, ""]))


if __name__ == "__main__":
    main()
