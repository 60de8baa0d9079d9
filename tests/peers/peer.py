"""The task of a peer in one connection, and its report afterwards."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import ClassVar, Literal, TypeAlias

import trio

from trio_tlsx.crypto.groups import GROUPS
from trio_tlsx.errors import AlertDescription

Role: TypeAlias = Literal["client", "server"]

#: Nothing here takes this long: something hangs, in seconds. (A mebibyte through tlslite-ng there
#: and back takes five seconds of a processor.)
SAFETY_NET = 60


@dataclass(frozen=True)
class Part:
    """What the peer does: handshake, send back what it gets, close.

    Attributes:
        credentials: the files of its certificate chain and key; a client's are for servers that
            ask.
        trust: the file of the CAs that it trusts; a server that has one asks for a certificate.
        server_name: whom a client expects to talk to.
        group: the only group that it knows, by the name of the IANA registry.
        key_share: the only group that a client of tlslite sends a key share of.
        alpn_protocols: its application protocols.
        tls12_only: it knows nothing newer.
        session_ids: it has no session tickets, so that TLS 1.2 resumes by session ids.
        falls_back: a client claims that it tried something newer before.
        compresses: it compresses its certificate, with zlib, where it may.
        refuses: what it gets to see is not to its liking.
        cookie: a server has its client repeat a cookie.
        echo: how many bytes it waits for, and sends back.
        streams: it sends back what has come at once, and does not wait for the rest.
        closes_first: it sends ``close_notify`` first, and not in answer to ours.
        leaves: it closes its socket without ``close_notify``.
        cancels: a JDK closes without reading on, so that it sends ``user_canceled`` first.
        key_limit: after how much data a JDK updates its keys, such as ``2^20`` bytes.
        http: a server answers one request with a page, and closes first.
        connections: how many conversations it has, one after the other; each client resumes the
            session of the one before.
        tickets: how many session tickets a server gives, where it is not what it gives by itself.
        updates_keys: it changes its keys, and asks for new ones, before it sends back what it got.
        exports: the label of keying material that it exports.
        psk: a pre-shared key: its identity, itself, and its hash.
        ech_configs: a client's configurations of Encrypted Client Hello.
        ech_grease: a client sends a GREASE value in place of an encrypted ClientHello.
        ech_key: the file of a server's key and configuration (RFC 9934).
        early_data: what a client sends at once in a resumption; a server accepts early data.
        staple: the file of an OCSP response, which a server staples and a client expects.
    """

    _: KW_ONLY
    credentials: tuple[Path, Path] | None = None
    trust: Path | None = None
    server_name: str | None = None
    group: str | None = None
    key_share: str | None = None
    alpn_protocols: tuple[str, ...] = ()
    tls12_only: bool = False
    session_ids: bool = False
    falls_back: bool = False
    compresses: bool = False
    refuses: bool = False
    cookie: bool = False
    echo: int = 0
    streams: bool = False
    closes_first: bool = False
    leaves: bool = False
    cancels: bool = False
    key_limit: str = ""
    http: bool = False
    connections: int = 1
    tickets: int | None = None
    updates_keys: bool = False
    exports: str = ""
    psk: tuple[str, bytes, str] | None = None
    ech_configs: bytes = b""
    ech_grease: bool = False
    ech_key: Path | None = None
    early_data: bytes = b""
    staple: Path | None = None


@dataclass(frozen=True)
class Saw:
    """What a peer tells of a conversation.

    Attributes:
        alert: the last alert that it got, ``close_notify`` among them; None without any.
        story: what else it said, for whoever reads a failed test.
        resumed: whether it resumed a session; None where it did not come to that.
        exported: its keying material, where it was to export some.
        ech: whether the inner ClientHello was accepted; None if it does not say.
        retry_configs: what a rejected client got to try again with: an ECHConfigList, or what
            identifies it.
    """

    alert: AlertDescription | None
    story: str = ""
    resumed: bool | None = None
    exported: bytes | None = None
    ech: bool | None = None
    retry_configs: bytes | None = None


class CannotDoThat(Exception):
    """The peer has no way to play this part."""


@dataclass(frozen=True)
class Inability:
    """Something that a peer cannot do.

    Attributes:
        why: the reason.
        shows_as: what its test then ends with.
    """

    why: str
    shows_as: type[BaseException]


#: What it is that a peer cannot do, in which role: the name of a group, or what a test calls it.
Inabilities: TypeAlias = Mapping[tuple[Role, str], Inability]


#: How much keying material is exported, in bytes.
EXPORTED_LENGTH = 32

#: The post-quantum groups that OpenSSL offers and accepts by default, since which version.
POST_QUANTUM_OF_OPENSSL = {"X25519MLKEM768": (3, 5), "SecP256r1MLKEM768": (4, 0)}

FIRST_OPENSSL_WITH_MLDSA = (3, 5)


def inabilities_of_openssl(
    version: tuple[int, ...], cannot_load: type[BaseException]
) -> Inabilities:
    """What an OpenSSL of this version cannot do, unless it is told to.

    Args:
        cannot_load: how the certificate of a server shows that is of an unknown kind.
    """
    number = ".".join(map(str, version[:2]))
    inabilities: dict[tuple[Role, str], Inability] = {}
    for group in GROUPS.values():
        since = POST_QUANTUM_OF_OPENSSL.get(group.name)
        if group.is_post_quantum and (since is None or version < since):
            why = f"OpenSSL {number} does not have {group.name} among its default groups"
            inability = Inability(why, trio.BrokenResourceError)
            inabilities["client", group.name] = inabilities["server", group.name] = inability
    if version < FIRST_OPENSSL_WITH_MLDSA:
        inabilities |= without_mldsa(f"OpenSSL {number} has no ML-DSA", cannot_load)
    return inabilities


def without_mldsa(why: str, cannot_load: type[BaseException]) -> Inabilities:
    """What a peer cannot do that knows nothing of ML-DSA; ``cannot_load`` as above."""
    inabilities: dict[tuple[Role, str], Inability] = {}
    for scheme in ("mldsa44", "mldsa65", "mldsa87"):
        inabilities["client", scheme] = Inability(why, trio.BrokenResourceError)
        inabilities["server", scheme] = Inability(why, cannot_load)
    return inabilities


def without_groups(why: str, *groups: str) -> Inabilities:
    """What a peer lacks: these groups, in both roles."""
    inability = Inability(why, trio.BrokenResourceError)
    inabilities: dict[tuple[Role, str], Inability] = {}
    for group in groups:
        inabilities["client", group] = inabilities["server", group] = inability
    return inabilities


class Peer(ABC):
    """Another implementation of TLS.

    Attributes:
        name: for the test's name.
        cannot: what it cannot do. Those tests run all the same, and have to fail.
        key_share: the group of the key share that its client sends by default, beside a
            post-quantum one.
        serves_on: its server does not end by itself, and does not say what it saw.
    """

    name: ClassVar[str]
    cannot: ClassVar[Inabilities]
    key_share: ClassVar[str] = "x25519"
    serves_on: ClassVar[bool] = False

    def require(self) -> None:  # noqa: B027 - what is a Python package is there
        """Skip the test, or in CI fail it, where this peer is not installed."""

    @abstractmethod
    async def serve(
        self, part: Part, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED
    ) -> Sequence[Saw]:
        """Be the server of the part's connections; the port is what it starts with."""

    @abstractmethod
    async def call(self, part: Part, port: int) -> Sequence[Saw]:
        """Be the client of the part's connections."""
