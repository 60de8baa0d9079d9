"""Early data (0-RTT) of both roles (RFC 9846 2.3, 4.3.10, 4.6, 8).

Early data is encrypted with a key of the resumed session, before the server has sent anything. So
it is not bound to this connection: an attacker who records it can send it again, and the server
cannot see a difference. :func:`accept` protects the server from such replays.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..clock import MILLISECOND
from ..config.client import ClientParameters
from ..config.server import ServerParameters
from ..crypto.cipher_suites import CipherSuite
from ..crypto.key_schedule import EarlySecret
from ..errors import AlertDescription, ConfigError, ProtocolError
from ..messages.codec import Buffer
from ..messages.extensions import Extensions, ExtensionType
from ..messages.handshake import ClientHello, EndOfEarlyData
from ..record.protection import MAX_INNER_PLAINTEXT_LENGTH, Sealer
from ..sessions.client import Session
from .psk import Psk, decode_offered_psks
from .questions import AntiReplayWanted
from .resumption_server import ServerSession
from .steps import Handshake, Steps

__all__ = [
    "Accepted",
    "EarlyDataOffer",
    "accept",
    "alpn_protocol",
    "checked",
    "is_allowed",
    "offer_early_data",
    "receive",
    "send",
    "was_accepted",
    "write",
]

#: Allowed difference between the expected and the actual arrival of a ClientHello (RFC 9846 8.3).
FRESHNESS = datetime.timedelta(seconds=10)

#: Allowed difference between the clocks of servers that share tickets and an anti-replay cache.
CLOCK_DIFFERENCE = FRESHNESS


_E = ExtensionType


# The client's half

#: The most early data that a client sends, in bytes; servers accept less. Even in the smallest
#: records, its ciphertext is shorter than the limit of the queue (``MAX_QUEUED``).
MAX_EARLY_DATA_SENT = 2**17


def checked(data: Buffer) -> bytes:
    """Return a copy of a client's early data; ConfigError if it has a wrong type or length."""
    if not isinstance(data, Buffer):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(f"early_data is bytes, not {type(data).__name__}")
    octets = bytes(data)
    if len(octets) > MAX_EARLY_DATA_SENT:
        raise ConfigError(
            f"early_data has {len(octets)} bytes; {MAX_EARLY_DATA_SENT} at most can be sent early"
        )
    return octets


@dataclass(slots=True, eq=False)
class EarlyDataOffer:
    """Early data, and the PSK whose keys encrypt it: always the first PSK of the offer."""

    data: bytes = field(repr=False)
    psk: Psk[Session]
    session: Session


def offer_early_data(
    config: ClientParameters, psks: Sequence[Psk[Session]], data: bytes
) -> EarlyDataOffer | None:
    """Return the offer of early data, if the first PSK is of a session that allows it."""
    psk = psks[0] if psks else None
    if psk is None or psk.session is None or not is_allowed(config, psk.session, data):
        return None
    return EarlyDataOffer(data, psk, psk.session)


def is_allowed(config: ClientParameters, session: Session, data: bytes) -> bool:
    """Return whether the session allows this much early data, for this protocol."""
    if not 0 < len(data) <= session.max_early_data_size:
        return False
    return session.alpn_protocol == alpn_protocol(config)


def alpn_protocol(config: ClientParameters) -> str | None:
    """Return the application protocol of early data: the most preferred one."""
    return config.alpn_protocols[0].decode("latin-1") if config.alpn_protocols else None


def send(hs: Handshake, config: ClientParameters, offer: EarlyDataOffer) -> None:
    """Send the early data after the ClientHello, the only message that was sent so far."""
    if config.middlebox_compatibility:
        hs.send_change_cipher_spec()
    suite = offer.psk.suite
    hello_hash = suite.hash(b"".join(hs.transcript.messages)).digest()
    hs.protect_outgoing(Sealer(suite, early_secret(hs, offer.psk, suite, hello_hash)))
    write(hs, offer.data)


def write(hs: Handshake, data: bytes) -> None:
    """Queue all of ``data`` under the current keys. :func:`checked` has limited its length."""
    rest = memoryview(data)
    while rest:
        rest = rest[hs.outgoing.application_data(rest) :]


