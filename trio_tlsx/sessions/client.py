"""Client-side sessions and their storage (RFC 9846 2.2)."""

from __future__ import annotations

import datetime
from collections import OrderedDict
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ..arguments import INT, Expected, check
from ..clock import EPOCH, MILLISECOND
from ..crypto.cipher_suites import CIPHER_SUITES
from ..errors import ConfigError, ProtocolError
from ..messages.codec import Reader, opaque8, opaque16, opaque24, uint8, uint16, uint32, uint64
from ..pki.certificates import MALFORMED
from .sealing import KEY_LENGTH, seal, unseal

__all__ = ["MemorySessionStore", "Session", "SessionStore"]

BYTE_FORM_VERSION = 1
BYTE_FORM_CONTEXT = b"trio-tlsx session"

#: How long after the server showed its certificate it can be resumed, over however many
#: connections (RFC 9846 4.7.1 recommends that there be a limit).
MAX_AGE = datetime.timedelta(days=7)

_SUITE_CODES = {suite.name: suite.code for suite in CIPHER_SUITES.values()}


@dataclass(frozen=True, slots=True)
class Session:
    """What a client needs to resume a connection, once.

    Attributes:
        server_name: whom the certificate was verified for.
        port: on which it was reached, None where that is not known.
        context: under which trust, see ``ClientConfig.session_context``.
        cipher_suite: of the connection.
        peer_certificates: the server's chain.
        signature_scheme: what it signed with.
        verified_at: when the chain was verified.
        received_at: when the ticket came.
        lifetime: how long the ticket is good from then, in seconds.
        ticket: what the server will know us by.
        ticket_age_add: what hides the ticket's age from others (RFC 9846 4.3.11).
        secret: the pre-shared key.
        alpn_protocol: the application protocol, which any early data must be of; None if none
            was negotiated.
        max_early_data_size: how much early data the server may take, in bytes; 0 for none.
    """

    server_name: str
    port: int | None
    context: bytes
    cipher_suite: str
    peer_certificates: tuple[x509.Certificate, ...] = field(repr=False)
    signature_scheme: str
    verified_at: datetime.datetime
    received_at: datetime.datetime
    lifetime: int
    ticket: bytes = field(repr=False)
    ticket_age_add: int = field(repr=False)
    secret: bytes = field(repr=False)
    alpn_protocol: str | None = None
    max_early_data_size: int = 0

    @property
    def expires_at(self) -> datetime.datetime:
        """From when on it cannot be used: ticket, verification or a certificate has ended."""
        return min(
            self.received_at + datetime.timedelta(seconds=self.lifetime),
            self.verified_at + MAX_AGE,
            *(certificate.not_valid_after_utc for certificate in self.peer_certificates),
        )

    def to_bytes(self, key: bytes) -> bytes:
        """Seal it, for a store outside the process.

        The first byte is the version of the form; the rest is encrypted and authenticated.

        Args:
            key: 32 random bytes that only those have who may resume.

        Raises:
            ConfigError: the key is of the wrong length.
        """
        certificates = b"".join(
            opaque24(certificate.public_bytes(Encoding.DER))
            for certificate in self.peer_certificates
        )
        plaintext = b"".join(
            (
                opaque16(self.server_name.encode()),
                uint16(self.port or 0),
                opaque16(self.context),
                uint16(_SUITE_CODES[self.cipher_suite]),
                opaque24(certificates),
                opaque8(self.signature_scheme.encode("ascii")),
                uint64(_milliseconds(self.verified_at)),
                uint64(_milliseconds(self.received_at)),
                uint32(self.lifetime),
                opaque16(self.ticket),
                uint32(self.ticket_age_add),
                opaque8(self.secret),
                opaque8((self.alpn_protocol or "").encode("latin-1")),
                uint32(self.max_early_data_size),
            )
        )
        return uint8(BYTE_FORM_VERSION) + seal(_checked(key), plaintext, BYTE_FORM_CONTEXT)

    @classmethod
    def from_bytes(cls, data: bytes, key: bytes) -> Session:
        """Open what :meth:`to_bytes` sealed.

        Raises:
            ConfigError: the key is of the wrong length.
            ValueError: it is of another version, was altered, or was sealed with another key.
        """
        if data[:1] != uint8(BYTE_FORM_VERSION):
            raise ValueError("the stored session is in a form of another version")
        plaintext = unseal(_checked(key), data[1:], BYTE_FORM_CONTEXT)
        if plaintext is None:
            raise ValueError("the stored session was altered, or sealed with another key")
        try:
            return cls._read(Reader(plaintext, "stored session"))
        except (ProtocolError, LookupError, *MALFORMED) as error:
            raise ValueError("the stored session cannot be read") from error

    @classmethod
    def _read(cls, reader: Reader) -> Session:
        server_name = reader.opaque16().decode()
        port = reader.uint16() or None
        context = reader.opaque16()
        cipher_suite = CIPHER_SUITES[reader.uint16()].name
        entries = Reader(reader.opaque24(), "stored session")
        certificates: list[x509.Certificate] = []
        while entries:
            certificates.append(x509.load_der_x509_certificate(entries.opaque24()))
        return cls(
            server_name=server_name,
            port=port,
            context=context,
            cipher_suite=cipher_suite,
            peer_certificates=tuple(certificates),
            signature_scheme=reader.opaque8().decode("ascii"),
            verified_at=_moment(reader.uint64()),
            received_at=_moment(reader.uint64()),
            lifetime=reader.uint32(),
            ticket=reader.opaque16(),
            ticket_age_add=reader.uint32(),
            secret=reader.opaque8(),
            alpn_protocol=reader.opaque8().decode("latin-1") or None,
            max_early_data_size=reader.uint32(),
        )


