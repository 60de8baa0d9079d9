"""The questions of a handshake to the program, and their answers."""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

from ..config.client import ECHLookup
from ..config.server import ServerConfig
from ..crypto.signatures import SignatureScheme
from ..errors import ConfigError, InternalError
from ..messages.ech import ECHConfig
from ..messages.info import CertificateRequest, ClientHello
from ..pki.credentials import Credentials
from ..pki.ech import decode_configs
from ..pki.peer import Peer
from ..sessions.anti_replay import AntiReplayCache
from ..sessions.client import Session, SessionStore
from ..sessions.external_psk import ExternalPSK, FindPSK
from ..sessions.ticket_store import TicketStore
from .wants import Question

__all__ = [
    "AntiReplayWanted",
    "ClientCredentialsWanted",
    "CredentialsWanted",
    "ECHConfigsWanted",
    "OCSPResponseWanted",
    "PSKWanted",
    "SessionReceived",
    "SessionWanted",
    "SignatureWanted",
    "TicketIssued",
    "TicketWanted",
    "VerificationWanted",
]


#: How long an anti-replay cache may take, in seconds.
ANTI_REPLAY_SECONDS = 1


@dataclass(slots=True, eq=False)
class CredentialsWanted(Question[Sequence[Credentials] | ServerConfig | None]):
    """Which certificate and key does a server use for this client?

    The answer is Credentials, a list of them to select from, another ServerConfig, or None if the
    server does not have this name.
    """

    request: ClientHello
    select: Callable[[ClientHello], object] = field(repr=False)
    awaitable: Awaitable[Any] | None = field(default=None, repr=False)

    def ask(self) -> object:
        return self.select(self.request)

    def accept(self, answer: object) -> Sequence[Credentials] | ServerConfig | None:
        if answer is None:
            return None
        if isinstance(answer, ServerConfig):
            if answer.select_credentials is not None:
                raise InternalError(
                    "select_credentials returned a ServerConfig that has a select_credentials too"
                )
            return answer
        return _credentials(answer)


@dataclass(slots=True, eq=False)
class ClientCredentialsWanted(Question[Sequence[Credentials]]):
    """Which certificate and key does a client use for this CertificateRequest?

    The answer is Credentials, a list of them to select from, or None for no certificate.
    """

    request: CertificateRequest
    select: Callable[[CertificateRequest], object] = field(repr=False)
    awaitable: Awaitable[Any] | None = field(default=None, repr=False)

    def ask(self) -> object:
        return self.select(self.request)

    def accept(self, answer: object) -> Sequence[Credentials]:
        return () if answer is None else _credentials(answer)


@dataclass(slots=True, eq=False)
class ECHConfigsWanted(Question[tuple[ECHConfig, ...]]):
    """Which configurations for Encrypted Client Hello does this server have?

    The answer is an ECHConfigList, as bytes or in base64, or None for none.
    """

    server_name: str
    look_up: ECHLookup = field(repr=False)
    awaitable: Awaitable[Any] | None = field(default=None, repr=False)

    def ask(self) -> object:
        return self.look_up(self.server_name)

    def accept(self, answer: object) -> tuple[ECHConfig, ...]:
        if answer is None:
            return ()
        if not isinstance(answer, str | bytes):
            raise InternalError(f"the function in ech returned {_kind(answer)}, not bytes or str")
        try:
            return decode_configs(answer)
        except ConfigError as error:
            raise InternalError(
                f"the function in ech returned no ECHConfigList: {error}"
            ) from error


def _credentials(answer: object) -> tuple[Credentials, ...]:
    if isinstance(answer, Credentials):
        return (answer,)
    if isinstance(answer, list | tuple):
        several = cast("Sequence[object]", answer)
        credentials = tuple(one for one in several if isinstance(one, Credentials))
        if credentials and len(credentials) == len(several):
            return credentials
    raise InternalError(
        f"select_credentials returned {_kind(cast('object', answer))}, not Credentials"
    )


def _kind(answer: object) -> str:
    """Describe a hook's answer by its type, without its content."""
    kind = type(answer).__name__
    return f"an empty {kind}" if answer in (b"", "", (), []) else f"an object of type {kind}"


@dataclass(slots=True, eq=False)
class SignatureWanted(Question[bytes]):
    """Sign ``message`` with the key of ``credentials`` (RFC 9846 4.5.2).

    The answer is the signature.
    """

    credentials: Credentials
    scheme: SignatureScheme
    message: bytes = field(repr=False)
    awaitable: Awaitable[Any] | None = field(default=None, repr=False)

    def ask(self) -> object:
        return self.credentials.signer.sign(self.scheme, self.message)

    def accept(self, answer: object) -> bytes:
        if not isinstance(answer, bytes) or not answer:
            raise InternalError(f"the signer returned {_kind(answer)}, not a signature")
        return answer


