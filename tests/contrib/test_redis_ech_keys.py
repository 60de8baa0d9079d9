"""ECH keys in Redis: what servers do with them while they rotate (RFC 9849 7.1)."""

from __future__ import annotations

import secrets
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from ech_pairs import ECH_CLIENT, ECH_SERVER, PUBLIC_NAME, key
from engine_pairs import connections, shake_hands
from one_store import OneStore, sharing
from redis_servers import RedisServer, connected, redis_server

from trio_tlsx import ConfigError, ECHKey, ECHRejected, ServerConfig
from trio_tlsx.contrib.redis import RedisConnections, RedisECHKeys
from trio_tlsx.sessions.sealing import seal

WRAPPING = secrets.token_bytes(32)
LIFETIME = 7200
PERIOD = LIFETIME // 2
UNKNOWN = key.config_list


def make(redis: RedisConnections, **options: Any) -> RedisECHKeys:
    options = {"lifetime": LIFETIME, **options}
    return RedisECHKeys(redis, [WRAPPING], PUBLIC_NAME, **options)


def accepts(keys: RedisECHKeys, configs: bytes) -> bool:
    """Whether a server with these keys decrypts what a client encrypts to this configuration."""
    return retry_configs(keys, configs) is None


def retry_configs(keys: RedisECHKeys, configs: bytes) -> bytes | None:
    """Connect to a server with these keys; return the configurations of a rejection."""
    server_config: ServerConfig = replace(ECH_SERVER, ech_keys=keys)
    client, server = connections(replace(ECH_CLIENT, ech=configs), server_config)
    try:
        shake_hands(client, server)
    except ECHRejected as error:
        return error.retry_configs or b"disabled"
    assert server.negotiated.ech_accepted
    return None


@pytest.fixture
def store() -> OneStore:
    return OneStore()


async def test_a_second_try_is_accepted_by_every_server_through_all_rotations(
    store: OneStore, autojump_clock: trio.testing.MockClock
) -> None:
    one, other = make(store), make(store)
    async with sharing(one, other):
        seen: set[bytes] = set()
        for _ in range(10 * 20):  # ten hours, that is, ten periods
            retry = retry_configs(one, UNKNOWN)
            assert retry is not None
            seen.add(retry)
            assert accepts(other, retry)
            await trio.sleep(180)
            assert accepts(other, retry)
        assert len(seen) in (10, 11)
        assert one.problem is other.problem is None


async def test_a_configuration_can_be_used_for_its_lifetime_and_not_for_long_after(
    store: OneStore, autojump_clock: trio.testing.MockClock
) -> None:
    one, other = make(store), make(store)
    async with sharing(one, other):
        configs = await one.wait_config_list()
        await trio.sleep(LIFETIME)
        assert accepts(other, configs)
        await trio.sleep(PERIOD + 1)
        assert retry_configs(other, configs) == await other.wait_config_list()


async def test_next_key_is_known_before_its_configuration_is_sent(
    store: OneStore, autojump_clock: trio.testing.MockClock
) -> None:
    """A server that loses Redis for nearly a period still decrypts all, and is understood."""
    cut_off_store = OneStore()
    one, cut_off = make(store), make(cut_off_store)
    async with sharing(one):
        cut_off_store.keys = store.keys
        async with sharing(cut_off):
            before = await one.wait_config_list()
            cut_off_store.absent = True
            await trio.sleep(PERIOD + 30)
            assert cut_off.problem == "the request to Redis failed (unreachable)"
            after = await one.wait_config_list(before)
            assert retry_configs(cut_off, UNKNOWN) == after != before
            for keys in (one, cut_off):
                assert accepts(keys, before)
                assert accepts(keys, after)


class FullStore(OneStore):
    """It takes no key, as where someone else writes entries that no server can decrypt."""

    async def run_script(self, script: object, keys: object, arguments: Sequence[Any]) -> Any:
        now, *_ = await super().run_script(script, keys, arguments[:2])
        return [now]


async def test_proposed_keys_do_not_add_up(autojump_clock: trio.testing.MockClock) -> None:
    """A server proposes two keys each time that it asks, and there are 256 ids of keys."""
    keys = make(FullStore())
    async with sharing(keys):
        await trio.sleep(4 * 3600)
        assert keys.problem == "Redis has no key that a key-encryption key of this server opens"
        assert accepts(keys, keys.keys[0].config_list)


