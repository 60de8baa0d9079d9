"""Scripted peers of Encrypted Client Hello (RFC 9849)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from scripted_clients import ClientPeer, RetriedClientPeer
from scripted_peer import (
    SUITE,
    AnyMessage,
    Deviation,
    authority,
    credentials,
)
from scripted_servers import RetryingServerPeer, ServerPeer

from trio_tlsx.config.client import ClientConfig
from trio_tlsx.config.server import ServerConfig
from trio_tlsx.crypto.hpke import (
    AEADS,
    KDFS,
    KEMS,
    HPKEContext,
    HPKESuite,
    setup_base_recipient,
    setup_base_sender,
)
from trio_tlsx.crypto.transcript import message_hash
from trio_tlsx.handshake.ech_confirmation import confirmation_for, with_confirmation
from trio_tlsx.messages import extensions as ext
from trio_tlsx.messages.codec import Reader
from trio_tlsx.messages.ech import (
    INNER_ECH,
    OuterECH,
    decode_ech,
    decode_inner_hello,
    encode_inner_hello,
)
from trio_tlsx.messages.extensions import ExtensionType as E
from trio_tlsx.messages.handshake import (
    MESSAGE_HEADER_LENGTH,
    RANDOM_LENGTH,
    ClientHello,
    HandshakeType,
    ServerHello,
    encode_message,
)
from trio_tlsx.pki.ech import ECHKey, hpke_info

PUBLIC_NAME = "public.example"
KEY = ECHKey.generate(PUBLIC_NAME)
OTHER_KEY = ECHKey.generate(PUBLIC_NAME, other_ids=[KEY.config.config_id])
HPKE_SUITE = HPKESuite(KEMS[KEY.config.kem_id], KDFS[1], AEADS[1])
TAG_LENGTH = 16

public_credentials = authority.issue(PUBLIC_NAME, key_type="P-256")


# Servers


class AcceptingServerPeer(ServerPeer):
    """One that takes the inner hello of our client."""

    engine_config: ClassVar = replace(ServerPeer.engine_config, ech=KEY.config_list)

    def __init__(
        self,
        deviations: Mapping[str, Deviation],
        *,
        config: ClientConfig | None = None,
        **how: bool,
    ) -> None:
        super().__init__(deviations, config=config, **how)
        self.context: HPKEContext | None = None
        self.inner: ClientHello | None = None
        self.messages: list[bytes] = []

    def in_transcript(self, message: bytes) -> bytes:
        if message[0] != HandshakeType.client_hello:
            return message
        outer = ClientHello.decode(message[MESSAGE_HEADER_LENGTH:])
        ech = decode_ech(outer.extensions[E.encrypted_client_hello])
        assert ech is not None
        if self.context is None:
            self.context = setup_base_recipient(
                HPKESuite(HPKE_SUITE.kem, KDFS[ech.cipher_suite[0]], AEADS[ech.cipher_suite[1]]),
                ech.enc,
                KEY.kem_key,
                hpke_info(KEY.config),
            )
        encoded = self.context.open(ech.additional_data(outer), ech.payload)
        self.inner = decode_inner_hello(encoded, outer)
        self.messages.append(encode_message(self.inner))
        return self.messages[-1]

    def hear_hello(self) -> ClientHello:
        super().hear_hello()
        assert self.inner is not None
        return self.inner

    def confirmed(self, answer: ServerHello) -> ServerHello:
        value = confirmation_for(SUITE, self.hello.random, self.messages, answer)
        answer = with_confirmation(answer, value)
        if answer.is_hello_retry_request:
            self.messages = [message_hash(SUITE, self.messages[0]), encode_message(answer)]
        return answer


class AcceptingRetryingServerPeer(AcceptingServerPeer, RetryingServerPeer):
    """One that takes both inner hellos of our client."""


class RejectingServerPeer(ServerPeer):
    """One that has another key, and is the server of the public name."""

    places: ClassVar = ("server_hello", "encrypted_extensions", "certificate", "finished")
    engine_config: ClassVar = replace(ServerPeer.engine_config, ech=KEY.config_list)

    def __init__(
        self,
        deviations: Mapping[str, Deviation],
        *,
        config: ClientConfig | None = None,
        **how: bool,
    ) -> None:
        super().__init__(deviations, config=config, **how)
        self.signer = public_credentials

    def encrypted_extensions(self) -> dict[int, bytes]:
        return {E.server_name: b"", E.encrypted_client_hello: OTHER_KEY.config_list}


class RejectingRetryingServerPeer(RejectingServerPeer, RetryingServerPeer):
    """One that wants another key share first."""

    places: ClassVar = ("hello_retry_request", *RejectingServerPeer.places)


class GreasedServerPeer(ServerPeer):
    """One whose client sends a GREASE value, with keys of its own."""

    engine_config: ClassVar = replace(ServerPeer.engine_config, ech="grease")

    def encrypted_extensions(self) -> dict[int, bytes]:
        configs = {E.encrypted_client_hello: OTHER_KEY.config_list}
        return super().encrypted_extensions() | configs


class GreasedRetryingServerPeer(GreasedServerPeer, RetryingServerPeer):
    """One that wants another key share first."""


# Clients


def without_padding(encoded: bytes) -> bytes:
    """Return an inner hello without its zeros. Its last extension may also end with zeros."""
    reader = Reader(encoded, "inner ClientHello")
    reader.take(2 + RANDOM_LENGTH)
    for skip_vector in (reader.opaque8, reader.opaque16, reader.opaque8, reader.opaque16):
        skip_vector()
    return encoded.removesuffix(reader.rest())


class EncryptingClientPeer(ClientPeer):
    """One that encrypts its hello; ``inner_client_hello`` is what is encrypted."""

    places: ClassVar = ("client_hello", "inner_client_hello", "finished", "key_update")
    engine_config: ClassVar = replace(
        ClientPeer.engine_config, credentials=[credentials, public_credentials], ech_keys=KEY
    )

    def __init__(
        self,
        deviations: Mapping[str, Deviation],
        *,
        config: ServerConfig | None = None,
        **how: bool,
    ) -> None:
        super().__init__(deviations, config=config, **how)
        self.enc, self.context_of_ech = setup_base_sender(
            HPKE_SUITE, KEY.config.public_key, hpke_info(KEY.config)
        )
        self.inner = b""
        self.plaintext: bytes | None = None
        self.is_encoding = False

    def in_transcript(self, message: bytes) -> bytes:
        return self.inner if message[0] == HandshakeType.client_hello else message

    def send_hello(self, place: str, hello: ClientHello) -> None:
        # ECH goes before pre_shared_key, which is the last extension.
        extensions = {E.encrypted_client_hello: INNER_ECH, **hello.extensions}
        inner = replace(hello, extensions=extensions)
        self.inner = encode_message(inner)
        outer = self.outer_hello(hello)
        plaintext = self.encoded(f"inner_{place}", encode_inner_hello(inner, outer, 0))
        suite = (HPKE_SUITE.kdf.code, HPKE_SUITE.aead.code)
        payload = bytes(len(plaintext) + TAG_LENGTH)
        ech = OuterECH(suite, KEY.config.config_id, self.enc, payload)
        self.enc = b""
        payload = self.context_of_ech.seal(ech.additional_data(outer), plaintext)
        body = replace(ech, payload=payload).encode()
        extensions = {**outer.extensions, E.encrypted_client_hello: body}
        self.step(place, replace(outer, extensions=extensions))

    def outer_hello(self, hello: ClientHello) -> ClientHello:
        """The public hello: with the public name, and without the application protocols."""
        public = {E.server_name: ext.encode_server_name(PUBLIC_NAME.encode())}
        extensions = {**hello.extensions, **public, E.encrypted_client_hello: b""}
        del extensions[E.application_layer_protocol_negotiation]
        return replace(hello, random=b"O" * 32, extensions=extensions)

    def encoded(self, place: str, honest: bytes) -> bytes:
        """What is encrypted: the inner hello as a deviation leaves it, and its padding."""
        if place not in self.deviations:
            return honest
        self.plaintext, self.is_encoding = b"", True
        self.step(place, ClientHello.decode(without_padding(honest)))
        self.is_encoding = False
        return self.plaintext

    def send(self, *messages: AnyMessage | bytes) -> None:
        if not self.is_encoding:
            super().send(*messages)
            return
        (message,) = messages
        octets = message if isinstance(message, bytes) else encode_message(message)
        self.plaintext = octets[MESSAGE_HEADER_LENGTH:]


class EncryptingRetriedClientPeer(EncryptingClientPeer, RetriedClientPeer):
    """One that has no key share for the server's group, and is given a cookie."""

    places: ClassVar = (
        *EncryptingClientPeer.places[:2],
        "second_client_hello",
        "inner_second_client_hello",
        *EncryptingClientPeer.places[2:],
    )
    engine_config: ClassVar = replace(
        EncryptingClientPeer.engine_config, groups=["P-256"], require_cookie=True
    )
