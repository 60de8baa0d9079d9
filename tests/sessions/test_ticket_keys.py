"""Ticket keys: encryption, rotation and deletion."""

from __future__ import annotations

import datetime

import pytest
from clocks import ManualClock

from trio_tlsx import ConfigError, TicketKeys

STATE, CONTEXT = b"the state of a session", b"context"
KEYS = [bytes((i,)) * 32 for i in range(3)]


def test_ticket_keys_open_what_they_sealed() -> None:
    keys = TicketKeys()
    ticket = keys.seal(STATE, CONTEXT)
    assert STATE not in ticket
    assert keys.open(ticket, CONTEXT) == STATE
    assert keys.seal(STATE, CONTEXT) != ticket


def test_ticket_keys_reject_anything_else() -> None:
    keys = TicketKeys()
    ticket = keys.seal(STATE, CONTEXT)
    assert keys.open(ticket, b"another context") is None
    for end in range(len(ticket)):
        assert keys.open(ticket[:end], CONTEXT) is None
    for position in range(len(ticket)):
        for mask in (0x01, 0x80):
            altered = bytearray(ticket)
            altered[position] ^= mask
            assert keys.open(bytes(altered), CONTEXT) is None
    assert keys.open(ticket + b"x", CONTEXT) is None
    assert TicketKeys().open(ticket, CONTEXT) is None


def test_shared_ticket_keys_open_tickets_of_each_other() -> None:
    one, other = TicketKeys(KEYS[:2]), TicketKeys([KEYS[1], KEYS[0]])
    assert other.open(one.seal(STATE, CONTEXT), CONTEXT) == STATE
    assert one.open(other.seal(STATE, CONTEXT), CONTEXT) == STATE


def test_first_ticket_key_seals_and_a_removed_one_opens_nothing() -> None:
    keys = TicketKeys(KEYS[:1])
    ticket = keys.seal(STATE, CONTEXT)
    keys.use(KEYS[1::-1])
    assert keys.open(ticket, CONTEXT) == STATE
    assert TicketKeys(KEYS[1:2]).open(keys.seal(STATE, CONTEXT), CONTEXT) == STATE
    keys.use(KEYS[1:])
    assert keys.open(ticket, CONTEXT) is None


def test_generated_ticket_keys_rotate() -> None:
    clock = ManualClock(datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC))
    keys = TicketKeys(lifetime=100, clock=clock)
    first = keys.seal(STATE, CONTEXT)
    clock.forward(99)
    last_of_first = keys.seal(STATE, CONTEXT)
    assert name(last_of_first) == name(first)
    clock.forward(51)
    second = keys.seal(STATE, CONTEXT)
    assert name(second) != name(first)
    assert keys.open(first, CONTEXT) == STATE
    clock.forward(49)
    # as old as its key lets it be, and the last that it sealed has ended
    assert keys.open(last_of_first, CONTEXT) == STATE
    clock.forward(1)
    assert keys.open(last_of_first, CONTEXT) is None
    assert keys.open(second, CONTEXT) == STATE


def test_given_ticket_keys_do_not_rotate() -> None:
    clock = ManualClock(datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC))
    keys = TicketKeys(KEYS, lifetime=100, clock=clock)
    first = keys.seal(STATE, CONTEXT)
    clock.forward(10_000)
    assert name(keys.seal(STATE, CONTEXT)) == name(first)
    assert keys.open(first, CONTEXT) == STATE


def test_old_ticket_keys_are_forgotten() -> None:
    clock = ManualClock(datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC))
    keys = TicketKeys(lifetime=100, clock=clock)
    for _ in range(50):
        keys.seal(STATE, CONTEXT)
        clock.forward(100)
    assert repr(keys) in ("<TicketKeys, 2 keys>", "<TicketKeys, 3 keys>")


def name(ticket: bytes) -> bytes:
    return ticket[:8]


@pytest.mark.parametrize("lifetime", [0, -1, 7 * 24 * 3600 + 1])
def test_ticket_lifetime_out_of_range_is_rejected(lifetime: int) -> None:
    with pytest.raises(ConfigError, match="lifetime"):
        TicketKeys(lifetime=lifetime)


def test_invalid_ticket_keys_are_rejected() -> None:
    for bad in ([b""], [bytes(31)], [bytes(33)], [KEYS[0], b"short"]):
        with pytest.raises(ConfigError, match="32"):
            TicketKeys(bad)
    with pytest.raises(ConfigError, match="keys is empty"):
        TicketKeys(KEYS).use([])


def test_ticket_keys_are_in_no_repr() -> None:
    keys = TicketKeys([b"0123456789abcdef" * 2])
    assert "0123456789" not in repr(keys)
    assert "0123456789" not in repr(keys._keys)  # pyright: ignore[reportPrivateUsage]
