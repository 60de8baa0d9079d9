"""Cases, rounds and results: each case runs once in each round, one contender after the other.

If the machine becomes slower during a run, it slows all contenders of a round equally. So the
ratio of two contenders is the median of their ratios in all rounds.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

from .contenders import PLACES, Contender, contender_named
from .pairs import ROOT, ContenderFailed, Pair, cpu_seconds, is_running, machine_seconds
from .settings import PKI, X25519, Setting
from .wire import Relay

#: A command for a client, and its units of work. None if the contender does not take part.
Work: TypeAlias = tuple[list[Any], int] | None

SECONDS_FOR_A_MODULE = 900

#: Samples of less than a second vary a lot: a round trip takes 50 microseconds in one and 100 in
#: the next, with every contender. Such cases have this many times the usual rounds.
SHORT_SAMPLES = 3


@dataclass(frozen=True)
class Sizes:
    """The amount of work in one sample of a case.

    Attributes:
        contenders: the names of the contenders to measure.
        variants: the names of those to measure in other settings too.
    """

    bulk_bytes: int = 2**26
    pings: int = 400
    pings_at_once: int = 1280
    at_once: int = 64
    handshakes: int = 16
    handshakes_in_memory: int = 40
    turns: int = 60
    connections: Sequence[int] = (1, 10, 100, 1000, 5000)
    requests: int = 2000
    idle: Sequence[int] = (1000, 10_000)
    s_time_seconds: int = 1
    seconds_in_processes: int = 5
    primitives: int = 200
    contenders: Sequence[str] = tuple(PLACES)
    variants: Sequence[str] = tuple(PLACES)


SMOKE = Sizes(
    bulk_bytes=2**20,
    pings=5,
    pings_at_once=8,
    at_once=4,
    handshakes=2,
    handshakes_in_memory=1,
    turns=2,
    connections=(1, 4),
    requests=8,
    idle=(8,),
    primitives=2,
    seconds_in_processes=1,
    contenders=("trio_tlsx", "trio.SSLStream", "asyncio", "blocking ssl", "raw trio TCP"),
    variants=("trio_tlsx",),
)


@dataclass(frozen=True)
class Case:
    """A row of a table.

    Attributes:
        metric: the figure that counts, such as "MB/s" or "us".
        unit: what CPU time is given for, such as "round trip".
        work: returns the client's command for a contender.
        held: how many connections are open before the clock starts.
        variant: distinguishes cases of the same name, such as the key exchange; a table has them
            side by side.
    """

    part: str
    name: str
    metric: str
    unit: str
    setting: Setting
    work: Callable[[type[Contender]], Work]
    variant: str = ""
    held: int = 0

    @property
    def higher_is_better(self) -> bool:
        return self.metric.endswith("/s")


@dataclass
class Figure:
    """The results of one contender in one case: the values of each metric in all rounds."""

    part: str
    case: str
    variant: str
    contender: str
    metric: str
    unit: str
    values: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    def add(self, figures: dict[str, float]) -> None:
        for metric, value in figures.items():
            self.values.setdefault(metric, []).append(value)


@dataclass
class Results:
    """The results of a run.

    Attributes:
        missing: contenders that this Python cannot run, with the reason.
        notes: remarks about contenders, for the reader.
        failures: cases that a contender failed in.
        on_the_wire: what was negotiated, by contender and setting.
        others: for each part the share of the machine's time that other programs took in each
            round, 0 to 1.
    """

    environment: dict[str, Any]
    rounds: int
    missing: dict[str, str] = field(default_factory=dict[str, str])
    notes: dict[str, str] = field(default_factory=dict[str, str])
    failures: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    on_the_wire: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    others: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    figures: list[Figure] = field(default_factory=list[Figure])

    def figure(self, case: Case, contender: str) -> Figure:
        return self.find_or_add(
            case.part, case.name, case.variant, contender, case.metric, case.unit
        )

    def find_or_add(
        self, part: str, name: str, variant: str, contender: str, metric: str, unit: str
    ) -> Figure:
        for figure in self.figures:
            if (figure.part, figure.case, figure.variant, figure.contender) == (
                part,
                name,
                variant,
                contender,
            ):
                return figure
        self.figures.append(Figure(part, name, variant, contender, metric, unit))
        return self.figures[-1]

    def to_json(self) -> str:
        """Return the results, a figure in a line, with four digits: more are noise."""
        content = asdict(self)
        for figure in content["figures"]:
            figure["values"] = {
                metric: [float(f"{value:.4g}") for value in values]
                for metric, values in figure["values"].items()
            }
        lists = {key: content.pop(key) for key in ("on_the_wire", "figures")}
        text = json.dumps(content, indent=1).removesuffix("\n}")
        for key, items in lists.items():
            lines = ",\n  ".join(json.dumps(item) for item in items)
            text += f',\n "{key}": [\n  {lines}\n ]'
        return text + "\n}\n"

    @classmethod
    def from_json(cls, text: str) -> Results:
        content = json.loads(text)
        figures = [Figure(**figure) for figure in content.pop("figures")]
        return cls(**content, figures=figures)


class Bench:
    """A run: the contenders, their processes, and the results so far."""

    def __init__(self, pki: PKI, sizes: Sizes, results: Results) -> None:
        self.pki = pki
        self.sizes = sizes
        self.results = results
        self.contenders: dict[str, type[Contender]] = {}
        self._pairs: dict[tuple[str, Setting], Pair] = {}
        self._failed: set[tuple[str, Case]] = set()
        for name in sizes.contenders:
            contender = contender_named(name)
            if reason := contender.missing():
                results.missing[name] = reason
            else:
                self.contenders[name] = contender
                if contender.notes:
                    results.notes[name] = contender.notes

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        for pair in self._pairs.values():
            pair.end()

    def run(self, cases: Sequence[Case], rounds_times: int = 1) -> None:
        """Run all rounds of cases, in processes that serve all rounds and parts.

        Args:
            rounds_times: the factor for the number of rounds.
        """
        wanted = {
            (name, case.setting): None
            for case in cases
            for name, contender in self.contenders.items()
            if self.is_wanted(contender, case.setting) and case.work(contender) is not None
        }
        self._pairs |= self.start(key for key in wanted if key not in self._pairs)
        rounds = self.results.rounds * rounds_times
        for number in range(rounds):
            progress(f"{cases[0].part}: round {number + 1} of {rounds}")
            with self._watching_others(cases[0].part):
                for case in cases:
                    self._run_round(case)

    def is_wanted(self, contender: type[Contender], setting: Setting) -> bool:
        """Return whether to measure a contender in a setting."""
        if setting == Setting():
            return True
        return contender.name in self.sizes.variants and not contender.plain_only

    @contextmanager
    def _watching_others(self, part: str) -> Generator[None]:
        """Record the CPU time of other programs during the block."""
        pids = [os.getpid(), *(pid for pair in self._pairs.values() for pid in pair.pids)]
        start, busy = time.monotonic(), machine_seconds()
        before = {pid: cpu_seconds(pid) for pid in pids}
        yield
        own = sum(cpu_seconds(pid) - cpu for pid, cpu in before.items() if is_running(pid))
        machine = (time.monotonic() - start) * (os.cpu_count() or 1)
        share = max(0.0, machine_seconds() - busy - own) / machine
        self.results.others.setdefault(part, []).append(round(share, 2))

    def start(self, wanted: Iterable[tuple[str, Setting]]) -> dict[tuple[str, Setting], Pair]:
        """Start processes, and read what they negotiate."""
        pairs = {key: Pair(self.contenders[key[0]], self.pki, key[1]) for key in wanted}
        for step in (Pair.start_client, Pair.wait_for_client, self._witness):
            for (name, setting), pair in list(pairs.items()):
                try:
                    step(pair)
                except ContenderFailed as error:
                    self.fail(name, f"with {setting}", error)
                    pairs.pop((name, setting)).end()
        return pairs

    def _witness(self, pair: Pair) -> None:
        setting = pair.setting
        if not pair.contender.tls:
            return
        relay = Relay(pair.port)
        pair.run("witness", relay.port)
        seen = relay.result()
        if seen is None:
            raise ContenderFailed("the relay saw no ServerHello")
        row = {"contender": pair.contender.name, **asdict(setting), "seen": asdict(seen)}
        self.results.on_the_wire.append(row)
        if seen.suite != setting.suite:
            raise ContenderFailed(f"the server selected {seen.suite}, not {setting.suite}")
        if seen.resumed != (setting.tickets > 0):
            raise ContenderFailed(f"resumed is {seen.resumed} on the wire")
        if setting.groups == X25519 and seen.group != X25519:
            raise ContenderFailed(f"the server selected {seen.group}, not {X25519}")

    def _run_round(self, case: Case) -> None:
        names = [name for name in self.contenders if (name, case.setting) in self._pairs]
        for name in random.sample(names, len(names)):  # none is always the first
            work = case.work(self.contenders[name])
            if work is None or (name, case) in self._failed:
                continue
            command, units = work
            pair = self._pairs[name, case.setting]
            try:
                if case.held:
                    pair.client.command("hold", case.held)
                figures = pair.run(*command)
            except ContenderFailed as error:
                self.fail(name, f"{case.part}, {case.name} {case.variant}", error)
                self._failed.add((name, case))
                pair.end()
                del self._pairs[name, case.setting]
                self._pairs |= self.start([(name, case.setting)])
                continue
            for role in ("client", "server"):
                figures[f"{role} CPU us"] = figures.pop(f"{role} CPU s") / units * 1e6
            self.results.figure(case, name).add(figures)

    def run_module(self, module: str, setting: Setting) -> Any:
        """Run a module of this package in a process of the setting; return its JSON."""
        command = [sys.executable, "-m", f"{__package__}.{module}", str(self.pki.directory)]
        done = subprocess.run(
            [*command, setting.to_json()],
            stdout=subprocess.PIPE,
            env=self.pki.environment(setting),
            cwd=ROOT,
            timeout=SECONDS_FOR_A_MODULE,
            check=True,
        )
        return json.loads(done.stdout)

    def fail(self, contender: str, where: str, error: Exception) -> None:
        progress(f"{contender} failed {where}: {error}")
        self.results.failures.append(
            {"contender": contender, "where": where, "reason": str(error)}
        )


def progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
