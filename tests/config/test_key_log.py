"""The key log: its lines, its file, and whether Wireshark can read a recording with it."""

from __future__ import annotations

import os
import shutil
import stat
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import trio
from processes import run_program

import trio_tlsx
from trio_tlsx import ClientConfig, ConfigError, Connection, ServerConfig, Want
from trio_tlsx.config.key_log import KeyLog
from trio_tlsx.testing import CA

SERVER_NAME = "test.example"
REQUEST, RESPONSE = b"a question under TLS", b"an answer under TLS"

SYN, PUSH, ACK = 2, 8, 16
SEGMENT = 1400
RAW_IP = 101  # of the link types of pcap

ca = CA()
CLIENT = ClientConfig(trust=ca.trust)
SERVER = ServerConfig(credentials=ca.issue(SERVER_NAME))

#: RFC 9850 2.1, of a handshake without early data.
LABELS = {
    "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
    "SERVER_HANDSHAKE_TRAFFIC_SECRET",
    "CLIENT_TRAFFIC_SECRET_0",
    "SERVER_TRAFFIC_SECRET_0",
    "EXPORTER_SECRET",
}


def talk(
    client_log: KeyLog | None = None,
    server_log: KeyLog | None = None,
    groups: tuple[str, ...] = ("x25519",),
) -> list[tuple[str, bytes]]:
    """One connection with a question and its answer; gives what either side sent."""
    client = Connection.client(replace(CLIENT, key_log=client_log), SERVER_NAME)
    server = Connection.server(replace(SERVER, key_log=server_log, groups=groups))
    sent: list[tuple[str, bytes]] = []

    def carry() -> None:
        for name, one, other in [("client", client, server), ("server", server, client)]:
            if data := one.data_to_send():
                sent.append((name, data))
                other.receive_data(data)

    while {client.do_handshake(), server.do_handshake()} != {Want.NOTHING}:
        carry()
    for one, other, data in [(client, server, REQUEST), (server, client, RESPONSE)]:
        one.write(memoryview(data))
        one.update_keys()
        one.write(memoryview(data))
        carry()
        assert other.read() == data
    return sent


def test_key_log_lines_are_equal_on_both_sides() -> None:
    ours: list[str] = []
    theirs: list[str] = []
    sent = talk(ours.append, theirs.append)
    assert sorted(ours) == sorted(theirs)
    client_random = sent[0][1][11:43].hex()
    rows = [line.split(" ") for line in ours]
    assert {label for label, _, _ in rows} == LABELS
    assert len(rows) == len(LABELS)
    assert {random for _, random, _ in rows} == {client_random}
    secrets = [bytes.fromhex(secret) for _, _, secret in rows]
    assert len(set(secrets)) == len(LABELS)
    assert {len(secret) for secret in secrets} == {32}


def test_key_log_lines_after_hello_retry_request() -> None:
    lines: list[str] = []
    talk(lines.append, groups=("secp384r1",))
    assert {line.split(" ")[0] for line in lines} == LABELS


def test_key_log_file_is_appended_to_and_private(tmp_path: Path) -> None:
    path = tmp_path / "keys.log"
    talk(path)
    talk(str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    lines = path.read_text().splitlines()
    assert len(lines) == 2 * len(LABELS)
    assert len({line.split(" ")[1] for line in lines}) == 2


def test_key_log_file_that_cannot_be_written_raises(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="key log"):
        ClientConfig(key_log=tmp_path / "missing" / "keys.log")


def test_sslkeylogfile_is_ignored_by_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "keys.log"
    monkeypatch.setenv("SSLKEYLOGFILE", str(path))
    talk()
    assert not path.exists()
    talk(trio_tlsx.key_log_from_environment())
    assert len(path.read_text().splitlines()) == len(LABELS)


def test_key_log_from_environment_without_sslkeylogfile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSLKEYLOGFILE", raising=False)
    assert trio_tlsx.key_log_from_environment() is None
    monkeypatch.setenv("SSLKEYLOGFILE", "")
    assert trio_tlsx.key_log_from_environment() is None


def test_failing_key_log_ends_the_handshake() -> None:
    def fail(line: str) -> None:
        raise OSError("disk full")

    with pytest.raises(trio_tlsx.InternalError):
        talk(fail)


def packets(sent: list[tuple[str, bytes]]) -> Iterator[bytes]:
    """What was sent as IPv4 packets of one TCP connection to port 443."""
    ports = {"client": 50000, "server": 443}
    addresses = {"client": b"\x7f\0\0\x01", "server": b"\x7f\0\0\x02"}
    next_octet = {"client": 1000, "server": 2000}
    other = {"client": "server", "server": "client"}

    def packet(sender: str, flags: int, data: bytes = b"") -> bytes:
        receiver = other[sender]
        tcp = struct.pack(
            ">HHIIBBHHH",
            ports[sender],
            ports[receiver],
            next_octet[sender],
            next_octet[receiver],
            5 << 4,
            flags,
            2**16 - 1,
            0,
            0,
        )
        length = 20 + len(tcp) + len(data)
        ip = struct.pack(">BBHHHBBH", 0x45, 0, length, 0, 0, 64, 6, 0)
        next_octet[sender] += len(data) + (1 if flags & SYN else 0)
        return ip + addresses[sender] + addresses[receiver] + tcp + data

    yield packet("client", SYN)
    yield packet("server", SYN | ACK)
    yield packet("client", ACK)
    for sender, data in sent:
        for start in range(0, len(data), SEGMENT):
            yield packet(sender, ACK | PUSH, data[start : start + SEGMENT])


def write_pcap(path: Path, sent: list[tuple[str, bytes]]) -> None:
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 2**16, RAW_IP))
        for microsecond, packet in enumerate(packets(sent)):
            file.write(struct.pack("<IIII", 1, microsecond, len(packet), len(packet)) + packet)


@pytest.fixture(scope="module")
def tshark() -> str:
    found = shutil.which("tshark")
    if found is None:
        fail_or_skip: Callable[[str], object] = (
            pytest.fail if os.environ.get("CI") else pytest.skip
        )
        fail_or_skip("tshark is not installed: apt-get install tshark")
    return found or ""


async def test_wireshark_decrypts_a_recording_with_the_key_log(
    tshark: str, tmp_path: Path
) -> None:
    recording, keys = tmp_path / "recording.pcap", tmp_path / "keys.log"
    write_pcap(recording, await trio.to_thread.run_sync(partial(talk, keys)))
    follow = [tshark, "-r", recording, "-q", "-z", "follow,tls,ascii,0"]
    blind = await run_program(follow, HOME=tmp_path)
    assert REQUEST not in blind.stdout
    seeing = await run_program([*follow, "-o", f"tls.keylog_file:{keys}"], HOME=tmp_path)
    # Twice each: before and after a KeyUpdate.
    assert seeing.stdout.count(REQUEST) == 2
    assert seeing.stdout.count(RESPONSE) == 2
