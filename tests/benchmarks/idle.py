"""Measure the memory of idle connections: the growth of each process."""

from __future__ import annotations

from .contenders import Contender
from .measurement import Bench, progress
from .pairs import ContenderFailed, Pair, resident_bytes
from .settings import Setting

WARM_UP = 20
#: The contenders with many connections and with resumed ones, because these take long to open.
MAIN_CONTENDERS = ("trio_tlsx", "trio.SSLStream", "raw trio TCP")
PLAIN = Setting()
KINDS = {"full handshake": PLAIN, "resumed, with two tickets": Setting(tickets=2)}


def memory(bench: Bench) -> None:
    """Open connections, echo once on each, and leave them idle.

    One round is enough, because RSS hardly varies.
    """
    small, *big = bench.sizes.idle
    for kind, setting in KINDS.items():
        for name, contender in bench.contenders.items():
            if name in bench.sizes.variants and (setting == PLAIN or name in MAIN_CONTENDERS):
                sample(bench, contender, setting, kind, small)
    for count in big:
        for name in MAIN_CONTENDERS:
            if name in bench.contenders:
                sample(bench, bench.contenders[name], PLAIN, "full handshake", count)


def sample(
    bench: Bench, contender: type[Contender], setting: Setting, kind: str, count: int
) -> None:
    if contender.max_connections < count or (setting.tickets and not contender.resumes):
        return
    case = f"{count:,} connections, {kind}"
    progress(f"memory: {contender.name}, {case}")
    pair = Pair(contender, bench.pki, setting)
    try:
        pair.start_client()
        pair.wait_for_client()
        pair.run("hold", WARM_UP)
        before = [resident(pair, role) for role in ("client", "server")]
        pair.run("hold", WARM_UP + count)
        pair.run("rest", 2)
        client, server = (
            (resident(pair, role) - start) / count
            for role, start in zip(("client", "server"), before, strict=True)
        )
    except ContenderFailed as error:
        bench.fail(contender.name, f"memory, {case}", error)
        return
    finally:
        pair.end()
    figure = bench.results.find_or_add("memory", case, "", contender.name, "octets per end", "")
    figure.add(
        {"octets per end": (client + server) / 2, "client octets": client, "server octets": server}
    )


def resident(pair: Pair, role: str) -> int:
    return resident_bytes((pair.client if role == "client" else pair.server).pid)
