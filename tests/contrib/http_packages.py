"""The HTTP clients of two families, each with our adapter for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpcore
import httpcore2
import httpx
import httpx2

import trio_tlsx.contrib.httpcore
import trio_tlsx.contrib.httpcore2
import trio_tlsx.contrib.httpx
import trio_tlsx.contrib.httpx2

__all__ = ["PACKAGES", "HTTPPackage"]


@dataclass(frozen=True)
class HTTPPackage:
    """A client, what it is built on, and what we add to both."""

    name: str
    httpx: Any
    httpcore: Any
    http_transport: Callable[..., Any]
    mounts: Callable[..., dict[str, Any]]
    backend: Callable[..., Any]


PACKAGES = [
    HTTPPackage(
        "httpx",
        httpx,
        httpcore,
        trio_tlsx.contrib.httpx.http_transport,
        trio_tlsx.contrib.httpx.mounts,
        trio_tlsx.contrib.httpcore.Backend,
    ),
    HTTPPackage(
        "httpx2",
        httpx2,
        httpcore2,
        trio_tlsx.contrib.httpx2.http_transport,
        trio_tlsx.contrib.httpx2.mounts,
        trio_tlsx.contrib.httpcore2.Backend,
    ),
]
