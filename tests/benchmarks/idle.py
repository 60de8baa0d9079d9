"""The memory of idle connections: what each process grows by."""

from __future__ import annotations

from .contenders import Contender
from .measurement import Bench, progress
from .pairs import ContenderFailed, Pair, resident_bytes
from .settings import Setting

WARM_UP = 20
#: RSS hardly varies: the bigger case runs once, the smaller one so often.
MAX_ROUNDS = 2
#: Connections of the bigger case take long to open, so only these are measured.
BIG_ROUND = ("trio_tlsx", "trio.SSLStream", "raw trio TCP")
KINDS = {"full handshake": Setting(), "resumed, with two tickets": Setting(tickets=2)}


def memory(bench: Bench) -> None:
    """Open connections, let them echo once, and leave them idle."""
    small, *big = bench.sizes.idle
    for number in range(min(MAX_ROUNDS, bench.results.rounds)):
        progress(f"memory: round {number + 1}")
        for kind, setting in KINDS.items():
            for name, contender in bench.contenders.items():
                if name in bench.sizes.variants:
                    sample(bench, contender, setting, kind, small)
    for count in big:
        for name in BIG_ROUND:
            if name in bench.contenders:
                progress(f"memory: {count:,} connections of {name}")
                sample(bench, bench.contenders[name], Setting(), "full handshake", count)


def sample(
    bench: Bench, contender: type[Contender], setting: Setting, kind: str, count: int
) -> None:
    if contender.max_connections < count or (setting.tickets and not contender.resumes):
        return
    case = f"{count:,} connections, {kind}"
    pair = Pair(contender, bench.pki, setting)
    try:
        pair.start_client()
        pair.wait_for_client()
        pair.run("hold", WARM_UP)
        before = [resident(pair, role) for role in ("client", "server")]
        pair.run("hold", WARM_UP + count)
        pair.run("rest")
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