@dataclass(slots=True, eq=False)
class OCSPResponseWanted(Question[bytes | None]):
    """Which OCSP response does the server staple to its certificate (RFC 9846 4.5.1.1)?

    The answer is the response, or None if there is none.
    """

    fetch: Callable[[], object] = field(repr=False)
    awaitable: Awaitable[Any] | None = field(default=None, repr=False)

    def ask(self) -> object:
        return self.fetch()

    def accept(self, answer: object) -> bytes | None:
        if answer is None or (isinstance(answer, bytes) and answer):
            return answer
        raise InternalError(f"stapling returned {_kind(answer)}, not an OCSP response")


@dataclass(slots=True, eq=False)
class VerificationWanted(Question[None]):
    """Is this peer trusted? It has proved that it has the private key of its certificate.

    The answer None accepts the peer. To reject it, the hook raises CertificateError.
    """

    peer: Peer
    verify: Callable[[Peer], object] = field(repr=False)
    awaitable: Awaitable[Any] | None = field(default=None, repr=False)

    def ask(self) -> object:
        return self.verify(self.peer)

    def accept(self, answer: object) -> None:
        if answer is not None:
            raise InternalError(
                f"verify returned {_kind(answer)}; return None to accept the peer, "
                "or raise CertificateError to reject it"
            )


@dataclass(slots=True, eq=False)
class PSKWanted(Question[ExternalPSK | None]):
    """Which external PSK has this identity?

    The answer is the ExternalPSK with that identity, or None if there is none.
    """

    identity: bytes
    find: FindPSK = field(repr=False)
    awaitable: Awaitable[Any] | None = field(default=None, repr=False)

    def ask(self) -> object:
        return self.find(self.identity)

    def accept(self, answer: object) -> ExternalPSK | None:
        if answer is None:
            return None
        if not isinstance(answer, ExternalPSK):
            raise InternalError(f"psks returned {_kind(answer)}, not an ExternalPSK")
        if answer.identity != self.identity:
            raise InternalError("psks returned the key of another identity")
        return answer


@dataclass(slots=True, eq=False)
class SessionWanted(Question[Session | None]):
    """Is there a session with this server to resume?

    The answer is a Session or None.
    """

    store: SessionStore
    server_name: str
    port: int | None
    context: bytes
    awaitable: Awaitable[Any] | None = field(default=None, repr=False)

    def ask(self) -> object:
        return self.store.take(self.server_name, self.port, self.context)

    def accept(self, answer: object) -> Session | None:
        if answer is None or isinstance(answer, Session):
            return answer
        raise InternalError(f"session_store returned {_kind(answer)}, not a Session")


@dataclass(slots=True, eq=False)
class TicketWanted(Question[bytes | None]):
    """What does the ticket store contain for this ticket?

    The answer is the stored content, or None.
    """

    store: TicketStore
    name: bytes = field(repr=False)
    awaitable: Awaitable[Any] | None = field(default=None, repr=False)

    def ask(self) -> object:
        return self.store.take(self.name)

    def accept(self, answer: object) -> bytes | None:
        if answer is None or isinstance(answer, bytes):
            return answer
        raise InternalError(f"ticket_store returned {_kind(answer)}, not bytes")


@dataclass(slots=True, eq=False)
class TicketIssued(Question[None]):
    """Store the content of this ticket.

    There is nothing to answer.
    """

    store: TicketStore
    name: bytes = field(repr=False)
    state: bytes = field(repr=False)
    lifetime: int
    awaitable: Awaitable[Any] | None = field(default=None, repr=False)

    def ask(self) -> object:
        return self.store.put(self.name, self.state, self.lifetime)

    def accept(self, answer: object) -> None:
        """Ignore the result: nothing waits for it."""


@dataclass(slots=True, eq=False)
class AntiReplayWanted(Question[bool]):
    """Is this early data new, and not a replay (RFC 9846 8)?

    Only the answer True accepts the early data. Any other answer, or no answer in time, rejects
    it.
    """

    timeout: ClassVar[float | None] = ANTI_REPLAY_SECONDS

    replays: AntiReplayCache
    identifier: bytes = field(repr=False)
    since: datetime.datetime
    until: datetime.datetime
    awaitable: Awaitable[Any] | None = field(default=None, repr=False)

    def ask(self) -> object:
        return self.replays.claim(self.identifier, self.since, self.until)

    def accept(self, answer: object) -> bool:
        return answer is True


@dataclass(slots=True, eq=False)
class SessionReceived(Question[None]):
    """Store this session, to resume it later (RFC 9846 4.7.1).

    There is nothing to answer.
    """

    store: SessionStore
    session: Session
    awaitable: Awaitable[Any] | None = field(default=None, repr=False)

    def ask(self) -> object:
        return self.store.put(self.session)

    def accept(self, answer: object) -> None:
        """Ignore the result: nothing waits for it."""
