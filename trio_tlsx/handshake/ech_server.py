"""A server's half of Encrypted Client Hello, in shared mode (RFC 9849 7).

A server that can decrypt the inner hello continues as if it had received that, and confirms it in
its answer. Else it continues with the outer hello, and sends its current configurations.
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

__all__ = ["ECHReceived", "confirmed", "open_hello", "open_second_hello", "retry_configs"]

_E = ExtensionType
_ECH = ExtensionType.encrypted_client_hello


@dataclass(slots=True, eq=False)
class ECHReceived:
    """An encrypted_client_hello that a client sent.

    Attributes:
        outer: the extension of the first outer hello.
        current: the configuration that the server would have the client use.
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
        The hello to continue with, and what the client sent; None without ECH on one of the sides.

    Raises:
        ProtocolError: the extension is malformed (``decode_error``), it is that of an inner hello,
            or the inner hello violates one of the rules (``illegal_parameter``).
    """
    body = hello.extensions.get(_ECH)
    if body is None:
        return hello, None
    outer = decode_ech(body)
    if outer is None:
        raise ProtocolError("the peer's encrypted_client_hello is of an inner ClientHello")
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
    """Return the keys that the inner hello may be encrypted to."""
    for key in config.ech_keys.keys:
        is_named = config.ech_trial_decryption or key.config.config_id == outer.config_id
        if is_named and outer.cipher_suite in key.config.cipher_suites:
            yield key


def suite_of(key: ECHKey, outer: OuterECH) -> HPKESuite:
    """Return the suite of the client's choice; :class:`ECHKey` has those of this library alone."""
    kdf, aead = outer.cipher_suite
    return HPKESuite(KEMS[key.config.kem_id], KDFS[kdf], AEADS[aead])


def accept(hs: Handshake, encoded: bytes, outer: ClientHello) -> ClientHello:
    """Put the inner hello into the place of the outer one, which was just received."""
    inner = decode_inner_hello(encoded, outer)
    if inner.extensions.get(_ECH) != INNER_ECH:
        raise ProtocolError("the peer's inner ClientHello does not say that it is one")
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
        ProtocolError: there is none (``missing_extension``), it has another key, suite or a key of
            its own (``illegal_parameter``), or it cannot be decrypted (``decrypt_error``).
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
        raise ProtocolError("the peer's second ClientHello is encrypted in another way")
    try:
        encoded = received.context.open(outer.additional_data(hello), outer.payload)
    except ValueError:
        raise ProtocolError(
            "the peer's second inner ClientHello cannot be decrypted",
            AlertDescription.decrypt_error,
        ) from None
    return accept(hs, encoded, hello)


def confirmed(
    received: ECHReceived,
    suite: CipherSuite,
    inner_random: bytes,
    messages: Sequence[bytes],
    answer: ServerHello,
) -> ServerHello:
    """Return the answer with the confirmation that the inner hello was taken (RFC 9849 7.2).

    Args:
        inner_random: the random of the inner hello.
        messages: the transcript before the answer.
        answer: a ServerHello or a HelloRetryRequest.
    """
    if received.is_accepted:
        value = confirmation_for(suite, inner_random, messages, answer)
        return with_confirmation(answer, value)
    if answer.is_hello_retry_request:
        # RFC 9849 7.1, 10.10.4: it looks the same where the inner hello could not be decrypted.
        return with_confirmation(answer, urandom(ECH_CONFIRMATION_LENGTH))
    return answer


def retry_configs(received: ECHReceived) -> Extensions:
    """Return the extension that tells a client of the current key, where it needs it (7.1)."""
    if received.is_accepted:
        return {}
    return {_ECH: encode_config_list([received.current])}
