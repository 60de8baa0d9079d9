"""Encrypted Client Hello (RFC 9849) with other implementations: the table of ``docs/ech.md``.

A test that a peer cannot pass runs all the same, and has to fail.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import pytest
import trio
from authority import SERVER_NAME, Authority
from conversations import NOTHING, Conversation, PeerRole, PreparedPeer, Tap
from ech_matrix import ech_cell, table
from ech_peers import OpenSSL4Peer
from nss_peer import GET, NewerNSSPeer, NSSPeer
from peer import SAFETY_NET, Part, Peer, Saw
from processes import ROOT

from trio_tlsx import ECHKey
from trio_tlsx.errors import AlertDescription, AlertReceived, ECHRejected
from trio_tlsx.messages.ech import decode_ech
from trio_tlsx.messages.extensions import ExtensionType
from trio_tlsx.messages.handshake import MESSAGE_HEADER_LENGTH, ClientHello
from trio_tlsx.pki.credentials import Credentials
from trio_tlsx.record.protection import RECORD_HEADER_LENGTH, ContentType

PUBLIC_NAME = "public.example"
CLIENT_NAME = "client.example"
A_BIT = 1000  # bytes
EARLY = GET  # which is all that NSS's client can send
HEADERS = RECORD_HEADER_LENGTH + MESSAGE_HEADER_LENGTH

KEY = ECHKey.generate(PUBLIC_NAME)
OLD_KEY = ECHKey.generate(PUBLIC_NAME, other_ids=[KEY.config.config_id])


@dataclass(frozen=True)
class Scene:
    """A client and a server with ECH, of which one is the peer."""

    peer_role: PeerRole
    authority: Authority
    directory: Path

    def prepare(
        self,
        ech: bytes | str = KEY.config_list,
        *,
        key: ECHKey = KEY,
        our: Mapping[str, Any] = NOTHING,
        their: Mapping[str, Any] = NOTHING,
        connections: int = 1,
    ) -> AbstractAsyncContextManager[PreparedPeer]:
        """Have the peer ready.

        Args:
            ech: the client's configurations, or ``"grease"``.
            key: the server's key.
            our: what is different in our configuration.
            their: what is different in the peer's part.
            connections: how many connections there are.
        """
        ours: dict[str, Any]
        theirs: dict[str, Any] = {"echo": A_BIT, "connections": connections}
        if self.peer_role.role == "server":
            ours = {"ech": ech}
            path = self.directory / "ech.pem"
            path.write_bytes(key.to_pem())
            theirs["ech_key"] = path
            theirs["credentials"] = self.authority.files_for(SERVER_NAME, PUBLIC_NAME)
        else:
            ours = {"ech_keys": key, "credentials": self.our_credentials()}
            theirs |= {"ech_grease": True} if ech == "grease" else {"ech_configs": ech}
        return self.peer_role.prepare(
            self.authority, ours={**ours, **our}, theirs={**theirs, **their}
        )

    def our_credentials(self) -> list[Credentials]:
        names = [(SERVER_NAME,), (PUBLIC_NAME,)]
        if isinstance(self.peer_role.peer, NSSPeer):
            names = [(SERVER_NAME, PUBLIC_NAME)]  # it compares the names by itself, and both
        return [Credentials.from_pem_files(*self.authority.files_for(*each)) for each in names]

    async def converse(self, us: Conversation, early_data: bytes = b"") -> None:
        """Exchange data, after the early data of a client, and close."""
        peer = self.peer_role.peer
        if isinstance(peer, NSSPeer):
            await peer.converse(self.peer_role.role, us.stream, early_data)
        else:
            await us.converse()


@pytest.fixture
def scene(peer_role: PeerRole, authority: Authority, tmp_path: Path) -> Scene:
    return Scene(peer_role, authority, tmp_path)


def first_hello(tap: Tap) -> ClientHello:
    """Return the ClientHello on the wire, which is one record."""
    length = int.from_bytes(tap.recorded[3:RECORD_HEADER_LENGTH])
    return ClientHello.decode(tap.recorded[HEADERS : RECORD_HEADER_LENGTH + length])


def assert_hidden(tap: Tap) -> None:
    """Nothing on the wire has the server's name; the public one is there."""
    assert SERVER_NAME.encode() not in tap.recorded
    assert PUBLIC_NAME.encode() in first_hello(tap).extensions[ExtensionType.server_name]