def early_secret(hs: Handshake, psk: Psk[Any], suite: CipherSuite, hello_hash: bytes) -> bytes:
    """Derive the early traffic secret (RFC 9846 7.1), and store the early exporter secret."""
    early = EarlySecret(suite, psk.secret, hs.key_log)
    secret = early.client_early_traffic(hello_hash)
    hs.early_data.exporter = suite, early.early_exporter(hello_hash)
    return secret


def was_accepted(
    offer: EarlyDataOffer | None, suite: CipherSuite, extensions: Extensions, protocol: str | None
) -> bool:
    """Return whether the server accepted the early data; check that this was allowed (4.3.10).

    Args:
        extensions: the extensions of the server's EncryptedExtensions.
        protocol: the application protocol that the server selected.
    """
    if _E.early_data not in extensions:
        return False
    if offer is None:
        raise ProtocolError("the peer accepted early data, but did not resume the session")
    if suite is not offer.psk.suite:
        raise ProtocolError("the peer accepted early data, but selected another cipher suite")
    if protocol != offer.session.alpn_protocol:
        raise ProtocolError("the peer accepted early data, but selected another ALPN protocol")
    return True


# The server's half


@dataclass(slots=True, eq=False)
class Accepted:
    """Early data that a server accepts.

    Attributes:
        max_size: the most that the client may send, in bytes.
        traffic_secret: the secret that its keys are derived from.
    """

    max_size: int
    traffic_secret: bytes = field(repr=False)


def accept(
    hs: Handshake,
    config: ServerParameters,
    hello: ClientHello,
    suite: CipherSuite,
    psk: Psk[ServerSession] | None,
    protocol: bytes | None,
) -> Steps[Accepted | None]:
    """Decide whether to accept the early data after this ClientHello.

    Only the ClientHello is in the transcript so far, and its binder was checked.

    Args:
        suite: the cipher suite of this connection.
        protocol: its application protocol.
    """
    cache = config.anti_replay_cache
    offered = decode_offered_psks(hello)
    if cache is None or psk is None or offered is None or not hs.early_data.wanted:
        return None
    session = psk.session
    if session is None or not is_same(config, session, suite, protocol):
        return None
    if offered.identities[0][0] != psk.identity:
        return None
    expected = expected_arrival(session, psk.obfuscated_ticket_age)
    if abs(config.clock() - expected) > FRESHNESS:
        return None
    # The cache is asked last: it accepts an identifier only once, so it must not store those of a
    # ClientHello that another check rejects.
    since = max(session.issued_at, expected - FRESHNESS)
    until = expected + FRESHNESS + CLOCK_DIFFERENCE
    first = yield from hs.ask(AntiReplayWanted(cache, offered.binders[0], since, until))
    if not first or config.clock() >= until:
        return None
    secret = early_secret(hs, psk, suite, hs.transcript.digest())
    return Accepted(session.max_early_data_size, secret)


def is_same(
    config: ServerParameters, session: ServerSession, suite: CipherSuite, protocol: bytes | None
) -> bool:
    """Return whether the connection has the parameters of the ticket (RFC 9846 4.3.10).

    The server's name and certificate are the same already: otherwise the ticket was not resumed.
    """
    return (
        0 < session.max_early_data_size <= config.max_early_data_size
        and session.suite is suite
        and session.alpn_protocol == protocol
    )


def expected_arrival(session: ServerSession, obfuscated_age: int) -> datetime.datetime:
    """Return the expected arrival of a ClientHello, by its ticket age (RFC 9846 8.3)."""
    age = (obfuscated_age - session.ticket_age_add) % 2**32
    return session.issued_at + age * MILLISECOND


def receive(hs: Handshake, accepted: Accepted) -> Steps[None]:
    """Receive early data, up to EndOfEarlyData."""
    left = accepted.max_size

    def keep(data: bytes) -> None:
        nonlocal left
        left -= len(data)
        if left < 0:
            raise ProtocolError(
                f"the peer sent more than {accepted.max_size} bytes of early data",
                AlertDescription.unexpected_message,
            )
        hs.early_data.put(data)

    # The client sent early data before it could know the limit of records in this connection.
    limit, hs.incoming.plaintext_limit = hs.incoming.plaintext_limit, MAX_INNER_PLAINTEXT_LENGTH
    yield from hs.expect_behind_data(EndOfEarlyData, keep)
    hs.incoming.plaintext_limit = limit
