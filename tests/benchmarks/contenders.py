"""The contenders: the TLS libraries that are measured, each with one way to use it.

A contender is a way to use TLS from a Python program. Its client and its server run in processes
of their own. `programs.py` has what the processes do, written once for all contenders: a contender
that blocks runs the same coroutines, which then never suspend.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, Protocol, TypeAlias

from .settings import PKI, Setting


class Stream(Protocol):
    """The methods of a contender's connection. `receive_some` returns no bytes at the end."""

    def send_all(self, data: bytes | bytearray, /) -> Awaitable[Any]: ...

    def receive_some(self) -> Awaitable[bytes | bytearray]: ...


@dataclass(frozen=True)
class Facts:
    """The suite and the kind of handshake that a connection reports; None if it does not."""

    suite: str | None
    resumed: bool | None


Handler: TypeAlias = Callable[[Any], Coroutine[Any, Any, None]]
Program: TypeAlias = Callable[[], Coroutine[Any, Any, Any]]


class Contender(ABC):
    """A contender in one process, as a client or as a server.

    Attributes:
        name: its name in reports.
        module: the module that it needs.
        package: the distribution to install for that.
        tls: False for the limits without TLS.
        slowness: the factor by which it gets less data than the others.
        full_duplex: one task may send while another receives.
        resumes: its clients can resume.
        plain_only: it is measured in the plain setting only.
        max_connections: the most connections that its processes are asked to keep.
        notes: what a reader of its figures has to know.
    """

    name: ClassVar[str]
    module: ClassVar[str]
    package: ClassVar[str] = ""
    tls: ClassVar[bool] = True
    slowness: ClassVar[int] = 1
    full_duplex: ClassVar[bool] = True
    resumes: ClassVar[bool] = True
    plain_only: ClassVar[bool] = False
    max_connections: ClassVar[int] = 10_000
    notes: ClassVar[str] = ""

    def __init__(self, pki: PKI, setting: Setting) -> None:
        self.pki = pki
        self.setting = setting

    @classmethod
    def missing(cls) -> str | None:
        """Return why this Python cannot run the contender; None if it can."""
        try:
            import_module(cls.module)
        except ImportError as error:
            return f"{cls.package or cls.module} is not installed: {error}"
        return None

    @abstractmethod
    def run(self, program: Program) -> None:
        """Run a program in the contender's event loop, if it has one."""

    @abstractmethod
    async def together(self, programs: Sequence[Program]) -> None:
        """Run programs concurrently."""

    @abstractmethod
    async def serve(self, handler: Handler, announce: Callable[[int], None]) -> None:
        """Serve on a port, which is announced; call the handler with each connection."""

    @abstractmethod
    async def connect(self, port: int) -> Any:
        """Connect and complete the handshake, or leave that to the first `send_all`."""

    @abstractmethod
    async def close(self, stream: Any) -> None:
        """Close a connection in the way that the library documents."""

    @abstractmethod
    def facts(self, stream: Any) -> Facts:
        """Read the suite and the kind of handshake from a connection that has received data."""

    def keep_session(self, stream: Any) -> None:  # noqa: B027 - for some, there is nothing to do
        """Resume this connection's session next; for libraries that do not do so themselves."""


#: The module and the class of each contender: ours first, the limit last. A process imports one.
PLACES = {
    "trio_tlsx": ("on_trio", "Ours"),
    "trio.SSLStream": ("on_trio", "TrioSSL"),
    "asyncio": ("on_asyncio", "Asyncio"),
    "asyncio streams": ("on_asyncio", "AsyncioStreams"),
    "uvloop": ("on_asyncio", "UVLoop"),
    "aiofastnet": ("on_asyncio", "AIOFastNet"),
    "blocking ssl": ("on_threads", "BlockingSSL"),
    "anyio on trio": ("on_trio", "AnyIO"),
    "pyOpenSSL": ("on_trio", "PyOpenSSL"),
    "tlslite-ng": ("on_threads", "TLSLite"),
    "raw trio TCP": ("on_trio", "RawTCP"),
}


def contender_named(name: str) -> type[Contender]:
    module, attribute = PLACES[name]
    return getattr(import_module(f".{module}", __package__), attribute)
