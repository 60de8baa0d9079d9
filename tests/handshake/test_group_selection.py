"""The server's choice of a group, and when it asks for another key share (RFC 9846 4.3.8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import pytest
from early_data_scenarios import EARLY, EarlyDataScenario
from ech_pairs import ECH_CLIENT, ECH_SERVER
from engine_pairs import CLIENT, SERVER, connections, established, read_all, shake_hands
from hellos import exchange, flight, retry_of

from trio_tlsx.config.client import ClientConfig
from trio_tlsx.config.server import ServerConfig
from trio_tlsx.crypto.groups import GROUPS
from trio_tlsx.messages import extensions as ext
from trio_tlsx.messages.extensions import ExtensionType

HYBRID = "X25519MLKEM768"
ALL = (HYBRID, "x25519", "secp256r1", "secp384r1")

RetryForGroup = Literal["never", "post_quantum", "always"]


def select(
    ours: Sequence[str],
    theirs: Sequence[str],
    shares: Sequence[str],
    retry_for_group: RetryForGroup = "post_quantum",
) -> tuple[str | None, bool | None]:
    """The group that a server selects, and whether it sent a HelloRetryRequest for it."""
    client, server = established(
        replace(CLIENT, groups=theirs, key_shares=shares),
        replace(SERVER, groups=ours, retry_for_group=retry_for_group),
    )
    assert client.negotiated.hello_retry_request is server.negotiated.hello_retry_request
    assert client.negotiated.group == server.negotiated.group
    return server.negotiated.group, server.negotiated.hello_retry_request


@pytest.mark.parametrize(
    ("ours", "theirs", "shares", "selected"),
    [
        (ALL, ALL, ["x25519"], (HYBRID, True)),
        (ALL, ["x25519", HYBRID], ["x25519"], (HYBRID, True)),
        (ALL, ALL, [], (HYBRID, True)),
        (ALL, ALL, [HYBRID], (HYBRID, False)),
        (ALL, ALL, ["secp256r1", "x25519"], (HYBRID, True)),
        # The client has no post-quantum group.
        (ALL, ALL[1:], ["secp256r1"], ("secp256r1", False)),
        # The server has none, or prefers another.
        (ALL[1:], ALL, ["secp384r1"], ("secp384r1", False)),
        (["x25519", HYBRID], ALL, ["x25519"], ("x25519", False)),
        (["x25519", HYBRID, "secp256r1"], ALL, ["secp256r1"], (HYBRID, True)),
        # One post-quantum group is as good as another.
        (["SecP384r1MLKEM1024", HYBRID], [HYBRID, "SecP384r1MLKEM1024"], [HYBRID],
         (HYBRID, False)),
    ],
)  # fmt: skip
def test_server_retries_for_a_preferred_post_quantum_group(
    ours: Sequence[str], theirs: Sequence[str], shares: Sequence[str], selected: tuple[str, bool]
) -> None:
    assert select(ours, theirs, shares) == selected


@pytest.mark.parametrize(
    ("retry_for_group", "shares", "selected"),
    [
        ("never", ["x25519"], ("x25519", False)),
        ("never", ["secp256r1"], ("secp256r1", False)),
        ("never", [], (HYBRID, True)),
        ("always", ["x25519"], (HYBRID, True)),
        ("always", [HYBRID], (HYBRID, False)),
    ],
)
def test_retry_for_group(
    retry_for_group: RetryForGroup, shares: Sequence[str], selected: tuple[str, bool]
) -> None:
    assert select(ALL, ALL, shares, retry_for_group) == selected


def test_always_retries_for_the_most_preferred_group() -> None:
    groups = ["secp384r1", "x25519"]
    assert select(groups, groups, ["x25519"], "always") == ("secp384r1", True)
    assert select(groups, groups, ["x25519"]) == ("x25519", False)


def test_default_configurations_need_no_retry() -> None:
    client, server = established(
        ClientConfig(trust=CLIENT.trust), ServerConfig(credentials=SERVER.credentials)
    )
    assert client.negotiated.group == HYBRID
    assert not server.negotiated.hello_retry_request


def test_one_retry_asks_for_the_group_and_the_cookie() -> None:
    client, server = connections(
        replace(CLIENT, groups=ALL, key_shares=["x25519"]),
        replace(SERVER, groups=ALL, require_cookie=True),
    )
    flight(client, server)
    extensions = retry_of(flight(server, client)).extensions
    group = ext.decode_uint16(extensions[ExtensionType.key_share], "key_share")
    assert GROUPS[group].name == HYBRID
    assert ExtensionType.cookie in extensions
    shake_hands(client, server)
    exchange(client, server)


@pytest.mark.parametrize("resend", [False, True])
def test_retry_for_a_post_quantum_group_rejects_early_data(resend: bool) -> None:
    scenario = EarlyDataScenario()
    scenario.client = replace(scenario.client, groups=ALL)
    scenario.server = replace(scenario.server, groups=ALL)
    scenario.get_ticket()
    assert scenario.connect()[2] == EARLY
    scenario.client = replace(scenario.client, key_shares=["x25519"])
    client, server, early = scenario.connect(resend_early_data=resend)
    assert early == b""
    assert server.negotiated.resumed
    assert server.negotiated.group == HYBRID
    assert server.negotiated.hello_retry_request
    assert read_all(server) == (EARLY if resend else b"")
    exchange(client, server)
    scenario.server = replace(scenario.server, retry_for_group="never")
    assert scenario.connect()[2] == EARLY


def test_retry_for_a_post_quantum_group_of_an_encrypted_client_hello() -> None:
    client, server = established(
        replace(ECH_CLIENT, groups=ALL, key_shares=["x25519"]), replace(ECH_SERVER, groups=ALL)
    )
    for one in (client, server):
        assert one.negotiated.ech_accepted
        assert one.negotiated.hello_retry_request
        assert one.negotiated.group == HYBRID
