"""The traces of RFC 8448, replayed through the engine's own code, step by step.

For each trace a client and a server are run, each alone against what the RFC's other side sent,
with the RFC's random values and private keys. Every step of the RFC is then one test: the engine
made exactly these secrets, keys, messages and records, and it accepted the other side's.

What the engine does not generate byte for byte comes in from the RFC, after what it did generate
was compared with it:

- ClientHello: the RFC's has ``renegotiation_info``, ``session_ticket``,
  ``psk_key_exchange_modes`` (of a client that resumes sessions), groups and signature algorithms
  that have gone, and, after a HelloRetryRequest, ``padding``;
- EncryptedExtensions: the RFC's has ``supported_groups``, which helps a client's next connection,
  and where a session is resumed ``server_name``;
- CertificateRequest: the RFC's has signature algorithms that have gone;
- CertificateVerify: the salt of a PSS signature and the nonce of an ECDSA one cannot be injected.
  The recorded signature is the answer to ``SignatureWanted``;
- NewSessionTicket: the RFC's ticket is not sealed by keys of ours. So the server's half of its
  key is computed with the engine's function; the client makes it by itself. Where it comes back,
  what opens it is a stand-in for keys.

The certificates are for a key of 1,024 bits or have no names, and have expired: verification is
skipped. That the signatures are theirs is verified nevertheless.
"""

from __future__ import annotations

import datetime
import functools
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519
from engine_pairs import AbsentSigner, authority, fixed_group, outgoing, records, with_groups

