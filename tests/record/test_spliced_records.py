"""Records of two handshakes that an attacker drops, doubles, reorders and moves between them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ech_pairs import ECH_CLIENT, ECH_SERVER
from engine_pairs import CLIENT, MAX_TURNS, SERVER, connections, records
from hypothesis import given, settings
from hypothesis import strategies as st
from pairs12 import BOTH, CLIENT_12, SERVER_12

from trio_tlsx.config.client import ClientConfig
from trio_tlsx.config.server import ServerConfig
from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import InternalError, TLSError

PAIRS: dict[str, tuple[ClientConfig, ServerConfig]] = {
    "TLSv1.3": (CLIENT, SERVER),
    "TLSv1.2": (CLIENT_12, SERVER_12),
    "both versions": (replace(CLIENT, versions=BOTH), replace(SERVER, versions=BOTH)),
    "ECH": (ECH_CLIENT, ECH_SERVER),
}

#: The fates of a record: it arrives, is dropped, arrives twice, changes places with the one before
#: it, or is replaced by one of the other handshake.
ARRIVES, DROPPED, DOUBLED, LATE, REPLACED = range(5)
fates = st.lists(st.sampled_from([ARRIVES] * 6 + [DROPPED, DOUBLED, LATE, REPLACED]), max_size=30)


def altered(sent: list[bytes], fates: list[int], elsewhere: list[bytes]) -> bytes:
    """Return what arrives of these records; consume a fate for each."""
    arriving: list[bytes] = []
    for record in sent:
        fate = fates.pop(0) if fates else ARRIVES
        if fate == REPLACED and elsewhere:
            arriving.append(elsewhere[-1])
        elif fate == LATE:
            arriving[-1:] = [record, *arriving[-1:]]
        elif fate != DROPPED:
            arriving += [record] * (2 if fate == DOUBLED else 1)
    return b"".join(arriving)


def handshake_failed(connection: Connection) -> bool:
    """Go on with the handshake; return whether it failed, as it may if records were altered."""
    try:
        connection.do_handshake()
        if connection.handshake_complete:
            connection.read()
    except InternalError as error:
        raise AssertionError("the engine was not prepared for this") from error
    except TLSError as error:
        if error.refused_by == "us" and not connection.pending_output():
            raise AssertionError("the peer gets no alert") from error
        return True
    return False


@settings(deadline=None, max_examples=100)
@pytest.mark.parametrize("name", PAIRS)
@given(fates=fates)
def test_handshakes_of_altered_records_agree_or_fail(name: str, fates: list[int]) -> None:
    client, server = first = connections(*PAIRS[name])
    second = connections(*PAIRS[name])
    elsewhere: list[bytes] = []
    failed: set[Connection] = set()
    for _ in range(MAX_TURNS):
        for pair in (second, first):
            for one, other in (pair, pair[::-1]):
                if one not in failed and handshake_failed(one):
                    failed.add(one)
                sent = [record for _, record in records(one.data_to_send())]
                if pair is not first:
                    elsewhere += sent
                elif sent and other not in failed:
                    sent = [altered(sent, fates, elsewhere)]
                if arriving := b"".join(sent):
                    other.receive_data(arriving)
    if client.handshake_complete and server.handshake_complete and not failed:
        for attribute in ("version", "cipher_suite", "group", "ech_accepted"):
            assert getattr(client.negotiated, attribute) == getattr(server.negotiated, attribute)
        keys = [one.export_keying_material("EXPORTER-test", 32) for one in first]
        assert keys[0] == keys[1]
    if client.handshake_complete and name == "both versions":
        assert client.negotiated.version == "TLSv1.3"
