"""ECH keys that change while a server runs (RFC 9849 7.1, 8.1.1)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ech_pairs import ECH_CLIENT, ECH_SERVER, GROUPS, PLAIN_SERVER, PUBLIC_NAME, key, other_key
from engine_pairs import SERVER, connections, established, failure_of, shake_hands

from trio_tlsx.config.client import ClientConfig
from trio_tlsx.config.server import ServerConfig
from trio_tlsx.errors import ConfigError, ECHRejected
from trio_tlsx.messages.info import ClientHello
from trio_tlsx.pki.ech import ECHKey
from trio_tlsx.pki.ech_keys import ECHKeys

OLD_CLIENT = replace(ECH_CLIENT, ech=other_key.config_list)


def retry_configs(client: ClientConfig, server: ServerConfig) -> bytes | None:
    """Connect, and return the configurations that the client gets when it is rejected."""
    error = failure_of(lambda: shake_hands(*connections(client, server)))
    assert isinstance(error, ECHRejected)
    assert not error.is_disabled
    return error.retry_configs


def test_a_server_follows_a_change_of_its_keys() -> None:
    keys = ECHKeys(other_key)
    server = replace(ECH_SERVER, ech_keys=keys)
    established(OLD_CLIENT, server)
    assert retry_configs(ECH_CLIENT, server) == other_key.config_list
    keys.use([other_key, key])
    for client in (OLD_CLIENT, ECH_CLIENT):
        assert established(client, server)[1].negotiated.ech_accepted
    keys.use([key])
    assert keys.keys == (key,)
    assert retry_configs(OLD_CLIENT, server) == key.config_list


def test_a_change_during_a_handshake_does_not_matter() -> None:
    keys = ECHKeys(key)
    server_config = replace(ECH_SERVER, ech_keys=keys, groups=["x25519"])
    client, server = connections(replace(ECH_CLIENT, key_shares=["secp256r1"]), server_config)
    client.do_handshake()
    server.receive_data(client.data_to_send())
    server.do_handshake()  # sends a HelloRetryRequest
    keys.use(ECHKey.generate(PUBLIC_NAME))
    client.receive_data(server.data_to_send())
    shake_hands(client, server)
    assert server.negotiated.ech_accepted
    assert server.negotiated.hello_retry_request


@pytest.mark.parametrize(
    "other", [replace(SERVER, groups=GROUPS), replace(ECH_SERVER, ech_keys=other_key)]
)
def test_a_configuration_of_the_hook_has_no_say_in_the_keys(other: ServerConfig) -> None:
    """The first configuration decrypts, so a client that was rejected needs its key."""
    config = replace(other, credentials=ECH_SERVER.credentials)

    def select(hello: ClientHello) -> ServerConfig:
        return config

    server = replace(ECH_SERVER, credentials=None, select_credentials=select)
    assert retry_configs(OLD_CLIENT, server) == key.config_list
    established(ECH_CLIENT, server)


def test_a_server_without_keys_has_no_ech() -> None:
    client, server = connections(ECH_CLIENT, replace(PLAIN_SERVER, ech_keys=ECHKeys()))
    error = failure_of(lambda: shake_hands(client, server))
    assert isinstance(error, ECHRejected)
    assert error.is_disabled


def test_public_names_stay_those_that_the_server_has_certificates_for() -> None:
    keys = ECHKeys(key)
    with pytest.raises(ConfigError, match=r"is 'other\.example', which none of the first"):
        keys.use([key, ECHKey.generate("other.example")])
    assert keys.keys == (key,)
    with pytest.raises(ConfigError, match="keys is empty: pass at least one ECH key"):
        keys.use([])
    with pytest.raises(ConfigError, match="keys is of type bytes; pass an ECHKey"):
        keys.use(key.config_list)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigError, match=r"no certificate is for 'other\.example'"):
        replace(ECH_SERVER, ech_keys=ECHKeys(ECHKey.generate("other.example")))
    assert repr(keys) == "<ECHKeys, 1 keys>"
