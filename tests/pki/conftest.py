from __future__ import annotations

import pytest

from trio_tlsx.pki.trust import TrustStore


@pytest.fixture(params=["cryptography", "openssl"])
def verifier(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each verifier, made the default of the trust stores that the test makes."""
    for make in (TrustStore.__init__, TrustStore.from_certificates.__func__):
        defaults = make.__kwdefaults__
        assert defaults is not None
        monkeypatch.setitem(defaults, "verifier", request.param)
    return request.param
