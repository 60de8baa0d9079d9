"""The lines of a key log about Encrypted Client Hello (RFC 9850 2.3)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ech_pairs import ECH_CLIENT, ECH_SERVER, RETRIED_CLIENT, STALE_SERVER, key
from engine_pairs import carry, connections, failure_of, records, shake_hands

from trio_tlsx.config.client import ClientConfig
from trio_tlsx.config.server import ServerConfig
from trio_tlsx.crypto.hpke import KEMS
from trio_tlsx.errors import ECHRejected
from trio_tlsx.messages.ech import decode_ech
from trio_tlsx.messages.extensions import ExtensionType
from trio_tlsx.messages.handshake import MESSAGE_HEADER_LENGTH, ClientHello
from trio_tlsx.record.protection import RECORD_HEADER_LENGTH

ECH_LABELS = ["ECH_SECRET", "ECH_CONFIG"]


def logs(
    client_config: ClientConfig, server_config: ServerConfig
) -> tuple[ClientHello, list[list[str]], list[list[str]]]:
    """The outer hello, and the fields of both key logs."""
    lines: tuple[list[str], list[str]] = ([], [])
    client, server = connections(
        replace(client_config, key_log=lines[0].append),
        replace(server_config, key_log=lines[1].append),
    )
    client.do_handshake()
    _, record = next(records(output := client.data_to_send()))
    outer = ClientHello.decode(record[RECORD_HEADER_LENGTH + MESSAGE_HEADER_LENGTH :])
    server.receive_data(output)
    if server_config is STALE_SERVER:
        assert isinstance(failure_of(lambda: shake_hands(client, server)), ECHRejected)
        carry(client, server)
    else:
        shake_hands(client, server)
    ours, theirs = ([line.split(" ") for line in each] for each in lines)
    return outer, ours, theirs


@pytest.mark.parametrize("client_config", [ECH_CLIENT, RETRIED_CLIENT], ids=["once", "retried"])
def test_both_sides_log_the_same(client_config: ClientConfig) -> None:
    """The lines of ECH are under the outer hello's random, all others under the inner one's."""
    outer, ours, theirs = logs(client_config, replace(ECH_SERVER, groups=["x25519"]))
    assert sorted(ours) == sorted(theirs)
    assert [label for label, random, _ in ours if random == outer.random.hex()] == ECH_LABELS
    values = {label: value for label, _, value in ours}
    assert values["ECH_CONFIG"] == key.config.encoded.hex()
    assert len(values["ECH_SECRET"]) == 64
    assert len({random for _, random, _ in ours}) == 2


def test_a_rejected_hello_is_logged_by_the_client_alone() -> None:
    outer, ours, theirs = logs(ECH_CLIENT, STALE_SERVER)
    assert [fields for fields in ours if fields[0] in ECH_LABELS] != []
    assert [fields for fields in theirs if fields[0] in ECH_LABELS] == []
    handshake = [fields for fields in ours if "HANDSHAKE" in fields[0]]
    assert handshake == [fields for fields in theirs if "HANDSHAKE" in fields[0]]
    assert {random for _, random, _ in handshake} == {outer.random.hex()}


@pytest.mark.parametrize("ech", [None, "grease"])
def test_without_an_encrypted_hello_there_is_nothing_to_log(ech: str | None) -> None:
    _, ours, theirs = logs(replace(ECH_CLIENT, ech=ech), ECH_SERVER)
    assert not {label for label, _, _ in (*ours, *theirs)} & {*ECH_LABELS}


def test_the_logged_secret_is_that_of_the_encapsulated_key() -> None:
    outer, ours, _ = logs(ECH_CLIENT, ECH_SERVER)
    ech = decode_ech(outer.extensions[ExtensionType.encrypted_client_hello])
    assert ech is not None
    expected = KEMS[key.config.kem_id].decapsulate(ech.enc, key.kem_key)
    assert ["ECH_SECRET", outer.random.hex(), expected.hex()] in ours
