"""Client-side sessions and their storage (RFC 9846 2.2)."""

from __future__ import annotations

import datetime
from collections import OrderedDict
from collections.abc import Awaitable
from dataclasses import dataclass, field, replace
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ..arguments import BYTES, INT, Expected, check
from ..clock import EPOCH, MILLISECOND
from ..crypto.cipher_suites import CIPHER_SUITES, CipherSuite
from ..crypto.cipher_suites12 import CIPHER_SUITES_12
from ..crypto.signatures import SignatureScheme
from ..errors import ConfigError, ProtocolError
from ..messages.codec import Reader, opaque8, opaque16, opaque24, uint8, uint16, uint32, uint64
from ..pki.certificates import MALFORMED
from ..pki.public_keys import RawPublicKey, load_raw_public_key
from .sealing import KEY_LENGTH, seal, unseal

__all__ = ["MemorySessionStore", "Session", "SessionStore"]

BYTE_FORM_VERSION = 2

#: The additional data of the encryption, by the version of the format.
BYTE_FORM_CONTEXTS = {1: b"trio-tlsx session", BYTE_FORM_VERSION: b"trio-tlsx session 2"}

#: The time after certificate verification in which a client resumes, however many connections
#: resume one another (RFC 9846 4.7.1 recommends a limit).
MAX_AGE = datetime.timedelta(days=7)

_SUITES: dict[int, CipherSuite] = {**CIPHER_SUITES, **CIPHER_SUITES_12}
_SUITES_BY_NAME = {suite.name: suite for suite in _SUITES.values()}


