"""Mistakes in a configuration: each raises ConfigError when the configuration is created."""

from __future__ import annotations

import pytest
from engine_pairs import (
    authority,
    credentials,
)

from trio_tlsx.config.server import ServerConfig
from trio_tlsx.errors import ConfigError


def test_client_trust_without_client_auth_raises() -> None:
    with pytest.raises(ConfigError, match="client_auth"):
        ServerConfig(credentials=credentials(), client_trust=authority.trust)