async def expect_acceptance(scene: Scene, known: PreparedPeer, tap: Tap) -> None:
    async with known.connect(tap) as us:
        await scene.converse(us)
    negotiated = us.stream.negotiated
    assert negotiated.ech_accepted
    assert negotiated.server_name == SERVER_NAME
    assert_hidden(tap)


@ech_cell("accept")
async def test_the_hidden_name_is_accepted(scene: Scene) -> None:
    async with scene.prepare() as known:
        await expect_acceptance(scene, known, Tap())
    assert known.saw[0].ech is not False


#: A server with this group alone sends a HelloRetryRequest: clients send no share for it.
RETRYING = "secp384r1"


class Changes(TypedDict, total=False):
    our: Mapping[str, Any]
    their: Mapping[str, Any]


def retrying(scene: Scene) -> Changes:
    if scene.peer_role.role == "server":
        return {"their": {"group": RETRYING}}
    return {"our": {"groups": [RETRYING]}}


@ech_cell("retry")
async def test_the_hidden_name_is_accepted_after_a_hello_retry_request(scene: Scene) -> None:
    tap = Tap()
    async with scene.prepare(**retrying(scene)) as known:
        await expect_acceptance(scene, known, tap)
    assert tap.retried
    assert known.saw[0].ech is not False


async def expect_rejection(scene: Scene, tap: Tap, changes: Changes | None = None) -> bytes:
    """Connect with an old configuration; return the retry configurations that the client got."""
    known = scene.prepare(OLD_KEY.config_list, **(changes or {}))
    async with known as prepared, prepared.connect(tap) as us:
        error = await us.fail()
    assert_hidden(tap)
    if isinstance(error, ECHRejected):
        assert scene.peer_role.role == "server"
        assert error.alert is AlertDescription.ech_required
        return error.retry_configs or b""
    assert isinstance(error, AlertReceived)
    assert error.alert is AlertDescription.ech_required
    assert not prepared.saw[0].ech
    return prepared.saw[0].retry_configs or b""


@ech_cell("reject")
async def test_a_client_with_an_old_configuration_tries_again(scene: Scene) -> None:
    retry_configs = await expect_rejection(scene, Tap())
    assert retry_configs == KEY.config_list
    async with scene.prepare(retry_configs) as known:
        await expect_acceptance(scene, known, Tap())
    assert known.saw[0].ech is not False


@ech_cell("retry and reject")
async def test_a_client_with_an_old_configuration_gets_a_hello_retry_request(
    scene: Scene,
) -> None:
    tap = Tap()
    assert await expect_rejection(scene, tap, retrying(scene)) == KEY.config_list
    assert tap.retried


@ech_cell("grease")
async def test_a_grease_value_is_ignored(scene: Scene) -> None:
    tap = Tap()
    async with scene.prepare("grease") as known, known.connect(tap) as us:
        await scene.converse(us)
        assert us.stream.negotiated.ech_accepted is False
    extension = first_hello(tap).extensions[ExtensionType.encrypted_client_hello]
    assert decode_ech(extension) is not None
    assert not known.saw[0].ech


@ech_cell("resume")
async def test_a_session_is_resumed_with_a_hidden_name(scene: Scene) -> None:
    async with scene.prepare(connections=2) as known:
        for resumed in (False, True):
            tap = Tap()
            async with known.connect(tap) as us:
                await scene.converse(us)
                assert us.stream.negotiated.resumed is resumed
                assert us.stream.negotiated.ech_accepted
            assert_hidden(tap)
    assert False not in [saw.ech for saw in known.saw]


class EarlyDataTap(Tap):
    """Lets our server answer only after early data, where the client announces some.

    NSS's client sends none if an answer is there first.
    """

    _ahead = b""
    _is_complete = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        while not self._is_complete:
            data = await super().receive_some()
            self._ahead += data
            self._is_complete = not data or self._has_early_data()
        data = self._ahead[:max_bytes] or await super().receive_some(max_bytes)
        self._ahead = self._ahead[max_bytes:] if max_bytes else b""
        return bytes(data)

    def _has_early_data(self) -> bool:
        types = record_types(self.recorded)
        if not types:
            return False
        is_announced = ExtensionType.early_data in first_hello(self).extensions
        return not is_announced or ContentType.application_data in types


def record_types(octets: bytes) -> list[int]:
    """Return the types of the whole records."""
    types: list[int] = []
    while len(octets) >= (end := RECORD_HEADER_LENGTH + int.from_bytes(octets[3:5])) > 5:
        types.append(octets[0])
        octets = octets[end:]
    return types


