from __future__ import annotations

from typing import Any

import pytest
from processes import peer_program

pytest.register_assert_rewrite("conversations")

from authority import KEY_TYPES, RSA_PSS, Authority  # noqa: E402


@pytest.fixture(autouse=True)
def installed(request: pytest.FixtureRequest) -> None:
    """Skip, or in CI fail, for want of a program: here, where no nursery wraps the reason."""
    names = {"peer_role", "scheme"} & set(request.fixturenames)
    parameters: dict[str, Any] = {name: request.getfixturevalue(name) for name in names}
    if "peer_role" in parameters:
        parameters["peer_role"].peer.require()
    if KEY_TYPES.get(parameters.get("scheme", "")) == RSA_PSS:
        peer_program("openssl")  # makes the certificate


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Another CA, which nobody trusts."""
    return Authority(tmp_path_factory.mktemp("stranger"))
