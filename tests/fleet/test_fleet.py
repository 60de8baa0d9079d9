"""Several servers with one Redis server, behind haproxy."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from fleets import PUBLIC_NAME, Fleet, behind_haproxy, fleet_of, replay_often
from redis_servers import age_marker, redis_server

from trio_tlsx import ECHKey

pytestmark = pytest.mark.timeout(240)

NODES = ("north", "south", "west")


@asynccontextmanager
async def proxied_fleet(directory: Path, **options: Any) -> AsyncGenerator[Fleet, None]:
    """Three nodes behind haproxy, with a Redis server that has run for long."""
    with redis_server(directory / "redis") as redis:
        options = {"redis": redis.port, "proxied": True, **options}
        async with fleet_of(directory / "fleet", dict.fromkeys(NODES, options)) as fleet:
            age_marker(redis)
            async with behind_haproxy(fleet, directory):
                yield fleet


async def test_resumption_on_other_nodes(tmp_path: Path) -> None:
    async with proxied_fleet(tmp_path) as fleet:
        previous = (await fleet.connect(fleet.front)).node
        resumed = elsewhere = 0
        for _ in range(100):
            answer = await fleet.connect(fleet.front)
            elsewhere += answer.node != previous
            resumed += answer.resumed
            previous = answer.node
        assert elsewhere == 100
        assert resumed >= 99


async def test_recorded_flight_is_accepted_once_by_all_nodes(tmp_path: Path) -> None:
    async with proxied_fleet(tmp_path) as fleet:
        await fleet.connect(fleet.front)
        early, flight = await fleet.sent_until_accepted(100)
        await replay_often([fleet.front], flight, 10)
        assert (await fleet.accepted()) == {early: 1}
        refusals = [Counter((await node.report()).refusals) for node in fleet.nodes.values()]
        assert all(counted.total() > 30 for counted in refusals)
        assert sum(counted["replay"] for counted in refusals) > 0  # else Redis was too busy


async def test_rotation_under_load_loses_no_resumption(tmp_path: Path) -> None:
    """A key encrypts for four seconds here."""
    async with proxied_fleet(tmp_path, lifetime=8) as fleet:
        await fleet.connect(fleet.front)
        lost = count = 0
        keys: set[bytes] = set()
        with trio.fail_after(120):
            while len(keys) < 4:
                keys.add(fleet.sessions.sessions[-1].ticket[:8])
                answer = await fleet.connect(fleet.front)
                count += 1
                lost += not answer.resumed
        assert count > 10
        assert lost == 0


async def test_rotation_of_ech_keys_rejects_no_client_twice(tmp_path: Path) -> None:
    """A key is the current one for four seconds here."""
    unknown = ECHKey.generate(PUBLIC_NAME).config_list
    with redis_server(tmp_path / "redis") as redis:
        options = {"redis": redis.port, "lifetime": 8, "public_names": [PUBLIC_NAME]}
        async with fleet_of(tmp_path / "fleet", {"north": options, "south": options}) as fleet:
            north, south = (node.port for node in fleet.nodes.values())
            seen = [await fleet.has_ech_rejected(north, unknown)]
            with trio.fail_after(120):
                while len(seen) < 4:
                    for one, other in ((north, south), (south, north)):
                        current = await fleet.has_ech_rejected(one, unknown)
                        await fleet.uses_ech(other, current)
                        await fleet.uses_ech(other, seen[-1])
                        seen += [] if current in seen else [current]
