"""The traces of RFC 8448, replayed through the engine's own code, step by step.

For each trace the tests run a client and a server, each alone against the recorded messages of the
RFC's other side, with the RFC's random values and private keys. Every step of the RFC is one test:
the engine must produce exactly these secrets, keys, messages and records, and accept those of the
other side.

Some messages of the engine differ from the RFC's. The tests compare the common parts, and then
continue with the RFC's message:

- ClientHello: the RFC's has ``renegotiation_info``, ``session_ticket``, ``psk_key_exchange_modes``
  (of a client that resumes sessions), obsolete groups and signature algorithms, and, after a
  HelloRetryRequest, ``padding``;
- EncryptedExtensions: the RFC's has ``supported_groups``, which helps a client's next connection,
  and where a session is resumed ``server_name``;
- CertificateRequest: the RFC's has obsolete signature algorithms;
- CertificateVerify: the salt of a PSS signature and the nonce of an ECDSA one cannot be injected.
  The recorded signature is the answer to ``SignatureWanted``;
- NewSessionTicket: the RFC's ticket is not sealed by keys of ours. So the server's half of its
  key is computed with the engine's function; the client makes it by itself. Where it comes back,
  what opens it is a stand-in for keys.

The certificates have a key of 1,024 bits or no names, and they have expired, so their verification
is skipped. Their signatures in CertificateVerify are verified.
"""

from __future__ import annotations

import functools
import hashlib
import re
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from engine_pairs import outgoing, records
from rfc8448_traces import (
    KEYS,
    MESSAGES,
    REPLAYED,
    Replay,
    Section,
    Step,
    key_of,
    padded,
    recorded_credentials,
    rfc8448,
    start,
)

from trio_tlsx.crypto import key_schedule, signatures
from trio_tlsx.crypto.cipher_suites import CIPHER_SUITES
from trio_tlsx.engine.connection import Connection
from trio_tlsx.handshake.wants import Want
from trio_tlsx.messages.handshake import HandshakeType, encode_message

# Section 4 goes on with what section 3 has made.


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
        outgoing(engine).flight += step.fields["payload"]
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


def test_rfc8448_every_trace_is_replayed() -> None:
    assert sorted(rfc8448()) == sorted((*KEYS, *REPLAYED))
    assert {n: len(rfc8448()[n].steps) for n in REPLAYED} == {3: 55, 4: 60, 5: 54, 6: 52, 7: 51}
    assert len(steps()) == 55 + 60 + 54 + 52 + 51


@pytest.mark.parametrize(("section", "step"), steps())
def test_rfc8448_step(section: Section, step: Step) -> None:
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
def test_rfc8448_no_other_secrets_were_derived(number: int) -> None:
    """What one side derives the other does too, and all of it stands in the RFC."""
    client, server = run(number, "client"), run(number, "server")
    of_tickets = {made for made in client.hmacs if b"tls13 resumption" in made[1]}
    assert client.hmacs == server.hmacs | of_tickets
    assert len(of_tickets) == len(rfc8448()[number].messages("server", "NewSessionTicket"))
    outputs = {value for step in rfc8448()[number].steps for value in step.fields.values()}
    for _, _, output in client.hmacs:
        assert any(value and output.startswith(value) for value in outputs)


def test_rfc8448_private_key_fits_the_certificate() -> None:
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
