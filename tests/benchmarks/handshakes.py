"""Measure handshakes: full and resumed, over TCP and in memory."""

from __future__ import annotations

import random

from .contenders import Contender
from .measurement import SHORT_SAMPLES, Bench, Case, Work, progress
from .openssl import s_time
from .pairs import Worker
from .settings import DEFAULT_GROUPS, KEY_TYPES, TLS12, X25519, Setting

VARIANTS = {X25519: "X25519", DEFAULT_GROUPS: "default groups"}


#: The settings in which all contenders are measured; in other settings only two are.
FOR_ALL = (Setting(), Setting(groups=DEFAULT_GROUPS), Setting("RSA"), Setting(tickets=2))
CLOSE_RIVALS = ("trio_tlsx", "trio.SSLStream")


def one_by_one(bench: Bench, part: str, name: str, setting: Setting) -> Case:
    def work(contender: type[Contender]) -> Work:
        if setting.tickets and not contender.resumes:
            return None
        if setting != Setting() and not contender.tls:
            return None  # all settings are the same without TLS
        if setting not in FOR_ALL and contender.name not in CLOSE_RIVALS:
            return None
        # A contender that is slow in bulk is less so in handshakes.
        count = max(1, bench.sizes.handshakes // (16 if contender.slowness > 1 else 1))
        return ["handshakes", count], count

    return Case(part, name, "us", "handshake", setting, work, VARIANTS[setting.groups])


def full(bench: Bench) -> None:
    """Connect, complete a full handshake, echo and close; one by one, and many at once."""
    part, count = "full handshake", bench.sizes.at_once

    def at_once(groups: str) -> Case:
        def work(contender: type[Contender]) -> Work:
            if contender.max_connections < count or (groups != X25519 and not contender.tls):
                return None
            return ["handshakes_at_once", count], count

        name = f"ECDSA certificate, {count} at once"
        return Case(part, name, "us", "handshake", Setting(groups=groups), work, VARIANTS[groups])

    bench.run(
        [
            *(
                one_by_one(bench, part, f"{key} certificate", Setting(key, groups=groups))
                for key in KEY_TYPES
                for groups in VARIANTS
            ),
            one_by_one(bench, part, "ECDSA certificate, TLS 1.2", TLS12),
            *map(at_once, VARIANTS),
        ],
        SHORT_SAMPLES,
    )
    s_time(bench, part, "ECDSA certificate", Setting())


def resumed(bench: Bench) -> None:
    """Connect, resume, echo and close; the server sends two tickets, or one."""
    part, names = "resumed handshake", {2: "server with 2 tickets", 1: "server with 1 ticket"}
    bench.run(
        [
            one_by_one(bench, part, name, Setting(groups=groups, tickets=tickets))
            for tickets, name in names.items()
            for groups in VARIANTS
        ],
        SHORT_SAMPLES,
    )
    s_time(bench, "resumed handshake", "server with 1 ticket", Setting(tickets=1))


#: The kinds of handshakes in memory, with the settings of each.
IN_MEMORY = (
    ("full", Setting()),
    ("full, TLS 1.2", TLS12),
    ("full", Setting(groups=DEFAULT_GROUPS)),
    ("resumed, two tickets", Setting(tickets=2)),
    ("resumed, two tickets", Setting(tickets=2, groups=DEFAULT_GROUPS)),
)


def in_memory(bench: Bench) -> None:
    """Complete handshakes without a transport, both sides in one process, on its CPU clock.

    There is a process for each setting; in each round one works after the other.
    """
    part, results = "in memory", bench.results
    count = str(bench.sizes.handshakes_in_memory)
    workers: list[tuple[str, Setting, Worker]] = []
    try:
        for kind, setting in IN_MEMORY:
            arguments = [str(bench.pki.directory), setting.to_json(), count]
            worker = Worker("in_memory", arguments, bench.pki.environment(setting))
            workers.append((kind, setting, worker))
            report = worker.read()
            results.missing |= report["missing"]
            results.failures += report["failures"]
            results.on_the_wire += report["on_the_wire"]
        for number in range(results.rounds):
            progress(f"{part}: round {number + 1} of {results.rounds}")
            for kind, setting, worker in random.sample(workers, len(workers)):
                for name, figures in worker.command("round").items():
                    results.find_or_add(
                        part, kind, VARIANTS[setting.groups], name, "us", "handshake"
                    ).add(figures)
    finally:
        for _, _, worker in workers:
            worker.end()


def counts(bench: Bench) -> None:
    """Count calls, system calls and task steps, of both ends together."""
    for setting in (Setting(), TLS12, Setting(tickets=2)):
        for case, contenders in bench.run_module("counts", setting).items():
            for name, figures in contenders.items():
                bench.results.find_or_add("counts", case, "", name, "calls", "").add(figures)
