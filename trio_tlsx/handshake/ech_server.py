"""A server's half of Encrypted Client Hello, in shared mode (RFC 9849 7).

A server that can decrypt the inner hello continues with that, and confirms this in its answer.
Otherwise it continues with the outer hello, and sends its current configuration.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from os import urandom

from ..config.server import ServerParameters
from ..crypto.cipher_suites import CipherSuite
from ..crypto.hpke import AEADS, KDFS, KEMS, HPKEContext, HPKESuite, setup_base_recipient
from ..crypto.key_schedule import ECH_CONFIRMATION_LENGTH
from ..errors import AlertDescription, ProtocolError
from ..messages import extensions as ext
from ..messages.ech import (
    INNER_ECH,
    ECHConfig,
    OuterECH,
    decode_ech,
    decode_inner_hello,
    encode_config_list,
)
from ..messages.extensions import Extensions, ExtensionType
from ..messages.handshake import ClientHello, ServerHello, encode_message
from ..messages.versions import TLS12
from ..pki.ech import ECHKey, hpke_info
from .ech_confirmation import confirmation_for, with_confirmation
from .ech_key_log import log_ech
from .steps import Handshake

__all__ = ["ECHReceived", "confirm", "open_hello", "open_second_hello", "retry_configs"]

_E = ExtensionType
_ECH = ExtensionType.encrypted_client_hello


@dataclass(slots=True, eq=False)
class ECHReceived:
    """An encrypted_client_hello that a client sent.

    Attributes:
        outer: the extension of the first outer hello.
        current: the server's current configuration.
        context: decrypts the second hello; None if the first could not be decrypted.
    """

    outer: OuterECH
    current: ECHConfig
    context: HPKEContext | None = field(repr=False)

    @property
    def is_accepted(self) -> bool:
        """Whether this handshake continues with the inner hello."""
        return self.context is not None


def open_hello(
    hs: Handshake, config: ServerParameters, hello: ClientHello
) -> tuple[ClientHello, ECHReceived | None]:
    """Decrypt the inner hello of the first ClientHello, if there is one (RFC 9849 7.1).

    Returns:
        The hello to continue with, and the client's ECH; None if one of the sides has no ECH.

    Raises:
        ProtocolError: the extension is malformed (``decode_error``), it is that of an inner hello,
            or the inner hello violates one of the rules (``illegal_parameter``).
    """
    body = hello.extensions.get(_ECH)
    if body is None:
        return hello, None
    outer = decode_ech(body)
    if outer is None:
        raise ProtocolError(
            "the peer's encrypted_client_hello has the type of an inner ClientHello, but it came "
            "unencrypted"
        )
    current = config.ech_keys.keys[0].config
    additional_data = outer.additional_data(hello)
    for key in keys_for(config, outer):
        try:
            context = setup_base_recipient(
                suite_of(key, outer), outer.enc, key.kem_key, hpke_info(key.config)
            )
            encoded = context.open(additional_data, outer.payload)
        except ValueError:
            continue  # encrypted with another key, or a GREASE value
        log_ech(config.write_key_log, hello.random, context, key.config)
        return accept(hs, encoded, hello), ECHReceived(outer, current, context)
    return hello, ECHReceived(outer, current, None)


def keys_for(config: ServerParameters, outer: OuterECH) -> Iterable[ECHKey]:
    """Return the keys that may decrypt the inner hello (RFC 9849 7.1)."""
    for key in config.ech_keys.keys:
        is_named = config.ech_trial_decryption or key.config.config_id == outer.config_id
        if is_named and outer.cipher_suite in key.config.cipher_suites:
            yield key


def suite_of(key: ECHKey, outer: OuterECH) -> HPKESuite:
    """Return the HPKE suite that the client selected. The library has all suites of an ECHKey."""
    kdf, aead = outer.cipher_suite
    return HPKESuite(KEMS[key.config.kem_id], KDFS[kdf], AEADS[aead])


def accept(hs: Handshake, encoded: bytes, outer: ClientHello) -> ClientHello:
    """Continue with the inner hello: in the transcript it replaces the outer one (RFC 9849 7)."""
    inner = decode_inner_hello(encoded, outer)
    if inner.extensions.get(_ECH) != INNER_ECH:
        raise ProtocolError(
            "the peer's inner ClientHello lacks the encrypted_client_hello of an inner one"
        )
    versions = inner.extensions.get(_E.supported_versions)
    if versions is None or min(ext.decode_supported_versions(versions)) <= TLS12:
        # RFC 9849 7.1. A reserved value (RFC 8701) is larger than any version.
        raise ProtocolError("the peer's inner ClientHello offers TLS 1.2 or older")
    hs.transcript.replace(-1, encode_message(inner))
    hs.outgoing.hides_lengths = True
    return inner


def open_second_hello(hs: Handshake, received: ECHReceived, hello: ClientHello) -> ClientHello:
    """Decrypt the inner hello after a HelloRetryRequest (RFC 9849 7.1.1).

    Raises:
        ProtocolError: the extension is missing (``missing_extension``); it names another key or
            suite, or has an encapsulated key again (``illegal_parameter``); or the inner hello
            cannot be decrypted (``decrypt_error``).
    """
    if received.context is None:
        return hello
    body = hello.extensions.get(_ECH)
    if body is None:
        raise ProtocolError(
            "the peer's second ClientHello lacks encrypted_client_hello",
            AlertDescription.missing_extension,
        )
    outer, first = decode_ech(body), received.outer
    if (
        outer is None
        or outer.cipher_suite != first.cipher_suite
        or outer.config_id != first.config_id
        or outer.enc
    ):
        raise ProtocolError(
            "the peer's second ClientHello is encrypted with another key or cipher suite"
        )
    try:
        encoded = received.context.open(outer.additional_data(hello), outer.payload)
    except ValueError:
        raise ProtocolError(
            "the peer's second inner ClientHello cannot be decrypted",
            AlertDescription.decrypt_error,
        ) from None
    return accept(hs, encoded, hello)


def confirm(
    received: ECHReceived,
    suite: CipherSuite,
    inner_random: bytes,
    messages: Sequence[bytes],
    answer: ServerHello,
) -> ServerHello:
    """Return the answer with the confirmation, if the inner hello is accepted (RFC 9849 7.2).

    Args:
        inner_random: the random of the inner hello.
        messages: the transcript before the answer.
        answer: a ServerHello or a HelloRetryRequest.
    """
    if received.is_accepted:
        value = confirmation_for(suite, inner_random, messages, answer)
        return with_confirmation(answer, value)
    if answer.is_hello_retry_request:
        # RFC 9849 7.1, 10.10.4: an observer cannot tell a rejection from an acceptance.
        return with_confirmation(answer, urandom(ECH_CONFIRMATION_LENGTH))
    return answer


def retry_configs(received: ECHReceived) -> Extensions:
    """Return the extension with the current configuration for a rejected client (RFC 9849 7.1)."""
    if received.is_accepted:
        return {}
    return {_ECH: encode_config_list([received.current])}
