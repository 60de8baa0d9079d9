"""A client remembers which group a server selected (RFC 9846 4.3.8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from early_data_scenarios import EARLY, EarlyDataScenario
from ech_pairs import ECH_CLIENT, ECH_SERVER, STALE_SERVER
from engine_pairs import CLIENT, SERVER, SERVER_NAME, authority, failure_of, shake_hands
from hellos import sent_hello

from trio_tlsx.config.client import ClientConfig
from trio_tlsx.config.server import ServerConfig
from trio_tlsx.crypto.groups import GROUPS
from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import CertificateError, ECHRejected
from trio_tlsx.messages import extensions as ext
from trio_tlsx.messages.extensions import ExtensionType
from trio_tlsx.sessions.selected_groups import MAX_SERVERS, SelectedGroups
from trio_tlsx.testing import CA

HYBRID = "X25519MLKEM768"
DEFAULT = [HYBRID, "x25519"]
OTHER_NAME = "other.example"
P384 = replace(SERVER, groups=["secp384r1"])


def new_client() -> ClientConfig:
    """Return a client with the default groups and a memory of its own."""
    return ClientConfig(trust=authority.trust, resumption=False)


def connect(
    client: ClientConfig, server: ServerConfig, port: int | None = None
) -> tuple[str | None, bool | None]:
    """Shake hands; return the group, and whether the server sent a HelloRetryRequest."""
    pair = (
        Connection.client(client, SERVER_NAME, server_port=port),
        Connection.server(server),
    )
    shake_hands(*pair)
    return pair[0].negotiated.group, pair[1].negotiated.hello_retry_request


def shares_of(
    config: ClientConfig, name: str = SERVER_NAME, port: int | None = None
) -> Sequence[str]:
    """Return the groups of the key shares of the next ClientHello, which observers can read."""
    hello = sent_hello(Connection.client(config, name, server_port=port))
    shares = ext.decode_key_shares(hello.extensions[ExtensionType.key_share])
    return [GROUPS[code].name for code in shares]


def memory_of(config: ClientConfig) -> SelectedGroups:
    memory = config.parameters.selected_groups
    assert memory is not None
    return memory


def test_second_connection_needs_no_retry() -> None:
    client = new_client()
    assert connect(client, P384) == ("secp384r1", True)
    for _ in range(2):
        assert connect(client, P384) == ("secp384r1", False)


def test_post_quantum_share_remains() -> None:
    client = new_client()
    connect(client, P384)
    assert shares_of(client) == [HYBRID, "secp384r1"]
    # The server has a post-quantum group by now.
    assert connect(client, replace(SERVER, groups=[HYBRID, "secp384r1"])) == (HYBRID, False)
    assert shares_of(client) == DEFAULT


def test_another_post_quantum_group_is_remembered() -> None:
    client = replace(new_client(), groups=[HYBRID, "x25519", "SecP384r1MLKEM1024"])
    server = replace(SERVER, groups=["SecP384r1MLKEM1024"])
    assert connect(client, server) == ("SecP384r1MLKEM1024", True)
    assert shares_of(client) == ["x25519", "SecP384r1MLKEM1024"]
    assert connect(client, server) == ("SecP384r1MLKEM1024", False)


def test_server_that_changes_its_group() -> None:
    client = new_client()
    connect(client, P384)
    p256 = replace(SERVER, groups=["secp256r1"])
    assert connect(client, p256) == ("secp256r1", True)
    assert connect(client, p256) == ("secp256r1", False)
    assert connect(client, SERVER) == ("x25519", True)
    assert connect(client, SERVER) == ("x25519", False)
    assert not memory_of(client)


def test_group_is_remembered_for_one_name_and_port() -> None:
    client = new_client()
    connect(client, P384, port=443)
    assert shares_of(client, SERVER_NAME.upper() + ".", 443) == [HYBRID, "secp384r1"]
    assert shares_of(client, SERVER_NAME, 8443) == DEFAULT
    assert shares_of(client, SERVER_NAME) == DEFAULT
    assert shares_of(client, OTHER_NAME, 443) == DEFAULT
    assert shares_of(replace(client), SERVER_NAME, 443) == DEFAULT


@pytest.mark.parametrize(
    "options", [{"remember_groups": False}, {"key_shares": DEFAULT}], ids=lambda o: next(iter(o))
)
def test_client_that_does_not_remember(options: dict[str, object]) -> None:
    client = replace(new_client(), **options)
    for _ in range(2):
        assert connect(client, P384) == ("secp384r1", True)


def test_group_of_a_server_that_is_not_verified_is_not_remembered() -> None:
    stranger = new_client()
    client = replace(stranger, trust=CA().trust)
    with pytest.raises(CertificateError):
        connect(client, P384)
    assert not memory_of(client)
    client = ClientConfig(insecure_skip_verification=True)
    for _ in range(2):
        assert connect(client, P384) == ("secp384r1", True)


def test_number_of_remembered_servers_is_limited() -> None:
    memory = SelectedGroups()
    for port in range(MAX_SERVERS + 1):
        memory.remember((SERVER_NAME, port), 0x18)
        memory.remember((SERVER_NAME, 1), 0x18)  # which is never the oldest
    assert len(memory) == MAX_SERVERS
    assert (SERVER_NAME, 0) not in memory
    assert (SERVER_NAME, 1) in memory
    assert repr(memory) == "<SelectedGroups of 256 servers>"


def test_group_of_a_connection_of_tls_1_2_is_not_remembered() -> None:
    client = new_client()
    server = replace(P384, versions=["TLSv1.2"], groups=["P-384", "P-256"])
    assert connect(client, server) == ("secp384r1", False)
    assert not memory_of(client)


def test_early_data_is_accepted_without_a_retry() -> None:
    scenario = EarlyDataScenario()
    scenario.server = replace(scenario.server, groups=["secp256r1"])
    scenario.get_ticket()
    assert scenario.connect()[2] == EARLY


def test_hidden_name_is_not_remembered() -> None:
    """Observers can read the key shares of an encrypted ClientHello."""
    client = replace(ECH_CLIENT, groups=["x25519", "secp384r1"])
    server = replace(ECH_SERVER, groups=["secp384r1"])
    for _ in range(2):
        assert connect(client, server) == ("secp384r1", True)
    assert not memory_of(client)


def test_group_of_a_visible_name_is_not_in_an_encrypted_hello() -> None:
    known: list[str | bytes] = []

    def look_up(name: str) -> str | bytes | None:
        return known[0] if known else None

    client = replace(ECH_CLIENT, groups=["x25519", "secp384r1"], ech=look_up)
    connect(client, replace(ECH_SERVER, groups=["secp384r1"]))
    assert memory_of(client)
    assert isinstance(ECH_CLIENT.ech, bytes)
    known.append(ECH_CLIENT.ech)
    assert shares_of(client) == ["x25519"]


def test_group_of_a_server_that_rejected_ech_is_not_remembered() -> None:
    client = replace(ECH_CLIENT, groups=["x25519", "secp384r1"])
    error = failure_of(lambda: connect(client, replace(STALE_SERVER, groups=["secp384r1"])))
    assert isinstance(error, ECHRejected)
    assert not memory_of(client)


def test_grease_does_not_hide_the_name() -> None:
    client = replace(new_client(), ech="grease")
    assert connect(client, P384) == ("secp384r1", True)
    assert connect(client, P384) == ("secp384r1", False)


def test_names_are_not_in_the_repr() -> None:
    client = new_client()
    connect(client, P384)
    assert SERVER_NAME not in repr(memory_of(client))
    assert CLIENT.parameters.selected_groups == SelectedGroups()