@dataclass(frozen=True, slots=True)
class Session:
    """A session that a client can resume (RFC 9846 2.2, RFC 5246 7.3). It contains a secret.

    In TLS 1.3 it is resumed once. In TLS 1.2 it is stored again after each resumption.

    Attributes:
        server_name: the name that the server's certificate was verified for.
        port: the server's port, None if it is not known.
        context: names the trust of the verification, see ``ClientConfig.session_context``.
        cipher_suite: the cipher suite of the connection.
        peer_certificates: the server's certificate chain, the leaf first.
        signature_scheme: the scheme of the server's signature.
        verified_at: the time at which the chain was verified.
        received_at: the time at which the client received the ticket or the session id.
        lifetime: the lifetime of the session from ``received_at`` on, in seconds.
        ticket: the ticket, which the client sends to resume; empty if there is a session id.
        ticket_age_add: added to the ticket's age, to hide it from observers (RFC 9846 4.3.11).
        secret: the pre-shared key; in TLS 1.2 the master secret.
        alpn_protocol: the application protocol, None if none was negotiated. Early data must be
            for the same protocol.
        max_early_data_size: the most early data that the server accepts, in bytes; 0 for none.
        session_id: in TLS 1.2, the server's name for the session; empty if there is a ticket.
        extended_master_secret: whether the secret is an extended master secret of TLS 1.2 (RFC
            7627). Other sessions of TLS 1.2 are not resumed.
        name_was_hidden: whether the ClientHello was encrypted (RFC 9849). Then the session is
            offered only in an encrypted ClientHello, because the ticket could disclose the name.
        group: in TLS 1.2, the group of the key exchange; None in TLS 1.3, where each resumption
            has a key exchange of its own.
        peer_raw_public_key: the server's public key, if it sent that in place of certificates (RFC
            7250). The session is only resumed while the configuration still trusts the key.
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
    session_id: bytes = b""
    extended_master_secret: bool = False
    name_was_hidden: bool = False
    group: str | None = None
    peer_raw_public_key: RawPublicKey | None = None

    @property
    def suite(self) -> CipherSuite:
        """The cipher suite, which belongs to one version of TLS."""
        return _SUITES_BY_NAME[self.cipher_suite]

    @property
    def expires_at(self) -> datetime.datetime:
        """The time at which the ticket, the verification or a certificate expires."""
        return min(
            self.received_at + datetime.timedelta(seconds=self.lifetime),
            self.verified_at + MAX_AGE,
            *(certificate.not_valid_after_utc for certificate in self.peer_certificates),
        )

    def to_bytes(self, key: bytes) -> bytes:
        """Encrypt and authenticate the session, for a store outside this process.

        The first byte of the result is the version of the format; the rest is encrypted and
        authenticated.

        Args:
            key: 32 random bytes. Anyone who has the key can resume the session.

        Raises:
            ConfigError: the key has the wrong type or length.
        """
        certificates = b"".join(
            opaque24(certificate.public_bytes(Encoding.DER))
            for certificate in self.peer_certificates
        )
        raw_public_key = self.peer_raw_public_key
        plaintext = b"".join(
            (
                opaque16(self.server_name.encode()),
                uint16(self.port or 0),
                opaque16(self.context),
                uint16(self.suite.code),
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
                uint16(self.suite.version),
                uint8(self.extended_master_secret),
                opaque8(self.session_id),
                uint8(self.name_was_hidden),
                opaque8((self.group or "").encode("ascii")),
                opaque16(b"" if raw_public_key is None else raw_public_key.der),
            )
        )
        context = BYTE_FORM_CONTEXTS[BYTE_FORM_VERSION]
        return uint8(BYTE_FORM_VERSION) + seal(_checked(key), plaintext, context)

    @classmethod
    def from_bytes(cls, data: bytes, key: bytes) -> Session:
        """Decrypt a session that :meth:`to_bytes` encrypted, also one in the first format.

        Raises:
            ConfigError: an argument has the wrong type, or the key has the wrong length.
            ValueError: the data has an unknown format, was altered, or was encrypted with
                another key.
        """
        check("data", data, Expected(BYTES, "the bytes that Session.to_bytes() returned"))
        form = data[0] if data else 0
        if form not in BYTE_FORM_CONTEXTS:
            raise ValueError(
                f"the stored session has the format version {data[:1].hex() or 'none'}, not "
                f"01 or {BYTE_FORM_VERSION:02x}: discard it"
            )
        plaintext = unseal(_checked(key), data[1:], BYTE_FORM_CONTEXTS[form])
        if plaintext is None:
            raise ValueError(
                "the stored session was altered, or encrypted with another key: discard it, or "
                "pass the key that was passed to to_bytes()"
            )
        try:
            return cls._read(Reader(plaintext, "stored session"), form)
        except (ProtocolError, LookupError, OverflowError, *MALFORMED) as error:
            raise ValueError("the stored session cannot be decoded: discard it") from error

    @classmethod
    def _read(cls, reader: Reader, form: int) -> Session:
        server_name = reader.opaque16().decode()
        port = reader.uint16() or None
        context = reader.opaque16()
        cipher_suite = _SUITES[reader.uint16()].name
        entries = Reader(reader.opaque24(), "stored session")
        certificates: list[x509.Certificate] = []
        while entries:
            certificates.append(x509.load_der_x509_certificate(entries.opaque24()))
        session = cls(
            server_name=server_name,
            port=port,
            context=context,
            cipher_suite=cipher_suite,
            peer_certificates=tuple(certificates),
            signature_scheme=SignatureScheme[reader.opaque8().decode("ascii")].name,
            verified_at=_moment(reader.uint64()),
            received_at=_moment(reader.uint64()),
            lifetime=reader.uint32(),
            ticket=reader.opaque16(),
            ticket_age_add=reader.uint32(),
            secret=reader.opaque8(),
            alpn_protocol=reader.opaque8().decode("latin-1") or None,
            max_early_data_size=reader.uint32(),
        )
        if form == 1:
            return session
        if reader.uint16() != session.suite.version:
            raise reader.error("has a cipher suite of another version")
        extended_master_secret = bool(reader.uint8())
        session_id = reader.opaque8()
        name_was_hidden = bool(reader.uint8())
        group = reader.opaque8().decode("ascii") or None
        key = reader.opaque16()
        return replace(
            session,
            extended_master_secret=extended_master_secret,
            session_id=session_id,
            name_was_hidden=name_was_hidden,
            group=group,
            peer_raw_public_key=load_raw_public_key(key) if key else None,
        )


def _milliseconds(moment: datetime.datetime) -> int:
    return (moment - EPOCH) // MILLISECOND


def _moment(milliseconds: int) -> datetime.datetime:
    return EPOCH + milliseconds * MILLISECOND


def _checked(key: bytes) -> bytes:
    check("key", key, Expected(BYTES, "32 random bytes, secrets.token_bytes(32)"))
    if len(key) != KEY_LENGTH:
        raise ConfigError(
            f"the key of a stored session has {len(key)} bytes, not {KEY_LENGTH}: "
            f"pass secrets.token_bytes({KEY_LENGTH})"
        )
    return key


class SessionStore(Protocol):
    """Client-side session storage.

    Both methods may be plain or async. The task that does the handshake or receives awaits the
    awaitable; cancelling that task cancels it. An exception fails the connection with
    ``internal_error``; to report that there is no session, return None.
    """

    def put(self, session: Session) -> Awaitable[None] | None:
        """Store a session that the client has just received."""
        ...

    def take(
        self, server_name: str, port: int | None, context: bytes
    ) -> Awaitable[Session | None] | Session | None:
        """Return a session of this server and context, and remove it: each is used once.

        Args:
            server_name: the name that the client verifies the server's certificate for.
            port: the server's port, None if it is not known.
            context: the configuration's ``session_context``.

        Returns:
            The session, None if there is none, or an awaitable of these. The client ignores a
            session that has expired, or that belongs to another server or context.
        """
        ...


class MemorySessionStore:
    """Store sessions in memory: the newest sessions of the most recent servers.

    Use it in one thread. Threads that share a configuration need a store that locks.

    Args:
        max_servers: the most servers to store sessions of.
        max_per_server: the most sessions to store for each server.

    Raises:
        ConfigError: an argument has the wrong type, or is below 1.
    """

    def __init__(self, max_servers: int = 256, max_per_server: int = 4) -> None:
        check("max_servers", max_servers, Expected(INT, "a number of servers"))
        check("max_per_server", max_per_server, Expected(INT, "a number of sessions"))
        if max_servers < 1 or max_per_server < 1:
            raise ConfigError(
                f"max_servers is {max_servers} and max_per_server is {max_per_server}; "
                "pass at least 1 for each"
            )
        self._max_servers = max_servers
        self._max_per_server = max_per_server
        self._sessions: OrderedDict[tuple[str, int | None, bytes], list[Session]] = OrderedDict()

    def put(self, session: Session) -> None:
        """Store a session; remove the oldest ones beyond the limits."""
        key = session.server_name, session.port, session.context
        sessions = self._sessions.setdefault(key, [])
        self._sessions.move_to_end(key)
        sessions.append(session)
        del sessions[: -self._max_per_server]
        if len(self._sessions) > self._max_servers:
            self._sessions.popitem(last=False)

    def take(self, server_name: str, port: int | None, context: bytes) -> Session | None:
        """Return the newest session, and remove it; None if there is none."""
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
