"""A client's half of Encrypted Client Hello (RFC 9849 6).

The client sends an outer hello, which everybody can read. It contains the inner hello, which only
the server can decrypt. The transcript has the inner hello, unless the server rejects it.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from os import urandom

from ..config.client import ClientParameters
from ..crypto.cipher_suites import CipherSuite
from ..crypto.hpke import AEAD_TAG_LENGTH, HPKEContext, HPKESuite, setup_base_sender
from ..errors import AlertDescription, CertificateError, ECHRejected, ProtocolError
from ..messages.ech import (
    INNER_ECH,
    ECHConfig,
    OuterECH,
    decode_config_list,
    encode_inner_hello,
)
from ..messages.extensions import Extensions, ExtensionType
from ..messages.handshake import RANDOM_LENGTH, ClientHello, ServerHello, encode_message
from ..pki.ech import hpke_info, random_suite
from ..pki.server_name import ServerName
from ..sessions.client import Session
from .client_hello import HelloParameters, make_client_hello
from .ech_confirmation import confirmation_for, confirmation_in
from .ech_key_log import log_ech
from .psk import Psk
from .steps import Handshake

__all__ = [
    "ECHOffer",
    "encrypt_second_hello",
    "grease_ech",
    "is_accepted",
    "offer_ech",
    "read_retry_configs",
    "rejection",
    "send_encrypted",
    "unauthenticated",
]

_ECH = ExtensionType.encrypted_client_hello


@dataclass(slots=True, eq=False)
class ECHOffer:
    """An inner hello that was offered in an outer one.

    Attributes:
        config: the configuration that the inner hello is encrypted with.
        context: encrypts the inner hello, and the second one after a HelloRetryRequest.
        outer: the parameters of the outer hello.
        hello: the outer hello.
        is_accepted: whether the server accepted the inner hello; None before it has answered.
        retry_configs: the server's current configurations, if it sent them.
    """

    config: ECHConfig
    context: HPKEContext = field(repr=False)
    outer: HelloParameters
    hello: ClientHello
    is_accepted: bool | None = None
    retry_configs: bytes | None = None


def offer_ech(
    config: ClientParameters,
    encryption: tuple[ECHConfig, HPKESuite],
    inner: HelloParameters,
    hello: ClientHello,
) -> ECHOffer:
    """Encrypt the first inner hello (RFC 9849 6.1).

    Args:
        inner: the parameters of the inner hello.
        hello: the inner hello.
    """
    ech_config, suite = encryption
    enc, context = setup_base_sender(suite, ech_config.public_key, hpke_info(ech_config))
    outer = replace(
        inner,
        config=config.ech_outer,
        server_name=ServerName.parse(ech_config.public_name),
        random=urandom(RANDOM_LENGTH),
        psks=[grease_psk(psk) for psk in inner.psks],
    )
    outer_hello = encrypt_hello(ech_config, context, outer, hello, enc=enc)
    # A second hello after a rejection repeats the extension.
    outer.ech = outer_hello.extensions[_ECH]
    log_ech(config.write_key_log, outer.random, context, ech_config)
    return ECHOffer(ech_config, context, outer, outer_hello)


def grease_psk(psk: Psk[Session]) -> Psk[Session]:
    """Return a random PSK of the same lengths, which a server cannot select (RFC 9849 6.1.2)."""
    secret = urandom(psk.suite.hash_length)
    return Psk(urandom(len(psk.identity)), int.from_bytes(urandom(4)), psk.suite, secret)


def encrypt_hello(
    config: ECHConfig,
    context: HPKEContext,
    parameters: HelloParameters,
    inner: ClientHello,
    *,
    enc: bytes,
) -> ClientHello:
    """Encrypt the inner hello into an outer hello, and return that (RFC 9849 6.1.1).

    Args:
        parameters: the parameters of the outer hello.
        enc: the encapsulated key; empty in a second hello.
    """
    outer = make_client_hello(replace(parameters, ech=b""))
    plaintext = encode_inner_hello(inner, outer, config.maximum_name_length)
    suite = context.suite
    ech = OuterECH(
        (suite.kdf.code, suite.aead.code),
        config.config_id,
        enc,
        bytes(len(plaintext) + AEAD_TAG_LENGTH),
    )
    payload = context.seal(ech.additional_data(outer), plaintext)
    body = replace(ech, payload=payload).encode()
    return replace(outer, extensions={**outer.extensions, _ECH: body})


def encrypt_second_hello(ech: ECHOffer, inner: HelloParameters, hello: ClientHello) -> None:
    """Encrypt the inner hello after a HelloRetryRequest (RFC 9849 6.1.5).

    Args:
        inner: the parameters of the second inner hello.
        hello: the second inner hello.
    """
    ech.outer = replace(
        ech.outer,
        shares=inner.shares,
        psks=[grease_psk(psk) for psk in inner.psks],
        early_data=False,
        cookie=inner.cookie,
        grease=inner.grease,
    )
    ech.hello = encrypt_hello(ech.config, ech.context, ech.outer, hello, enc=b"")


def send_encrypted(hs: Handshake, ech: ECHOffer, inner: ClientHello) -> None:
    """Send the outer hello; the transcript has the inner one (RFC 9849 6.1)."""
    hs.send_encoded(encode_message(ech.hello), encode_message(inner))


def grease_ech(parameters: HelloParameters) -> bytes:
    """Return an encrypted_client_hello that nobody can decrypt (RFC 9849 6.2).

    It is as long as a real one, with this hello as the outer hello.
    """
    suite = random_suite()
    psks = [grease_psk(psk) for psk in parameters.psks]
    outer = make_client_hello(replace(parameters, ech=b"", psks=()))
    inner = replace(
        parameters,
        config=parameters.config.ech_inner,
        session12=None,
        ech=INNER_ECH,
        psks=psks,
    )
    length = len(encode_inner_hello(make_client_hello(inner), outer, 0)) + AEAD_TAG_LENGTH
    return OuterECH(
        (suite.kdf.code, suite.aead.code),
        urandom(1)[0],
        suite.kem.generate().public,
        urandom(length),
    ).encode()


def is_accepted(
    suite: CipherSuite, inner: ClientHello, messages: Sequence[bytes], answer: ServerHello
) -> bool:
    """Return whether the server has accepted the inner hello (RFC 9849 6.1.4).

    Args:
        messages: the transcript before ``answer``, with the inner hello.
        answer: a ServerHello or a HelloRetryRequest.
    """
    confirmation = confirmation_in(answer)
    if confirmation is None:
        return False
    return hmac.compare_digest(
        confirmation, confirmation_for(suite, inner.random, messages, answer)
    )


def read_retry_configs(ech: ECHOffer | None, extensions: Extensions) -> None:
    """Keep the configurations in the server's EncryptedExtensions (RFC 9849 5, 6.1.6, 6.2).

    Args:
        ech: the offer; None if the hello had a GREASE value. The answer to it is checked and
            dropped.
        extensions: the extensions of the message, with encrypted_client_hello.

    Raises:
        ProtocolError: the configurations are malformed (``decode_error``), or the server accepted
            the inner hello (``unsupported_extension``).
    """
    if ech is not None and ech.is_accepted:
        raise ProtocolError(
            "the peer accepted the inner ClientHello, and sent retry configurations",
            AlertDescription.unsupported_extension,
        )
    decode_config_list(extensions[_ECH])
    if ech is not None:
        ech.retry_configs = extensions[_ECH]


def unauthenticated(ech: ECHOffer, error: CertificateError) -> CertificateError:
    """Return the error for a server that rejected ECH and was not verified as the public name.

    Such a server may be an attacker, so its retry configurations are ignored (RFC 9849 6.1.6).
    """
    return CertificateError(
        f"the server rejected the encrypted ClientHello, and cannot be verified as "
        f"{ech.config.public_name!r}, the public name of the ECH configuration: {error}",
        error.alert,
        certificate=error.certificate,
    )


def rejection(ech: ECHOffer, *, verified: bool) -> ECHRejected:
    """Return the error for a handshake that was complete with the outer hello (RFC 9849 6.1.6).

    Args:
        verified: whether the server was verified to be that of ``public_name``.
    """
    name = ech.config.public_name
    if not verified:
        return ECHRejected(
            "the server rejected the encrypted ClientHello, and it was not verified: turn "
            "verification on, or get the server's current ECH configurations",
            public_name=name,
        )
    if ech.retry_configs is not None and decode_config_list(ech.retry_configs):
        return ECHRejected(
            f"the server rejected the encrypted ClientHello: {name} has other keys now; connect "
            "again with ech=error.retry_configs",
            public_name=name,
            retry_configs=ech.retry_configs,
        )
    return ECHRejected(
        f"the server rejected the encrypted ClientHello: {name} has turned ECH off; connect again "
        "without ech= if the name may be seen",
        public_name=name,
        is_disabled=True,
    )
