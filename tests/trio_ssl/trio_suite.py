"""trio's own tests of its TLS, as its wheel has them, with our names in the place of trio's."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

import pytest
import trio
import trio._highlevel_ssl_helpers as helpers
import trio._ssl as implementation

import trio_tlsx

TEST_SSL = "trio._tests.test_ssl"
TEST_HELPERS = "trio._tests.test_highlevel_ssl_helpers"

OURS = {
    "SSLStream": trio_tlsx.TLSStream,
    "SSLListener": trio_tlsx.TLSListener,
    "open_ssl_over_tcp_stream": trio_tlsx.open_tls_over_tcp_stream,
    "open_ssl_over_tcp_listeners": trio_tlsx.open_tls_over_tcp_listeners,
    "serve_ssl_over_tcp": trio_tlsx.serve_tls_over_tcp,
}


def put_ours_in_place(patch: pytest.MonkeyPatch) -> None:
    """Have trio's modules mean ours by these names."""
    for name, value in OURS.items():
        for module in (trio, implementation, helpers):
            if hasattr(module, name):
                patch.setattr(module, name, value)


def trios_tests() -> list[ModuleType]:
    """Import both modules anew, while trio's names mean ours."""
    with pytest.MonkeyPatch.context() as patch:
        put_ours_in_place(patch)
        return [load(TEST_SSL, patch), load(TEST_HELPERS, patch)]


def load(name: str, patch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    patch.setitem(sys.modules, name, module)  # the second module imports from the first
    spec.loader.exec_module(module)
    for ours in OURS.keys() & vars(module).keys():
        assert vars(module)[ours] is OURS[ours]
    return module


def collectable(modules: list[ModuleType]) -> dict[str, object]:
    """What pytest is to find of them."""
    return {
        name: value
        for module in modules
        for name, value in vars(module).items()
        if name.startswith("test_") or name == "client_ctx"
    }
