"""Stapled OCSP responses with other implementations, in both versions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from authority import Authority
from conversations import PeerRole
from matrix import peer_role
from ocsp_responses import GOOD, response

from trio_tlsx import AlertDescription, check_stapled_ocsp

A_BIT = 1000  # bytes


@peer_role("client", "server", needs="staple")
async def test_stapled_response(
    peer_role: PeerRole, authority: Authority, tmp_path: Path, version: str
) -> None:
    """The server sends the response, and the client gets exactly this one."""
    credentials = authority.credentials()
    octets = response(authority.ca, credentials.chain[0], GOOD)
    file = tmp_path / "ocsp.der"
    file.write_bytes(octets)
    ours: dict[str, Any] = {"versions": [version]}
    if peer_role.role == "client":
        ours["credentials"] = credentials.stapling(octets)
    else:
        ours["verify"] = check_stapled_ocsp(must=True)
    theirs = {"echo": A_BIT, "staple": file, "tls12_only": version == "TLSv1.2"}
    async with peer_role.connect(authority, ours=ours, theirs=theirs) as us:
        await us.converse()
        assert us.stream.negotiated.version == version
    assert us.saw.alert is AlertDescription.close_notify
