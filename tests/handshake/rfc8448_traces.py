"""The traces of RFC 8448 as steps, and a player that runs them through the engine's own code."""

from __future__ import annotations

import datetime
import functools
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from engine_pairs import AbsentSigner, authority, fixed_group, with_groups

from trio_tlsx.config.client import ClientConfig
from trio_tlsx.config.server import ServerConfig
from trio_tlsx.crypto import key_schedule
from trio_tlsx.crypto.cipher_suites import CIPHER_SUITES
from trio_tlsx.crypto.groups import ECDHKey, EphemeralKey, X25519Key
from trio_tlsx.crypto.key_schedule import HmacKey
from trio_tlsx.crypto.signatures import SignatureScheme
from trio_tlsx.engine.connection import Connection
from trio_tlsx.handshake import client_hello, resumption_server, server13, server13_hello
from trio_tlsx.handshake.steps import Handshake
from trio_tlsx.messages.extensions import ExtensionType
from trio_tlsx.messages.handshake import (
    Certificate,
    CertificateRequest,
    CertificateVerify,
    ClientHello,
    EncryptedExtensions,
    EndOfEarlyData,
    Finished,
    Message,
    NewSessionTicket,
    ServerHello,
)
from trio_tlsx.pki.credentials import Credentials
from trio_tlsx.sessions.anti_replay import MemoryAntiReplayCache
from trio_tlsx.sessions.client import Session
from trio_tlsx.sessions.ticket_keys import TicketKeys

REPLAYED, KEYS = (3, 4, 5, 6, 7), (2,)


#: Section 4 resumes section 3, after so long.
FULL, RESUMED = 3, 4


TICKET_AGE = datetime.timedelta(milliseconds=6)


#: When the certificates were good.
NOW = datetime.datetime(2018, 6, 1, tzinfo=datetime.UTC)


ROLES = ("client", "server")


X25519, P256 = 0x001D, 0x0017


SERVER_NAME = "server"


#: The extensions of the RFC's ClientHellos that the engine generates byte for byte.
GENERATED_ALIKE = (
    ExtensionType.server_name,
    ExtensionType.key_share,
    ExtensionType.supported_versions,
    ExtensionType.record_size_limit,
)


MESSAGES: dict[str, type[Message]] = {
    message.__name__: message
    for message in (
        ClientHello,
        ServerHello,
        EncryptedExtensions,
        CertificateRequest,
        Certificate,
        CertificateVerify,
        EndOfEarlyData,
        Finished,
        NewSessionTicket,
    )
}


@dataclass(frozen=True)
class Step:
    number: int
    actor: str
    action: str
    fields: dict[str, bytes] = field(repr=False)

    @property
    def what(self) -> str:
        return self.action.split(" (same as")[0]

    @property
    def is_record(self) -> bool:
        return "complete record" in self.fields


@dataclass(frozen=True)
class Section:
    number: int
    steps: tuple[Step, ...]

    def find(self, actor: str, what: str) -> list[Step]:
        """The steps of ``actor`` that say more than that they are the same as others."""
        return [
            step
            for step in self.steps
            if step.actor == actor and what in step.what and step.fields
        ]

    def messages(self, actor: str, name: str) -> list[Any]:
        """The messages of a type that ``actor`` sends."""
        steps = self.find(actor, f" {name} handshake message")
        octets = (self.whole(step.fields[name]) for step in steps)
        return [MESSAGES[name].decode(message[4:]) for message in octets]

    def whole(self, message: bytes) -> bytes:
        """The message; the RFC has it without its binder first, and with it in the record."""
        if len(message) == 4 + int.from_bytes(message[1:4]):
            return message
        payloads = (step.fields["payload"] for step in self.steps if step.is_record)
        return next(payload for payload in payloads if payload.startswith(message))

    def resolve(self, step: Step) -> Step:
        """The step that has the values; for a "same as", the other side's."""
        if step.fields:
            return step
        what = step.what
        if "traffic keys" in what:  # what one writes with the other reads with
            old, new = (" write ", " read ") if " write " in what else (" read ", " write ")
            what = what.replace(old, new)
        other = "server" if step.actor == "client" else "client"
        (same,) = self.find(other, what)
        return same


@functools.cache
def rfc8448() -> dict[int, Section]:
    path = Path(__file__).parent.parent / "data" / "rfc8448.json"
    document: dict[str, Any] = json.loads(path.read_text())
    return {
        section["section"]: Section(
            section["section"],
            tuple(
                Step(
                    number,
                    step["actor"],
                    step["action"],
                    {name: bytes.fromhex(value) for name, value in step["fields"].items()},
                )
                for number, step in enumerate(section["steps"])
            ),
        )
        for section in document["sections"]
    }