async def test_server_that_loses_redis_goes_on_with_what_it_knows(
    store: OneStore, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    short = {"lifetime": 120}
    keys = make(store, **short)
    async with sharing(keys):
        configs = await keys.wait_config_list()
        store.absent = True
        await trio.sleep(5 * 60)
        following = await keys.wait_config_list(configs)
        assert retry_configs(keys, UNKNOWN) == following
        assert accepts(keys, following)
        store.absent = False
        await trio.sleep(10)
        assert keys.problem is None
    assert "ECH keys: the request to Redis failed (unreachable); this server uses" in caplog.text


async def test_configuration_is_published_only_if_other_servers_know_it(
    store: OneStore, autojump_clock: trio.testing.MockClock
) -> None:
    store.absent = True
    keys = make(store)
    published: list[bytes] = []

    async def publish() -> None:
        configs = None
        while True:
            configs = await keys.wait_config_list(configs)
            published.append(configs)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(publish)
        async with sharing(keys):
            own = retry_configs(keys, UNKNOWN)
            await trio.sleep(60)
            assert published == []
            store.absent = False
            await trio.sleep(3 * PERIOD)
        nursery.cancel_scope.cancel()
    assert len(published) == len(set(published)) == 4
    assert own not in published


async def test_key_of_another_public_name_is_not_used(
    store: OneStore, autojump_clock: trio.testing.MockClock
) -> None:
    """The server may have no certificate for it; nor is an answer used that is no key."""
    keys = make(store)
    async with sharing(keys):
        present, coming = sorted(store.keys)
        context = keys._rotation._context  # pyright: ignore[reportPrivateUsage]
        configs = await keys.wait_config_list()
        other = ECHKey.generate("other.example").to_pem()
        for pem in (other, b"no key"):
            store.keys[coming] = seal(WRAPPING, pem, context(coming))
            await trio.sleep(60)
            assert keys.problem == "the next key is not known yet"
        store.keys[present] = seal(WRAPPING, other, context(present))
        new = make(store)
        async with sharing(new):
            assert new.problem == "Redis has no key that a key-encryption key of this server opens"
            assert accepts(keys, configs)


async def test_new_key_gets_another_id_than_those_that_are_known(
    store: OneStore, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trio_tlsx.pki.ech._random.choice", min)
    keys = make(store)
    async with sharing(keys):
        await trio.sleep(6 * PERIOD)
        ids = [key.config.config_id for key in keys.keys]
    assert len(set(ids)) == len(ids) == 4


async def test_options_are_those_of_new_keys(
    store: OneStore, autojump_clock: trio.testing.MockClock
) -> None:
    keys = make(store, kem="P-256", maximum_name_length=100)
    async with sharing(keys):
        config = keys.keys[0].config
    assert (config.kem_id, config.maximum_name_length) == (0x0010, 100)
    assert repr(keys) == "<RedisECHKeys, 2 keys, shared>"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"lifetime": 1}, "lifetime is 1; pass at least 2 seconds"),
        ({"lifetime": 10**9}, "lifetime is 1000000000; pass at most 31622400 seconds"),
        ({"lifetime": 0.5}, "lifetime is of type float"),
        ({"prefix": b"x"}, "prefix is of type bytes"),
        ({"kem": "X448"}, "kem is 'X448'"),
    ],
)
def test_arguments_are_checked(store: OneStore, options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        make(store, **options)
    with pytest.raises(ConfigError, match="is no host name"):
        RedisECHKeys(store, [WRAPPING], "192.0.2.1")
    with pytest.raises(ConfigError, match="key_encryption_keys is empty"):
        RedisECHKeys(store, [], PUBLIC_NAME)


def test_the_public_name_needs_a_certificate(store: OneStore) -> None:
    with pytest.raises(ConfigError, match=r"no certificate is for 'other\.example'"):
        replace(ECH_SERVER, ech_keys=RedisECHKeys(store, [WRAPPING], "other.example"))


# With a real server


@pytest.fixture
def server(tmp_path: Path) -> Generator[RedisServer, None, None]:
    with redis_server(tmp_path) as running:
        yield running


async def test_real_server_rotates_and_never_sees_a_private_key(server: RedisServer) -> None:
    """A key is the current one for two seconds here."""
    async with connected(server) as redis:
        one, other = make(redis, lifetime=4), make(redis, lifetime=4)
        async with sharing(one, other):
            configs: bytes | None = None
            for _ in range(3):
                before, configs = configs, await one.wait_config_list(configs)
                assert accepts(other, configs)
                assert before is None or accepts(other, before)
                retry = retry_configs(other, UNKNOWN)
                assert retry is not None
                assert accepts(one, retry)
            name = f"trio-tlsx:ech-keys:4:{PUBLIC_NAME}"
            stored = server.command("HVALS", name)
            assert stored
            assert "PRIVATE" not in stored