@ech_cell("early data")
async def test_early_data_is_accepted_with_a_hidden_name(scene: Scene) -> None:
    taken: list[bytes] = []
    if scene.peer_role.role == "server":
        async with scene.prepare(their={"early_data": EARLY}, connections=2) as known:
            for early_data in (b"", EARLY):
                tap = Tap()
                async with known.connect(tap, early_data) as us:
                    await scene.converse(us)
                    assert us.stream.negotiated.ech_accepted
                    assert us.stream.negotiated.early_data_accepted is bool(early_data)
                assert_hidden(tap)
        return
    our, their = {"max_early_data_size": A_BIT}, {"early_data": EARLY}
    async with scene.prepare(our=our, their=their, connections=2) as known:
        for _ in range(2):
            tap = EarlyDataTap()
            async with known.connect(tap) as us:
                taken.append(await us.stream.receive_replayable_early_data())
                await scene.converse(us, taken[-1])
                assert us.stream.negotiated.ech_accepted
            assert_hidden(tap)
    assert taken == [b"", EARLY]


@ech_cell("client certificate")
async def test_a_client_with_a_hidden_name_has_a_certificate(scene: Scene) -> None:
    authority = scene.authority
    files = authority.files_for(CLIENT_NAME)
    credentials = Credentials.from_pem_files(*files)
    changes: Changes
    if scene.peer_role.role == "server":
        changes = {"our": {"credentials": credentials}, "their": {"trust": authority.ca_file}}
    else:
        our = {"client_auth": "required", "client_trust": authority.ca.trust}
        changes = {"our": our, "their": {"credentials": files}}
    async with scene.prepare(**changes) as known, known.connect() as us:
        await scene.converse(us)
        assert us.stream.negotiated.ech_accepted
        if scene.peer_role.role == "client":
            assert us.stream.negotiated.peer_certificates[0] == credentials.chain[0]


@ech_cell("P-256")
async def test_the_hidden_name_is_encrypted_to_a_key_of_p256(scene: Scene) -> None:
    key = ECHKey.generate(PUBLIC_NAME, kem="P-256")
    async with scene.prepare(key.config_list, key=key) as known:
        await expect_acceptance(scene, known, Tap())
    assert known.saw[0].ech is not False


def test_the_page_has_the_table() -> None:
    page = (ROOT / "docs" / "ech.md").read_text(encoding="utf-8")
    assert table() in page, table()


# What peers do among themselves, which is why their cells cannot be mended here


async def between(
    peer: Peer, authority: Authority, directory: Path
) -> tuple[Sequence[Saw], Sequence[Saw]]:
    """Have a client with an old configuration, and a server that asks for another group."""
    ech_key = directory / "ech.pem"
    ech_key.write_bytes(KEY.to_pem())
    served: list[Saw] = []
    server = Part(
        credentials=authority.files_for(SERVER_NAME, PUBLIC_NAME),
        ech_key=ech_key,
        group=RETRYING,
    )
    client = Part(
        trust=authority.ca_file, server_name=SERVER_NAME, ech_configs=OLD_KEY.config_list
    )

    async def serve(task_status: trio.TaskStatus[int]) -> None:
        served.extend(await peer.serve(server, task_status))

    with trio.fail_after(SAFETY_NET):
        async with trio.open_nursery() as nursery:
            port = await nursery.start(serve)
            called = await peer.call(client, port)
            if peer.serves_on:
                nursery.cancel_scope.cancel()
    return called, served


@pytest.fixture
def openssl4() -> Peer:
    peer = OpenSSL4Peer()
    peer.require()
    return peer


@pytest.fixture
def newer_nss() -> Peer:
    peer = NewerNSSPeer()
    peer.require()
    return peer


async def test_openssl_fails_with_itself(
    openssl4: Peer, authority: Authority, tmp_path: Path
) -> None:
    [client], [server] = await between(openssl4, authority, tmp_path)
    assert server.alert is AlertDescription.illegal_parameter
    assert client.retry_configs is None


async def test_nss_sends_itself_no_retry_configurations(
    newer_nss: Peer, authority: Authority, tmp_path: Path
) -> None:
    [client], _ = await between(newer_nss, authority, tmp_path)
    assert "SSL_ERROR_ECH_RETRY_WITHOUT_ECH" in client.story
    assert client.retry_configs is None
