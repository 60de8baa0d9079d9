"""The tests of Encrypted Client Hello with each peer: the table of ``docs/ech.md``."""

from __future__ import annotations

import pytest
from conversations import PeerRole
from ech_peers import ECHGoPeer, OpenSSL4Peer
from matrix import marks
from nss_peer import NewerNSSPeer, NSSPeer
from peer import Peer, Role

#: The cells, by the name that a peer's ``cannot`` has for each, with its row in the table.
CELLS = {
    "accept": "accepted",
    "retry": "accepted after a HelloRetryRequest",
    "reject": "rejected, then accepted with the retry configurations",
    "retry and reject": "the same, with a HelloRetryRequest",
    "grease": "GREASE",
    "resume": "resumed",
    "early data": "early data",
    "client certificate": "client certificate",
    "P-256": "key of P-256",
}

#: The columns of the table; of NSS both versions do the same as a client.
COLUMNS = {"openssl": "OpenSSL 4", "go": "Go", "nss": "NSS", "newer-nss": "NSS"}

PEERS: tuple[tuple[Peer, Role], ...] = (
    (OpenSSL4Peer(), "client"),
    (OpenSSL4Peer(), "server"),
    (ECHGoPeer(), "client"),
    (ECHGoPeer(), "server"),
    (NSSPeer(), "client"),
    (NewerNSSPeer(), "client"),
    (NewerNSSPeer(), "server"),
)


def ech_cell(name: str) -> pytest.MarkDecorator:
    """Run a test, which is that of a cell, with each peer."""
    assert name in CELLS
    cells = [
        pytest.param(PeerRole(peer, role), id=f"{peer.name}-{role}", marks=marks(peer, role, name))
        for peer, role in PEERS
    ]
    return pytest.mark.parametrize("peer_role", cells)


def table() -> str:
    """Return the table, with a note for each cell that a peer cannot do."""
    columns: dict[tuple[str, Role], None]
    columns = dict.fromkeys((COLUMNS[peer.name], role) for peer, role in PEERS)
    notes: list[str] = []
    lines = ["| | " + " | ".join(f"{name} {role}" for name, role in columns) + " |"]
    lines.append("|---|" + "---|" * len(columns))
    for cell, title in CELLS.items():
        entries: list[str] = []
        for column in columns:
            peers = [peer for peer, role in PEERS if (COLUMNS[peer.name], role) == column]
            name, role = column
            unable = [peer for peer in peers if (role, cell) in peer.cannot]
            reasons = [f"{name}: {peer.cannot[role, cell].why}." for peer in unable]
            notes += [reason for reason in reasons if reason not in notes]
            numbers = "".join(f" ({notes.index(reason) + 1})" for reason in reasons)
            entries.append(("no" if unable == peers else "yes") + numbers)
        lines.append(f"| {title} | " + " | ".join(entries) + " |")
    return "\n".join([*lines, "", *(f"{i}. {note}" for i, note in enumerate(notes, 1)), ""])
