from __future__ import annotations

from functools import partial

import pytest
from meetings import Connect, Hook, MakeHook, over_memory, over_sockets

from trio_tlsx.testing import CA


@pytest.fixture(scope="session")
def ca() -> CA:
    return CA()


@pytest.fixture(params=[over_memory, over_sockets], ids=["memory", "socket"])
def connect(request: pytest.FixtureRequest) -> Connect:
    return request.param


@pytest.fixture(params=[False, True], ids=["plain", "async"])
def make_hook(request: pytest.FixtureRequest) -> MakeHook:
    return partial(Hook, asynchronous=request.param)
