"""The pre_shared_key extension and its binders (RFC 9846 4.3.11)."""

from __future__ import annotations

import hmac
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from ..config.client import ClientParameters
from ..config.server import ServerParameters
from ..crypto.cipher_suites import CipherSuite
from ..crypto.key_schedule import EarlySecret, LogSecret, finished_verify_data
from ..errors import AlertDescription, ProtocolError
from ..messages import extensions as ext
from ..messages.codec import Reader, opaque8, opaque16, uint32
from ..messages.extensions import ExtensionType
from ..messages.handshake import MESSAGE_HEADER_LENGTH, ClientHello, encode_message
from ..sessions.external_psk import ExternalPSK

__all__ = [
    "MAX_TICKET_LENGTH",
    "PSK_DHE_KE",
    "PSK_KE",
    "OfferedPsks",
    "Psk",
    "check_binder",
    "decode_offered_psks",
    "encode_psk_key_exchange_modes",
    "psk_modes",
    "with_psks",
    "without_psks",
]

# RFC 9846 4.3.9
PSK_KE = 0
PSK_DHE_KE = 1

MIN_BINDER_LENGTH = 32

#: The longest ticket that is sent or stored, in bytes. A ClientHello must have room for it
#: (``MAX_CLIENT_HELLO_LENGTH``).
MAX_TICKET_LENGTH = 2**14

_E = ExtensionType

S = TypeVar("S")


@dataclass(slots=True, eq=False)
class Psk(Generic[S]):
    """A pre-shared key as a ClientHello offers it.

    Attributes:
        identity: the name of the key: a ticket, or an external identity.
        suite: a cipher suite with the hash of the key.
        session: the session to resume, in this side's form; None for an external key.
        external: the external key; None for the key of a session.
    """

    identity: bytes
    obfuscated_ticket_age: int
    suite: CipherSuite
    secret: bytes = field(repr=False)
    session: S | None = None
    external: ExternalPSK | None = None
    _early_secret: EarlySecret | None = field(default=None, init=False, repr=False)

    def early_secret(self, key_log: LogSecret | None = None) -> EarlySecret:
        """Return the Early Secret, which the binder and the handshake have in common."""
        if self._early_secret is None:
            self._early_secret = EarlySecret(self.suite, self.secret)
        self._early_secret.key_log = key_log
        return self._early_secret

    def binder_key(self) -> bytes:
        """Derive the key of this PSK's binder, which depends on the kind of the PSK."""
        early = self.early_secret()
        if self.external is None:
            return early.resumption_binder_key()
        if self.external.imported:
            return early.imported_binder_key()
        return early.external_binder_key()


@dataclass(slots=True, eq=False)
class OfferedPsks:
    """The extension of a ClientHello: identities with their obfuscated ages, and their binders."""

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
                f"the peer offers {len(identities)} pre-shared keys with {len(binders)} binders"
            )
        return cls(tuple(identities), tuple(binders))

    def encode(self) -> bytes:
        identities = b"".join(
            opaque16(identity) + uint32(age) for identity, age in self.identities
        )
        return opaque16(identities) + self.encode_binders()

    @property
    def binders_length(self) -> int:
        """The length of the encoded binders, in bytes."""
        return 2 + sum([1 + len(binder) for binder in self.binders])

    def encode_binders(self) -> bytes:
        return opaque16(b"".join(map(opaque8, self.binders)))


def encode_psk_key_exchange_modes(config: ClientParameters) -> bytes:
    modes = (PSK_DHE_KE, PSK_KE) if config.psk_without_key_exchange else (PSK_DHE_KE,)
    return opaque8(bytes(modes))


def psk_modes(config: ServerParameters, hello: ClientHello) -> Collection[int]:
    """Return the key exchange modes that both sides allow (RFC 9846 4.3.9)."""
    body = hello.extensions.get(_E.psk_key_exchange_modes)
    if body is None:
        return ()
    modes = ext.decode_psk_key_exchange_modes(body)
    allowed = (PSK_DHE_KE, PSK_KE) if config.psk_without_key_exchange else (PSK_DHE_KE,)
    return [mode for mode in allowed if mode in modes]


def decode_offered_psks(hello: ClientHello) -> OfferedPsks | None:
    """Return the keys that a client offers; None if it offers none."""
    body = hello.extensions.get(_E.pre_shared_key)
    return None if body is None else OfferedPsks.decode(body)


def binder(psk: Psk[Any], partial_transcript: bytes) -> bytes:
    """Compute a binder (RFC 9846 4.3.11.2).

    Args:
        partial_transcript: the messages so far; the last is a ClientHello without its binders.
    """
    suite = psk.suite
    return finished_verify_data(suite, psk.binder_key(), suite.hash(partial_transcript).digest())


def with_psks(
    hello: ClientHello, psks: Sequence[Psk[Any]], messages: Sequence[bytes]
) -> ClientHello:
    """Return the ClientHello with an offer of these keys and no others.

    Args:
        messages: the messages before it, if it is a second ClientHello: the hash of the first one,
            and the HelloRetryRequest.
    """
    if not psks:
        return without_psks(hello)
    identities = tuple((psk.identity, psk.obfuscated_ticket_age) for psk in psks)
    unbound = OfferedPsks(identities, tuple(bytes(psk.suite.hash_length) for psk in psks))
    # RFC 9846 4.3.11: pre_shared_key must be the last extension.
    extensions = dict(without_psks(hello).extensions)
    extensions[_E.pre_shared_key] = offer = unbound.encode()
    extended = replace(hello, extensions=extensions)
    end = -unbound.binders_length
    message = encode_message(extended)[:end]
    partial = b"".join((*messages, message))
    binders = OfferedPsks((), tuple([binder(psk, partial) for psk in psks])).encode_binders()
    extensions[_E.pre_shared_key] = offer[:end] + binders
    extended.encoded = message[MESSAGE_HEADER_LENGTH:] + binders
    return extended


def without_psks(hello: ClientHello) -> ClientHello:
    if _E.pre_shared_key not in hello.extensions:
        return hello
    rest = {code: body for code, body in hello.extensions.items() if code != _E.pre_shared_key}
    return replace(hello, extensions=rest)


def check_binder(
    offered: OfferedPsks, index: int, psk: Psk[Any], messages: Sequence[bytes]
) -> None:
    """Check that the client has the key that it offers.

    Args:
        index: the index of the key in the offer.
        messages: the messages so far; the last is the ClientHello.

    Raises:
        ProtocolError: ``decrypt_error``, the binder was made with another key or for another
            ClientHello.
    """
    partial = b"".join(messages)[: -offered.binders_length]
    if not hmac.compare_digest(offered.binders[index], binder(psk, partial)):
        unknown = ", or this server has no key of this identity" if psk.external else ""
        raise ProtocolError(
            "the peer offers a pre-shared key that it does not have: its binder is wrong"
            + unknown,
            AlertDescription.decrypt_error,
        )