from trio_tlsx.config.client import ClientConfig
from trio_tlsx.config.server import ServerConfig
from trio_tlsx.crypto import key_schedule, signatures
from trio_tlsx.crypto.cipher_suites import CIPHER_SUITES
from trio_tlsx.crypto.groups import ECDHKey, EphemeralKey, X25519Key
from trio_tlsx.crypto.signatures import SignatureScheme
from trio_tlsx.engine.connection import Connection
from trio_tlsx.handshake import client as client_hello
from trio_tlsx.handshake import resumption_server, server13
from trio_tlsx.handshake import server as server_hello
from trio_tlsx.handshake import steps as handshake
from trio_tlsx.handshake.wants import Want
from trio_tlsx.messages.extensions import ExtensionType
from trio_tlsx.messages.handshake import (
    Certificate,
    CertificateRequest,
    CertificateVerify,
    ClientHello,
    EncryptedExtensions,
    EndOfEarlyData,
    Finished,
    HandshakeType,
    Message,
    NewSessionTicket,
    ServerHello,
    encode_message,
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


# The RFC


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


# The engine


@dataclass
class Replay:
    """What one side did in a trace."""

    role: str
    hmacs: set[tuple[bytes, bytes, bytes]] = field(default_factory=set[tuple[bytes, bytes, bytes]])
    key_shares: list[bytes] = field(default_factory=list[bytes])
    messages: list[bytes] = field(default_factory=list[bytes])
    sent: bytearray = field(default_factory=bytearray)
    received_early: bytearray = field(default_factory=bytearray)
    received: bytearray = field(default_factory=bytearray)
    got_close_notify: bool = False

    def made(self, key: bytes, message: bytes, output: bytes) -> bool:
        """Whether it computed an HMAC that begins with ``output``."""
        key = padded(key)
        return any(key == k and message == m and o.startswith(output) for k, m, o in self.hmacs)


def padded(key: bytes) -> bytes:
    return key.ljust(64, b"\0")  # HMAC takes no notice of zeros at the end of a short key


def watch(replay: Replay, patch: pytest.MonkeyPatch) -> None:
    """Note all HMACs (HKDF is made of nothing else) and all handshake messages sent."""
    hmac = key_schedule.hmac

    def noted_hmac(digest: Any, key: bytes, message: bytes) -> bytes:
        output = hmac(digest, key, message)
        replay.hmacs.add((padded(key), message, output))
        return output

    def noted_encode_message(message: Message) -> bytes:
        octets = encode_message(message)
        replay.messages.append(octets)
        return octets

    patch.setattr(key_schedule, "hmac", noted_hmac)
    patch.setattr(handshake, "encode_message", noted_encode_message)


def inject_randomness(patch: pytest.MonkeyPatch, values: list[bytes]) -> None:
    rest = iter(values)

    def next_value(length: int) -> bytes:
        return next(rest)

    for module in (client_hello, server_hello):
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


def check_second_client_hello(generated: ClientHello, recorded: ClientHello) -> None:
    check_client_hello(generated, recorded)
    ours, theirs = dict(generated.extensions), dict(recorded.extensions)
    # ours has the rest of the RFC's first one, so that padding alone is new
    theirs.pop(ExtensionType.padding)
    assert ours == theirs


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


# Section 4 goes on with what section 3 has made.


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
        instead(patch, client_hello, "client_hello", client_hellos, check_client_hello)
        instead(
            patch,
            client_hello,
            "second_client_hello",
            client_hellos[1:],
            check_second_client_hello,
        )
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
        assert config.parameters.sessions is not None
        config.parameters.sessions.put(recorded_session(NOW))
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


@functools.cache
def run(number: int, role: str) -> Replay:
    """One side of a trace, from its first record to its last."""
    section, replay = rfc8448()[number], Replay(role)
    own = recorded_credentials(section, role)
    with pytest.MonkeyPatch.context() as patch:
        engine = start(section, replay, patch)
        for step in section.steps:
            if not step.is_record:
                continue
            if step.actor == role:
                make_record(engine, replay, step, own and own[1])
            else:
                take_record(engine, replay, step)
    assert replay.got_close_notify
    return replay


def make_record(engine: Connection, replay: Replay, step: Step, signature: bytes | None) -> None:
    if not engine.handshake_complete or engine.pending_output():
        want = engine.do_handshake()
        if replay.messages[-1][0] == HandshakeType.certificate:
            # The signature is wanted. It comes before anything is flushed, as in the RFC, which
            # has the whole flight in one record.
            assert signature is not None
            engine.answer(signature)
            want = engine.do_handshake()
        assert want is Want.WRITE
    elif "application_data" in step.action:
        assert engine.write(memoryview(step.fields["payload"])) == len(step.fields["payload"])
    elif "alert" in step.action:
        engine.shutdown()
    else:  # NewSessionTicket
        replay.messages.append(step.fields["payload"])
        outgoing(engine).handshake(step.fields["payload"])
    # One record at a time: the rest of the flight is asked for by the next step.
    record = bytes(engine.pending_output())[: len(step.fields["complete record"])]
    engine.bytes_sent(len(record))
    replay.sent += record


def take_record(engine: Connection, replay: Replay, step: Step) -> None:
    engine.receive_data(step.fields["complete record"])
    if not engine.handshake_complete:
        while engine.do_handshake() is Want.EARLY_DATA:
            replay.received_early += engine.read_early_data()
        return
    data = engine.read()
    if isinstance(data, bytes):
        replay.received += data
        replay.got_close_notify = data == b""


# The tests


def steps() -> list[Any]:
    return [
        pytest.param(section, step, id=f"{section.number}-{step.number}-{step.actor}-{step.what}")
        for section in rfc8448().values()
        if section.number in REPLAYED
        for step in section.steps
    ]


def test_nothing_is_left_out() -> None:
    assert sorted(rfc8448()) == sorted((*KEYS, *REPLAYED))
    assert {n: len(rfc8448()[n].steps) for n in REPLAYED} == {3: 55, 4: 60, 5: 54, 6: 52, 7: 51}
    assert len(steps()) == 55 + 60 + 54 + 52 + 51


@pytest.mark.parametrize(("section", "step"), steps())
def test_step(section: Section, step: Step) -> None:
    replay = run(section.number, step.actor)
    fields = section.resolve(step).fields
    what = step.what
    if what.startswith("create an ephemeral"):
        assert key_of(step).public == fields["public key"]
        assert fields["public key"] in replay.key_shares
    elif match := re.fullmatch(r"construct an? (\w+) handshake message", what):
        octets = section.whole(fields[match[1]])
        assert encode_message(MESSAGES[match[1]].decode(octets[4:])) == octets
        assert octets in replay.messages
    elif what.startswith("send "):
        check_record(section, step, replay)
    elif what.startswith("extract secret"):
        assert replay.made(fields["salt"], fields["IKM"], fields["secret"])
    elif '"tls13 resumption"' in what and step.actor == "server":
        check_secret_of_the_ticket(fields, replay)
    elif what.startswith(("derive secret", "generate resumption secret")):
        assert fields["info"].endswith(fields["hash"])
        assert replay.made(fields["PRK"], fields["info"] + b"\x01", fields["expanded"])
    elif "traffic keys" in what:
        for name in ("key", "iv"):
            info, output = fields[f"{name} info"], fields[f"{name} expanded"]
            assert replay.made(fields["PRK"], info + b"\x01", output)
    elif what == "calculate PSK binder":
        prefix = section.find("client", what)[0].fields["ClientHello prefix"]
        assert fields["binder hash"] == hashlib.sha256(prefix).digest()
        assert replay.made(fields["PRK"], fields["info"] + b"\x01", fields["expanded"])
        assert replay.made(fields["expanded"], fields["binder hash"], fields["finished"])
    elif what.startswith("calculate finished"):
        assert replay.made(fields["PRK"], fields["info"] + b"\x01", fields["expanded"])
        finished = {(key, output) for key, _, output in replay.hmacs}
        assert (padded(fields["expanded"]), fields["finished"]) in finished
    else:
        pytest.fail(f"nobody checks this step: {step}")


def check_record(section: Section, step: Step, replay: Replay) -> None:
    payload, record = step.fields["payload"], step.fields["complete record"]
    own = [
        s.fields["complete record"] for s in section.steps if s.is_record and s.actor == step.actor
    ]
    assert list(map(bytes, own)) == [octets for _, octets in records(bytes(replay.sent))]
    assert record in own
    other = run(section.number, "server" if step.actor == "client" else "client")
    if "handshake" in step.action:
        assert payload in b"".join(replay.messages)
    elif "application_data" in step.action:
        sent = [s.fields["payload"] for s in section.find(step.actor, "application_data")]
        assert b"".join(sent) == other.received_early + other.received
        assert payload in (other.received_early, other.received)
    elif "alert" in step.action:
        assert payload == b"\x01\0"
        assert other.got_close_notify
    else:
        assert step.action == "send change_cipher_spec record"
        assert payload == record[5:] == b"\x01"


def check_secret_of_the_ticket(fields: dict[str, bytes], replay: Replay) -> None:
    suite, nonce = CIPHER_SUITES[0x1301], fields["hash"]
    assert key_schedule.ticket_psk(suite, fields["PRK"], nonce) == fields["expanded"]
    assert fields["PRK"] in {output for _, _, output in replay.hmacs}


@pytest.mark.parametrize("number", REPLAYED)
def test_both_sides_computed_nothing_else(number: int) -> None:
    """What one side derives the other does too, and all of it stands in the RFC."""
    client, server = run(number, "client"), run(number, "server")
    of_tickets = {made for made in client.hmacs if b"tls13 resumption" in made[1]}
    assert client.hmacs == server.hmacs | of_tickets
    assert len(of_tickets) == len(rfc8448()[number].messages("server", "NewSessionTicket"))
    outputs = {value for step in rfc8448()[number].steps for value in step.fields.values()}
    for _, _, output in client.hmacs:
        assert any(value and output.startswith(value) for value in outputs)


def test_the_private_key_is_the_servers() -> None:
    (step,) = rfc8448()[2].steps
    value = {name: int.from_bytes(octets) for name, octets in step.fields.items()}
    key = rsa.RSAPrivateNumbers(
        p=value["prime1"],
        q=value["prime2"],
        d=value["private exponent"],
        dmp1=value["exponent1"],
        dmq1=value["exponent2"],
        iqmp=value["coefficient"],
        public_numbers=rsa.RSAPublicNumbers(value["public exponent"], value["modulus (public)"]),
    ).private_key()
    for number in (3, 5, 7):
        found = recorded_credentials(rfc8448()[number], "server")
        assert found is not None
        leaf = found[0].chain[0]
        assert leaf.public_key() == key.public_key()
        for scheme in signatures.schemes_for(leaf):
            signature = signatures.sign(scheme, key, b"message")
            signatures.verify(scheme, leaf, signature, b"message")
