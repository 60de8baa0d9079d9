"""The pre_shared_key extension: the binder of RFC 8448, and malformed extensions."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from trio_tlsx.crypto.cipher_suites import CIPHER_SUITES
from trio_tlsx.crypto.key_schedule import EarlySecret
from trio_tlsx.errors import AlertDescription, ProtocolError
from trio_tlsx.handshake.psk import OfferedPsks, Psk, check_binder, with_psks, without_psks
from trio_tlsx.messages.extensions import ExtensionType
from trio_tlsx.messages.handshake import ClientHello, encode_message

SUITE = CIPHER_SUITES[0x1301]
DATA = Path(__file__).parent.parent / "data" / "rfc8448.json"


@functools.cache
def trace() -> Mapping[str, bytes]:
    """Of section 4: the key, the whole first message, and the binder."""
    [section] = [s for s in json.loads(DATA.read_text())["sections"] if int(s["section"]) == 4]
    # The first step of each kind: what comes before the server has said anything.
    steps = {
        (step["actor"], step["action"]): step["fields"] for step in reversed(section["steps"])
    }
    binder = steps["client", "calculate PSK binder"]
    values = {
        "key": steps["client", 'extract secret "early"']["IKM"],
        "early secret": steps["client", 'extract secret "early"']["secret"],
        "prefix": binder["ClientHello prefix"],
        "binder": binder["finished"],
        "message": steps["client", "send handshake record"]["payload"],
        "early exporter": steps["client", 'derive secret "tls13 e exp master"']["expanded"],
    }
    return {name: bytes.fromhex(value) for name, value in values.items()}


def recorded_hello() -> ClientHello:
    return ClientHello.decode(trace()["message"][4:])


def recorded_psks() -> OfferedPsks:
    return OfferedPsks.decode(recorded_hello().extensions[ExtensionType.pre_shared_key])


def recorded_psk() -> Psk[None]:
    [(identity, age)] = recorded_psks().identities
    return Psk(identity, age, SUITE, trace()["key"])


def test_client_hello_with_binder_equals_rfc_8448() -> None:
    bare = without_psks(recorded_hello())
    assert ExtensionType.pre_shared_key not in bare.extensions
    hello = with_psks(bare, [recorded_psk()], ())
    assert encode_message(hello) == trace()["message"]


def test_binder_equals_rfc_8448() -> None:
    psks = recorded_psks()
    assert psks.binders == (trace()["binder"],)
    assert trace()["message"] == trace()["prefix"] + psks.encode_binders()
    check_binder(psks, 0, recorded_psk(), [trace()["message"]])


def test_early_secrets_equal_rfc_8448() -> None:
    early_secret = EarlySecret(SUITE, trace()["key"])
    digest = SUITE.hash(trace()["message"]).digest()
    assert early_secret.early_exporter(digest) == trace()["early exporter"]


def test_each_psk_has_a_binder_of_its_own_hash() -> None:
    sha384: Psk[None] = Psk(b"another", 7, CIPHER_SUITES[0x1302], bytes(48))
    hello = with_psks(recorded_hello(), [sha384, recorded_psk()], [b"before"])
    psks = OfferedPsks.decode(hello.extensions[ExtensionType.pre_shared_key])
    assert psks.identities == ((b"another", 7), *recorded_psks().identities)
    assert list(map(len, psks.binders)) == [48, 32]
    messages = [b"before", encode_message(hello)]
    check_binder(psks, 0, sha384, messages)
    check_binder(psks, 1, recorded_psk(), messages)
    assert with_psks(hello, [], ()) == without_psks(hello)


@pytest.mark.parametrize("position", [0, 6, 100, 400])
def test_binder_for_another_client_hello_is_rejected(position: int) -> None:
    message = bytearray(trace()["message"])
    message[position] ^= 1
    with pytest.raises(ProtocolError) as refused:
        check_binder(recorded_psks(), 0, recorded_psk(), [bytes(message)])
    assert refused.value.alert == AlertDescription.decrypt_error


def test_binder_behind_other_messages_is_rejected() -> None:
    with pytest.raises(ProtocolError, match="its binder is wrong"):
        check_binder(recorded_psks(), 0, recorded_psk(), [b"x", trace()["message"]])


def test_binder_by_another_psk_is_rejected() -> None:
    other = replace(recorded_psk(), secret=bytes(32))
    with pytest.raises(ProtocolError, match="its binder is wrong"):
        check_binder(recorded_psks(), 0, other, [trace()["message"]])


def test_binder_of_another_length_is_rejected() -> None:
    psks = replace(recorded_psks(), binders=(trace()["binder"] + b"\0",))
    message = trace()["prefix"] + psks.encode_binders()
    with pytest.raises(ProtocolError, match="its binder is wrong"):
        check_binder(psks, 0, recorded_psk(), [message])


def offer(identities: bytes, binders: bytes) -> bytes:
    return len(identities).to_bytes(2) + identities + len(binders).to_bytes(2) + binders


IDENTITY = b"\0\x01x" + bytes(4)
BINDER = b"\x20" + bytes(32)


def test_psk_offer_decodes_to_what_was_encoded() -> None:
    octets = offer(IDENTITY * 2, BINDER * 2)
    psks = OfferedPsks.decode(octets)
    assert psks.identities == ((b"x", 0), (b"x", 0))
    assert psks.encode() == octets


@pytest.mark.parametrize(
    ("octets", "alert"),
    [
        pytest.param(offer(b"", BINDER), "decode_error", id="no identity"),
        pytest.param(offer(IDENTITY, b""), "decode_error", id="no binder"),
        pytest.param(offer(b"\0\0" + bytes(5), BINDER), "decode_error", id="empty identity"),
        pytest.param(offer(IDENTITY, b"\x1f" + bytes(32)), "decode_error", id="short binder"),
        pytest.param(offer(IDENTITY[:-1], BINDER), "decode_error", id="cut identity"),
        pytest.param(offer(IDENTITY, BINDER[:-1]), "decode_error", id="cut binder"),
        pytest.param(offer(IDENTITY, BINDER) + b"x", "decode_error", id="trailing"),
        pytest.param(offer(IDENTITY * 2, BINDER), "illegal_parameter", id="too few binders"),
        pytest.param(offer(IDENTITY, BINDER * 2), "illegal_parameter", id="too many binders"),
    ],
)
def test_malformed_psk_offer_is_rejected(octets: bytes, alert: str) -> None:
    with pytest.raises(ProtocolError) as refused:
        OfferedPsks.decode(octets)
    assert refused.value.alert == AlertDescription[alert]


def test_psk_is_in_no_repr() -> None:
    psk: Psk[None] = Psk(b"identity", 0, SUITE, b"the secret of it")
    assert "secret" not in repr(psk)
