"""A server's confirmation that it accepted the inner hello (RFC 9849 7.2).

A ServerHello has the confirmation in the last bytes of its random, a HelloRetryRequest in an
extension. It is computed over the message with zeros in its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..crypto.cipher_suites import CipherSuite
from ..crypto.key_schedule import ECH_CONFIRMATION_LENGTH, ech_confirmation
from ..crypto.transcript import message_hash
from ..errors import AlertDescription, ProtocolError
from ..messages.extensions import ExtensionType
from ..messages.handshake import ServerHello, encode_message

__all__ = ["confirmation_for", "confirmation_in", "with_confirmation"]

_ECH = ExtensionType.encrypted_client_hello


def confirmation_for(
    suite: CipherSuite, inner_random: bytes, messages: Sequence[bytes], answer: ServerHello
) -> bytes:
    """Compute the confirmation of a ServerHello or a HelloRetryRequest.

    Args:
        inner_random: the random of the inner hello.
        messages: the transcript before ``answer``, with the inner hello.
        answer: the message; a confirmation that it has already is ignored.
    """
    blank = encode_message(with_confirmation(answer, bytes(ECH_CONFIRMATION_LENGTH)))
    retry = answer.is_hello_retry_request
    if retry:
        messages = [message_hash(suite, messages[0])]
    digest = suite.hash(b"".join((*messages, blank))).digest()
    return ech_confirmation(suite, inner_random, digest, retry=retry)


def with_confirmation(answer: ServerHello, confirmation: bytes) -> ServerHello:
    """Return the message with this confirmation."""
    if answer.is_hello_retry_request:
        return replace(answer, extensions={**answer.extensions, _ECH: confirmation})
    return replace(answer, random=answer.random[:-ECH_CONFIRMATION_LENGTH] + confirmation)


def confirmation_in(answer: ServerHello) -> bytes | None:
    """Return the value in the confirmation's place; None for a HelloRetryRequest without one.

    Raises:
        ProtocolError: the extension of a HelloRetryRequest has another length
            (``decode_error``, RFC 9849 6.1.4).
    """
    if not answer.is_hello_retry_request:
        return answer.random[-ECH_CONFIRMATION_LENGTH:]
    confirmation = answer.extensions.get(_ECH)
    if confirmation is not None and len(confirmation) != ECH_CONFIRMATION_LENGTH:
        raise ProtocolError(
            f"the encrypted_client_hello of the peer's HelloRetryRequest has {len(confirmation)} "
            f"bytes, not {ECH_CONFIRMATION_LENGTH}",
            AlertDescription.decode_error,
        )
    return confirmation