def key_of(step: Step) -> EphemeralKey:
    private_key = step.fields["private key"]
    if "x25519" in step.action:
        return X25519Key(x25519.X25519PrivateKey.from_private_bytes(private_key))
    curve = ec.SECP256R1()
    return ECDHKey(curve, ec.derive_private_key(int.from_bytes(private_key), curve))


Hmac: TypeAlias = tuple[tuple[bytes, bytes], bytes, bytes]  #: the padded key, message, output


@dataclass
class Replay:
    """What one side did in a trace."""

    role: str
    hmacs: set[Hmac] = field(default_factory=set[Hmac])
    key_shares: list[bytes] = field(default_factory=list[bytes])
    messages: list[bytes] = field(default_factory=list[bytes])
    sent: bytearray = field(default_factory=bytearray)
    received_early: bytearray = field(default_factory=bytearray)
    received: bytearray = field(default_factory=bytearray)
    got_close_notify: bool = False

    def made(self, key: bytes, message: bytes, output: bytes) -> bool:
        """Whether it computed an HMAC that begins with ``output``."""
        pads = padded(key)
        return any(pads == k and message == m and o.startswith(output) for k, m, o in self.hmacs)


def padded(key: bytes) -> tuple[bytes, bytes]:
    return HmacKey(hashlib.sha256, key).padded


def watch(replay: Replay, patch: pytest.MonkeyPatch) -> None:
    """Note all HMACs (HKDF is made of nothing else) and all handshake messages sent."""
    hmac = HmacKey.hmac

    def noted_hmac(key: HmacKey, message: bytes) -> bytes:
        output = hmac(key, message)
        replay.hmacs.add((key.padded, message, output))
        return output

    send_encoded = Handshake.send_encoded

    def noted_send_encoded(hs: Handshake, octets: bytes) -> None:
        replay.messages.append(octets)
        send_encoded(hs, octets)

    # What earlier handshakes computed for all without a PSK, this one computes anew.
    key_schedule.early_key_without_psk.cache_clear()
    key_schedule.salt_without_psk.cache_clear()
    patch.setattr(HmacKey, "hmac", noted_hmac)
    patch.setattr(Handshake, "send_encoded", noted_send_encoded)


def inject_randomness(patch: pytest.MonkeyPatch, values: list[bytes]) -> None:
    rest = iter(values)

    def next_value(length: int) -> bytes:
        return next(rest)

    for module in (client_hello, server13_hello):
        patch.setattr(module, "urandom", next_value)


def instead(
    patch: pytest.MonkeyPatch,
    module: object,
    name: str,
    recorded: list[Any],
    check: Callable[[Any, Any], None],
) -> None:
    """Have a function that makes a message give the RFC's, after ``check(generated, rfc's)``."""
    make = cast("Callable[..., Any]", getattr(module, name))
    rest = iter(recorded)

    def make_and_replace(*args: Any, **options: Any) -> Any:
        generated, message = make(*args, **options), next(rest)
        check(generated, message)
        return message

    patch.setattr(module, name, make_and_replace)


def trust_anybody(*_: object) -> None:
    """What the server's side has no ``insecure_skip_verification`` for."""


def check_client_hello(generated: ClientHello, recorded: ClientHello) -> None:
    assert replace(generated, extensions=recorded.extensions) == recorded
    for extension in GENERATED_ALIKE:
        assert generated.extensions[extension] == recorded.extensions[extension]
    cookie = ExtensionType.cookie  # in the second ClientHello
    assert generated.extensions.get(cookie) == recorded.extensions.get(cookie)


def check_encrypted_extensions(
    generated: EncryptedExtensions, recorded: EncryptedExtensions
) -> None:
    rest = dict(recorded.extensions)
    rest.pop(ExtensionType.supported_groups)
    if ExtensionType.early_data in rest:
        rest.pop(ExtensionType.server_name)  # RFC 6066 3: not where a session is resumed
    assert list(generated.extensions.items()) == list(rest.items())


def check_certificate_request(
    generated: CertificateRequest | None, recorded: CertificateRequest
) -> None:
    assert generated is not None
    assert generated.certificate_request_context == recorded.certificate_request_context
    # The RFC's server does not say which CAs it knows.
    known = {ExtensionType.certificate_authorities}
    assert generated.extensions.keys() - known == recorded.extensions.keys()


def recorded_credentials(section: Section, role: str) -> tuple[Credentials, bytes] | None:
    """The certificate and what is signed with it, where this side has one."""
    if not section.messages(role, "Certificate"):
        return None
    (certificate,) = section.messages(role, "Certificate")
    (verify,) = section.messages(role, "CertificateVerify")
    chain = [x509.load_der_x509_certificate(e.cert_data) for e in certificate.certificate_list]
    signer = AbsentSigner(SignatureScheme(verify.algorithm))
    return Credentials(chain, signer), verify.signature


def first_of(steps: list[Step], name: str) -> bytes:
    return steps[0].fields[name]


