"""Draw docs/_static/architecture.svg: ``python docs/architecture_diagram.py``."""

from __future__ import annotations

from html import escape
from pathlib import Path

SVG = Path(__file__).parent / "_static" / "architecture.svg"

#: The layers from the top down: the parts of each with their purpose, and a color.
LAYERS = [
    ([("cli/", "the command line")], "trio"),
    ([("contrib/", "httpx, hypercorn, Redis, DNS and others")], "trio"),
    ([("testing.py", "a test CA, connected streams in memory")], "trio"),
    ([("processes/", "the supervisor, its workers, and what they share")], "trio"),
    ([("io/", "TLSStream, listeners, transports over sockets and streams")], "trio"),
    ([("driver/", "runs an engine, with any async library")], "sans-IO"),
    ([("engine/", "the contract, the native engine, the engine over ssl")], "sans-IO"),
    ([("handshake/", "both roles, from ClientHello to Finished, as generators")], "sans-IO"),
    ([("config/", "ClientConfig, ServerConfig, the key log")], "sans-IO"),
    ([("sessions/", "sessions, tickets, anti-replay, pre-shared keys")], "sans-IO"),
    ([("verification/", "the two verifiers, policy, reasons of refusals")], "sans-IO"),
    ([("pki/", "credentials, trust stores, revocation, identities")], "sans-IO"),
    ([("record/", "records: protection, receiving, sending, KeyUpdate")], "sans-IO"),
    ([("crypto/", "cipher suites, groups, signatures, the key schedule")], "sans-IO"),
    ([("messages/", "handshake messages, extensions, alerts, the codec")], "sans-IO"),
    ([("errors.py", "exceptions, alert numbers"), ("clock.py", "the time")], "sans-IO"),
]

FILLS = {"trio": "#ffe3b8", "sans-IO": "#cfe5f7"}
TEXT = "#1b1f24"  # on the fills, so it needs no dark variant
LINE = "#8a8f98"  # readable on a white and on a black page

WIDTH, LEFT, BOX_WIDTH = 760, 120, 620
ROW, BOX, GAP = 50, 38, 10


def box(x: float, y: float, width: float, name: str, purpose: str, fill: str) -> list[str]:
    middle, line = x + width / 2, y + BOX / 2
    content = (
        f'<tspan font-weight="600" font-family="monospace">{escape(name)}</tspan>'
        f'<tspan dx="9" font-size="12">{escape(purpose)}</tspan>'
    )
    if width < BOX_WIDTH / 2:  # the purpose goes under the name
        content = (
            f'<tspan x="{middle:g}" dy="-4" font-weight="600" font-family="monospace">'
            f"{escape(name)}</tspan>"
            f'<tspan x="{middle:g}" dy="15" font-size="11">{escape(purpose)}</tspan>'
        )
    return [
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{BOX}" rx="5" fill="{fill}"/>',
        f'<text x="{middle:g}" y="{line + 4:g}" text-anchor="middle" fill="{TEXT}" font-size="14">'
        f"{content}</text>",
    ]


def side(first: int, last: int, label: str, fill: str) -> list[str]:
    """A bar with a label beside the rows from ``first`` to ``last``."""
    top, bottom = GAP + first * ROW, GAP + last * ROW + BOX
    middle = (top + bottom) / 2
    return [
        f'<rect x="8" y="{top}" width="72" height="{bottom - top}" rx="5" fill="{fill}"/>',
        f'<text x="44" y="{middle + 4:g}" text-anchor="middle" fill="{TEXT}" font-size="13">'
        f"{escape(label)}</text>",
    ]


def diagram() -> str:
    height = GAP + len(LAYERS) * ROW
    parts: list[str] = []
    for row, (cells, kind) in enumerate(LAYERS):
        y = GAP + row * ROW
        width = (BOX_WIDTH - (len(cells) - 1) * GAP) / len(cells)
        for column, (name, purpose) in enumerate(cells):
            parts += box(LEFT + column * (width + GAP), y, width, name, purpose, FILLS[kind])
    kinds = [kind for _, kind in LAYERS]
    for kind in FILLS:
        last = len(kinds) - 1 - kinds[::-1].index(kind)
        parts += side(kinds.index(kind), last, kind, FILLS[kind])
    parts.append(
        f'<path d="M100 {GAP} V{height - 24}" stroke="{LINE}" stroke-width="2" fill="none"/>'
        f'<path d="M93 {height - 26} h14 l-7 12 z" fill="{LINE}"/>'
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" font-family="system-ui, sans-serif" role="img">\n'
        "<title>The folders of trio_tlsx; each imports only from those below it</title>\n"
        + "\n".join(parts)
        + "\n</svg>\n"
    )


if __name__ == "__main__":
    SVG.write_text(diagram())
