from __future__ import annotations

import pytest
from trio_suite import put_ours_in_place


@pytest.fixture(autouse=True)
def trios_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some of trio's tests look its names up when they run."""
    put_ours_in_place(monkeypatch)