def recorded_ticket() -> tuple[NewSessionTicket, bytes]:
    """The ticket, and the key that goes with it."""
    full = rfc8448()[FULL]
    [message] = full.messages("server", "NewSessionTicket")
    return message, first_of(full.find("server", "generate resumption secret"), "expanded")


def recorded_session(now: datetime.datetime) -> Session:
    """What the client has kept."""
    message, secret = recorded_ticket()
    [certificate] = rfc8448()[FULL].messages("server", "Certificate")
    chain = [x509.load_der_x509_certificate(e.cert_data) for e in certificate.certificate_list]
    return Session(
        server_name=SERVER_NAME,
        port=None,
        context=b"",
        cipher_suite="TLS_AES_128_GCM_SHA256",
        peer_certificates=tuple(chain),
        signature_scheme=SignatureScheme.rsa_pss_rsae_sha256.name,
        verified_at=now - TICKET_AGE,
        received_at=now - TICKET_AGE,
        lifetime=message.ticket_lifetime,
        ticket=message.ticket,
        ticket_age_add=message.ticket_age_add,
        secret=secret,
        max_early_data_size=early_data_size(message),
    )


def early_data_size(message: NewSessionTicket) -> int:
    return int.from_bytes(message.extensions[ExtensionType.early_data])


class RecordedTicket(TicketKeys):
    """Opens the RFC's ticket, which is none of ours."""

    def __init__(self, issued_at: datetime.datetime) -> None:
        super().__init__()
        self._issued_at = issued_at

    def open(self, ticket: bytes, context: bytes) -> bytes:
        message, secret = recorded_ticket()
        assert ticket == message.ticket
        return resumption_server.ServerSession(
            CIPHER_SUITES[0x1301],
            self._issued_at,
            self._issued_at,
            None,
            secret,
            ticket_age_add=message.ticket_age_add,
            max_early_data_size=early_data_size(message),
        ).encode()


def start(section: Section, replay: Replay, patch: pytest.MonkeyPatch) -> Connection:
    """An engine that has the RFC's randomness, keys, and certificate."""
    watch(replay, patch)
    keys = iter([key_of(s) for s in section.find(replay.role, "create an ephemeral")])

    def next_key() -> EphemeralKey:
        key = next(keys)
        replay.key_shares.append(key.public)
        return key

    resumes = section.number == RESUMED
    own = recorded_credentials(rfc8448()[FULL] if resumes else section, replay.role)
    credentials = own[0] if own else None
    client_hellos = section.messages("client", "ClientHello")
    if replay.role == "client":
        session_id = client_hellos[0].legacy_session_id
        inject_randomness(patch, [client_hellos[0].random, session_id])
        instead(patch, client_hello, "hello_without_psks", client_hellos, check_client_hello)
        config = ClientConfig(
            insecure_skip_verification=True,
            credentials=credentials,
            cipher_suites=[
                "TLS_AES_128_GCM_SHA256",
                "TLS_CHACHA20_POLY1305_SHA256",
                "TLS_AES_256_GCM_SHA384",
            ],
            middlebox_compatibility=bool(session_id),
            clock=lambda: NOW,
        )
        config = with_groups(config, fixed_group(X25519, next_key), fixed_group(P256, next_key))
        if not resumes:
            return Connection.client(config, SERVER_NAME)
        assert config.parameters.session_store is not None
        config.parameters.session_store.put(recorded_session(NOW))
        early = first_of(section.find("client", "application_data"), "payload")
        return Connection.client(config, SERVER_NAME, early_data=early)

    assert credentials is not None
    *retries, answer = section.messages("server", "ServerHello")
    cookies = [retry.extensions[ExtensionType.cookie][2:] for retry in retries]
    inject_randomness(patch, [*cookies, answer.random])
    instead(
        patch,
        server13,
        "encrypted_extensions",
        section.messages("server", "EncryptedExtensions"),
        check_encrypted_extensions,
    )
    requests = section.messages("server", "CertificateRequest")
    if requests:
        instead(patch, server13, "certificate_request", requests, check_certificate_request)
        patch.setattr(server13, "check_client", trust_anybody)
    config = ServerConfig(
        credentials=credentials,
        client_auth="required" if requests else "none",
        client_trust=authority.trust if requests else None,
        require_cookie=bool(retries),
        tickets=0,  # the RFC's are not in a form of ours
        ticket_keys=RecordedTicket(NOW - TICKET_AGE),
        max_early_data_size=early_data_size(recorded_ticket()[0]),
        anti_replay_cache=MemoryAntiReplayCache(clock=lambda: NOW - TICKET_AGE),
        clock=lambda: NOW,
    )
    server = Connection.server(
        with_groups(config, fixed_group(P256 if retries else X25519, next_key))
    )
    server.accept_early_data()
    return server