def _milliseconds(moment: datetime.datetime) -> int:
    return (moment - EPOCH) // MILLISECOND


def _moment(milliseconds: int) -> datetime.datetime:
    return EPOCH + milliseconds * MILLISECOND


def _checked(key: bytes) -> bytes:
    if len(key) != KEY_LENGTH:
        raise ConfigError(f"the key has {len(key)} bytes; it must have {KEY_LENGTH}")
    return key


class SessionStore(Protocol):
    """Where a client keeps its sessions.

    Both methods may be plain or async: whatever awaitable they return is awaited in the task that
    does the handshake or receives, and cancelled with it. What they raise fails the connection
    with ``internal_error``; a store that knows nothing returns None.
    """

    def put(self, session: Session) -> Awaitable[None] | None:
        """Keep a session that came just now."""
        ...

    def take(
        self, server_name: str, port: int | None, context: bytes
    ) -> Awaitable[Session | None] | Session | None:
        """Give a session of this server and context, and forget it: each is used once.

        One that does not fit, or has expired, is as good as none.
        """
        ...


class MemorySessionStore:
    """Sessions in memory: the newest few of the servers that were talked to last.

    It is for one thread, as trio is; threads that share a configuration need a store that locks.

    Args:
        max_servers: of how many servers sessions are kept.
        max_per_server: how many of each.
    """

    def __init__(self, max_servers: int = 256, max_per_server: int = 4) -> None:
        check("max_servers", max_servers, Expected(INT, "a number of servers"))
        check("max_per_server", max_per_server, Expected(INT, "a number of sessions"))
        if max_servers < 1 or max_per_server < 1:
            raise ConfigError("a session store needs room for one session at least")
        self._max_servers = max_servers
        self._max_per_server = max_per_server
        self._sessions: OrderedDict[tuple[str, int | None, bytes], list[Session]] = OrderedDict()

    def put(self, session: Session) -> None:
        """Keep a session; the oldest that there is no more room for goes."""
        key = session.server_name, session.port, session.context
        sessions = self._sessions.setdefault(key, [])
        self._sessions.move_to_end(key)
        sessions.append(session)
        del sessions[: -self._max_per_server]
        if len(self._sessions) > self._max_servers:
            self._sessions.popitem(last=False)

    def take(self, server_name: str, port: int | None, context: bytes) -> Session | None:
        """Give the newest session there is, and forget it."""
        sessions = self._sessions.get((server_name, port, context))
        if sessions is None:
            return None
        session = sessions.pop()
        if not sessions:
            del self._sessions[server_name, port, context]
        return session

    def __len__(self) -> int:
        return sum(map(len, self._sessions.values()))

    def __repr__(self) -> str:
        return f"<MemorySessionStore of {len(self)} sessions>"
