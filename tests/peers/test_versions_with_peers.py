"""Which version is selected with other implementations, and what stops a downgrade."""

from __future__ import annotations

from dataclasses import replace

import pytest
from authority import Authority
from conversations import PeerRole, Tap
from matrix import peer_role
from openssl_peer import OpenSSLPeer
from tlslite_peer import TLSLitePeer

from trio_tlsx.errors import AlertDescription
from trio_tlsx.messages.extensions import ExtensionType
from trio_tlsx.messages.handshake import MESSAGE_HEADER_LENGTH, ClientHello, encode_message
from trio_tlsx.record.protection import RECORD_HEADER_LENGTH, ContentType, record_header

A_BIT = 1000  # bytes
HEADERS = RECORD_HEADER_LENGTH + MESSAGE_HEADER_LENGTH
BOTH_VERSIONS = ("TLSv1.3", "TLSv1.2")


class Downgrade(Tap):
    """Removes TLS 1.3 from the ClientHello on its way."""

    _input = b""
    _is_done = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await super().send_all(data if self._is_done else self._rewrite(bytes(data)))

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        while not self._is_done and not self._is_record(self._input):
            data = await super().receive_some()
            if not data:
                return b""
            if data[0] != ContentType.handshake and not self._input:
                self._is_done = True
                return data
            self._input += data
            if self._is_record(self._input):
                return self._rewrite(self._input)
        return await super().receive_some(max_bytes)

    @staticmethod
    def _is_record(octets: bytes) -> bool:
        length = int.from_bytes(octets[3:RECORD_HEADER_LENGTH])
        return len(octets) >= RECORD_HEADER_LENGTH + length > RECORD_HEADER_LENGTH

    def _rewrite(self, octets: bytes) -> bytes:
        self._is_done = True
        end = RECORD_HEADER_LENGTH + int.from_bytes(octets[3:RECORD_HEADER_LENGTH])
        hello = ClientHello.decode(octets[HEADERS:end])
        kept = {
            code: body
            for code, body in hello.extensions.items()
            if code != ExtensionType.supported_versions
        }
        message = encode_message(replace(hello, extensions=kept))
        return record_header(ContentType.handshake, len(message)) + message + octets[end:]


@peer_role("client", "server")
async def test_the_newest_version_is_selected(peer_role: PeerRole, authority: Authority) -> None:
    async with peer_role.connect(
        authority, ours={"versions": BOTH_VERSIONS}, theirs={"echo": A_BIT}
    ) as us:
        await us.converse()
        assert us.stream.negotiated.version == "TLSv1.3"
    assert us.saw.alert is AlertDescription.close_notify


@peer_role("server")
async def test_we_detect_a_downgrade_by_the_peers_sentinel(
    peer_role: PeerRole, authority: Authority
) -> None:
    """RFC 9846 4.2.3."""
    async with peer_role.connect(
        authority, ours={"versions": BOTH_VERSIONS}, tap=Downgrade()
    ) as us:
        error = await us.fail()
    assert (error.refused_by, error.alert) == ("us", AlertDescription.illegal_parameter)
    assert "altered the handshake" in str(error)
    # A JDK writes its flight in pieces, and may not come to read our alert.
    assert us.saw.alert in (AlertDescription.illegal_parameter, None)


@peer_role("client")
async def test_the_peer_detects_a_downgrade_by_our_sentinel(
    peer_role: PeerRole, authority: Authority
) -> None:
    """RFC 9846 4.2.3."""
    async with peer_role.connect(
        authority, ours={"versions": BOTH_VERSIONS}, tap=Downgrade()
    ) as us:
        error = await us.fail()
    assert (error.refused_by, error.alert) == ("peer", AlertDescription.illegal_parameter)


@peer_role("client", "server")
async def test_a_peer_of_both_versions_speaks_tls12_with_us(
    peer_role: PeerRole, authority: Authority
) -> None:
    """A client that offers only TLS 1.2 must ignore the sentinel of a server that has both."""
    async with peer_role.connect(
        authority, ours={"versions": ["TLSv1.2"]}, theirs={"echo": A_BIT}
    ) as us:
        await us.converse()
        assert us.stream.negotiated.version == "TLSv1.2"
    assert us.saw.alert is AlertDescription.close_notify


@pytest.mark.parametrize(
    "peer_role",
    [PeerRole(OpenSSLPeer(), "client"), PeerRole(TLSLitePeer(), "client")],
    ids=str,
)
async def test_a_client_that_fell_back_is_refused(
    peer_role: PeerRole, authority: Authority
) -> None:
    """RFC 7507 3, unless our server has nothing newer."""
    theirs = {"tls12_only": True, "falls_back": True, "echo": A_BIT}
    async with peer_role.connect(authority, ours={"versions": BOTH_VERSIONS}, theirs=theirs) as us:
        error = await us.fail()
    assert (error.refused_by, error.alert) == ("us", AlertDescription.inappropriate_fallback)
    assert us.saw.alert is AlertDescription.inappropriate_fallback
    async with peer_role.connect(authority, ours={"versions": ["TLSv1.2"]}, theirs=theirs) as us:
        await us.converse()
    assert us.saw.alert is AlertDescription.close_notify
