"""The pre_shared_key extension and its binders (RFC 9846 4.3.11)."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ..errors import AlertDescription, ProtocolError
from .extensions import ExtensionType
from .key_schedule import KeySchedule, finished_verify_data
from .messages import ClientHello, encode_message
from .suites import CipherSuite
from .wire import Reader, opaque8, opaque16, uint32

__all__ = [
    "PSK_DHE_KE",
    "OfferedPsks",
    "Psk",
    "check_binder",
    "encode_psk_key_exchange_modes",
    "with_psk",
    "without_psk",
]

PSK_DHE_KE = 1  # RFC 9846 4.3.9: psk_ke, without a key exchange, is neither offered nor taken

MIN_BINDER_LENGTH = 32

_E = ExtensionType


@dataclass(frozen=True, slots=True)
class Psk:
    """A pre-shared key as a client offers it; ``suite`` says with which hash it goes."""

    identity: bytes
    obfuscated_ticket_age: int
    suite: CipherSuite
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class OfferedPsks:
    """RFC 9846 4.3.11: identities, each with its obfuscated age, and a binder for each."""

    identities: tuple[tuple[bytes, int], ...]
    binders: tuple[bytes, ...]

    @classmethod
    def decode(cls, octets: bytes) -> OfferedPsks:
        reader = Reader(octets, "pre_shared_key")
        entries = Reader(reader.opaque16(minimum=7), "pre_shared_key")
        binder_entries = Reader(reader.opaque16(minimum=33), "pre_shared_key")
        reader.finish()
        identities: list[tuple[bytes, int]] = []
        while entries:
            identities.append((entries.opaque16(minimum=1), entries.uint32()))
        binders: list[bytes] = []
        while binder_entries:
            binders.append(binder_entries.opaque8(minimum=MIN_BINDER_LENGTH))
        if len(identities) != len(binders):
            raise ProtocolError(
                f"the other side offers {len(identities)} pre-shared keys "
                f"with {len(binders)} binders"
            )
        return cls(tuple(identities), tuple(binders))

    def encode(self) -> bytes:
        identities = b"".join(
            opaque16(identity) + uint32(age) for identity, age in self.identities
        )
        return opaque16(identities) + self.encode_binders()

    def encode_binders(self) -> bytes:
        return opaque16(b"".join(map(opaque8, self.binders)))


def encode_psk_key_exchange_modes() -> bytes:
    """What is offered here: psk_dhe_ke alone."""
    return opaque8(bytes((PSK_DHE_KE,)))


def binder(suite: CipherSuite, secret: bytes, partial_transcript: bytes) -> bytes:
    """RFC 9846 4.3.11.2, for a key from a ticket.

    Args:
        partial_transcript: the messages up to a ClientHello without its binders.
    """
    binder_key = KeySchedule(suite, secret).derive("res binder")
    return finished_verify_data(suite, binder_key, suite.hash(partial_transcript).digest())


def with_psk(hello: ClientHello, psk: Psk, messages: Sequence[bytes]) -> ClientHello:
    """The ClientHello with one key more: this one.

    Args:
        messages: what went before it: the first ClientHello's hash and the HelloRetryRequest.
    """
    identities = ((psk.identity, psk.obfuscated_ticket_age),)
    unbound = OfferedPsks(identities, (bytes(psk.suite.hash_length),))
    octets = encode_message(_extended(hello, unbound))
    truncated = octets[: -len(unbound.encode_binders())]
    bound = binder(psk.suite, psk.secret, b"".join((*messages, truncated)))
    return _extended(hello, replace(unbound, binders=(bound,)))


def _extended(hello: ClientHello, offered: OfferedPsks) -> ClientHello:
    # RFC 9846 4.3.11: it is the last extension.
    extensions = {**without_psk(hello).extensions, _E.pre_shared_key: offered.encode()}
    return replace(hello, extensions=extensions)


def without_psk(hello: ClientHello) -> ClientHello:
    rest = {code: body for code, body in hello.extensions.items() if code != _E.pre_shared_key}
    return replace(hello, extensions=rest)


def check_binder(
    offered: OfferedPsks,
    index: int,
    suite: CipherSuite,
    secret: bytes,
    messages: Sequence[bytes],
) -> None:
    """Check that whoever offers this key has it.

    Args:
        messages: those so far, the ClientHello last.

    Raises:
        ProtocolError: ``decrypt_error``, the binder was made with another key or for another
            ClientHello.
    """
    partial = b"".join(messages)[: -len(offered.encode_binders())]
    if not hmac.compare_digest(offered.binders[index], binder(suite, secret, partial)):
        raise ProtocolError(
            "the other side offers a session whose key it does not have: its binder is wrong",
            AlertDescription.decrypt_error,
        )
