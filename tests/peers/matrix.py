"""Every peer, in both roles, with every feature that it supports."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from conversations import PeerRole
from go_peer import GoPeer
from java_peer import JavaPeer
from node_peer import NodePeer
from openssl_peer import OpenSSLPeer
from peer import Peer, Role
from pyopenssl_peer import PyOpenSSLPeer
from stdlib_peer import StdlibPeer
from tlslite_peer import TLSLitePeer
from wolfssl_peer import WolfSSLPeer

PEERS: tuple[Peer, ...] = (
    OpenSSLPeer(),
    StdlibPeer(),
    PyOpenSSLPeer(),
    TLSLitePeer(),
    GoPeer(),
    JavaPeer(),
    NodePeer(),
    WolfSSLPeer(),
)


def peer_role(*roles: Role, needs: str = "") -> pytest.MarkDecorator:
    """Run a test against each peer in these roles.

    Args:
        needs: what the peer must be able to do, by the name that its ``cannot`` has for it.
    """
    cells = [
        pytest.param(
            PeerRole(peer, role), id=f"{peer.name}-{role}", marks=marks(peer, role, needs)
        )
        for peer in PEERS
        for role in roles
    ]
    return pytest.mark.parametrize("peer_role", cells)


def peer_role_and(
    feature: str, values: Iterable[str], *, needs: str = "{}"
) -> pytest.MarkDecorator:
    """Run a test against each peer in both roles, with each value of a feature.

    Args:
        needs: what the peer must be able to do for a value, which ``{}`` stands for.
    """
    roles: tuple[Role, ...] = ("client", "server")
    cells = [
        pytest.param(
            PeerRole(peer, role),
            value,
            id=f"{peer.name}-{role}-{value}",
            marks=marks(peer, role, needs.format(value)),
        )
        for peer in PEERS
        for role in roles
        for value in values
    ]
    return pytest.mark.parametrize(("peer_role", feature), cells)


def marks(peer: Peer, role: Role, needed: str) -> tuple[pytest.MarkDecorator, ...]:
    """What a peer cannot do is tried all the same, so that the day is noticed when it can."""
    inability = peer.cannot.get((role, needed))
    if inability is None:
        return ()
    # Nurseries wrap it, and where the peer falls over, our side may fail as well.
    shows_as = inability.shows_as
    raises = pytest.RaisesExc(
        BaseExceptionGroup, check=lambda group: group.subgroup(shows_as) is not None
    )
    return (pytest.mark.xfail(strict=True, reason=inability.why, raises=raises),)
