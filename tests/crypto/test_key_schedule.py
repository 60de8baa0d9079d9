"""The key schedule: one class for each stage, and each label in one place (RFC 9846 7.1)."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import trio_tlsx
from trio_tlsx.crypto import key_schedule
from trio_tlsx.crypto.cipher_suites import CIPHER_SUITES
from trio_tlsx.crypto.key_schedule import EarlySecret, HandshakeSecret, MainSecret

PACKAGE = Path(trio_tlsx.__file__).parent
SUITE = CIPHER_SUITES[0x1301]
DIGEST = bytes(32)

#: RFC 9846 4.5.3, 4.7.1, 7.1 to 7.3 and 7.5, RFC 9258 5.1 and 5.2.
LABELS = {
    "ext binder",
    "res binder",
    "imp binder",
    "c e traffic",
    "e exp master",
    "derived",
    "c hs traffic",
    "s hs traffic",
    "c ap traffic",
    "s ap traffic",
    "exp master",
    "res master",
    "key",
    "iv",
    "traffic upd",
    "finished",
    "resumption",
    "derived psk",
    "exporter",
}

#: Each stage, and the secrets that it logs (RFC 9850 2.1).
STAGES: list[tuple[type[object], list[str]]] = [
    (EarlySecret, ["CLIENT_EARLY_TRAFFIC_SECRET", "EARLY_EXPORTER_SECRET"]),
    (HandshakeSecret, ["CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_HANDSHAKE_TRAFFIC_SECRET"]),
    (MainSecret, ["CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0", "EXPORTER_SECRET"]),
]


def strings(path: Path) -> Counter[str]:
    nodes = ast.walk(ast.parse(path.read_text()))
    return Counter(n.value for n in nodes if isinstance(n, ast.Constant) and type(n.value) is str)


def test_each_label_is_in_the_key_schedule_once() -> None:
    found = strings(Path(key_schedule.__file__))
    assert {label: found[label] for label in LABELS} == dict.fromkeys(LABELS, 1)


def test_no_label_is_anywhere_else() -> None:
    phrases = {label for label in LABELS if " " in label}
    elsewhere = (path for path in PACKAGE.rglob("*.py") if path.name != "key_schedule.py")
    assert not {path.name: found for path in elsewhere if (found := phrases & set(strings(path)))}


def test_no_other_module_expands_labels() -> None:
    users = [p.name for p in PACKAGE.rglob("*.py") if "expand_label" in p.read_text()]
    assert users == ["key_schedule.py"]


def stages(key_log: Callable[[str, bytes], object] | None = None) -> list[Any]:
    early = EarlySecret(SUITE, b"psk", key_log)
    handshake = early.handshake_secret(b"shared secret")
    return [early, handshake, handshake.main_secret()]


@pytest.mark.parametrize("number", range(len(STAGES)))
def test_key_schedule_stage_has_only_its_own_secrets(number: int) -> None:
    names = [{name for name in vars(kind) if not name.startswith("_")} for kind, _ in STAGES]
    own = names.pop(number)
    assert own
    assert not own & set().union(*names)


@pytest.mark.parametrize("number", range(len(STAGES)))
def test_key_schedule_logs_the_secrets_of_rfc_9850(number: int) -> None:
    logged: list[tuple[str, bytes]] = []
    stage = stages(lambda name, secret: logged.append((name, secret)))[number]
    methods = [name for name in vars(STAGES[number][0]) if not name.startswith("_")]
    derived = {
        getattr(stage, name)(DIGEST) for name in methods if name.endswith(("traffic", "exporter"))
    }
    assert [name for name, _ in logged] == STAGES[number][1]
    assert {secret for _, secret in logged} == derived


def test_calls_in_another_order_derive_the_same_secrets() -> None:
    (_, handshake, main), (early, other_handshake, other_main) = stages(), stages()
    early.early_exporter(DIGEST)  # after the later stages were made
    assert handshake.client_handshake_traffic(DIGEST) == other_handshake.client_handshake_traffic(
        DIGEST
    )
    assert main.exporter(DIGEST) == other_main.exporter(DIGEST)


def test_no_key_exchange_stands_for_zeros() -> None:
    early = EarlySecret(SUITE)
    without, zeros = early.handshake_secret(None), early.handshake_secret(bytes(32))
    assert without.client_handshake_traffic(DIGEST) == zeros.client_handshake_traffic(DIGEST)
