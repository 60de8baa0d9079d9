"""Ticket keys: what they seal, when they rotate, and what they forget."""

from __future__ import annotations

import datetime

import pytest

from trio_tlsx import ConfigError, TicketKeys

STATE, CONTEXT = b"the state of a session", b"context"
KEYS = [bytes((i,)) * 32 for i in range(3)]


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)

    def __call__(self) -> datetime.datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += datetime.timedelta(seconds=seconds)


def test_opens_what_it_sealed_and_hides_it() -> None:
    keys = TicketKeys()
    ticket = keys.seal(STATE, CONTEXT)
    assert STATE not in ticket
    assert keys.open(ticket, CONTEXT) == STATE
    assert keys.seal(STATE, CONTEXT) != ticket


def test_opens_nothing_else() -> None:
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


def test_those_who_share_keys_open_each_others() -> None:
    one, other = TicketKeys(KEYS[:2]), TicketKeys([KEYS[1], KEYS[0]])
    assert other.open(one.seal(STATE, CONTEXT), CONTEXT) == STATE
    assert one.open(other.seal(STATE, CONTEXT), CONTEXT) == STATE


def test_the_first_key_seals_and_a_retired_one_opens_no_more() -> None:
    keys = TicketKeys(KEYS[:1])
    ticket = keys.seal(STATE, CONTEXT)
    keys.use(KEYS[1::-1])
    assert keys.open(ticket, CONTEXT) == STATE
    assert TicketKeys(KEYS[1:2]).open(keys.seal(STATE, CONTEXT), CONTEXT) == STATE
    keys.use(KEYS[1:])
    assert keys.open(ticket, CONTEXT) is None


def test_its_own_keys_rotate() -> None:
    clock = Clock()
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


def test_keys_from_outside_do_not_rotate() -> None:
    clock = Clock()
    keys = TicketKeys(KEYS, lifetime=100, clock=clock)
    first = keys.seal(STATE, CONTEXT)
    clock.forward(10_000)
    assert name(keys.seal(STATE, CONTEXT)) == name(first)
    assert keys.open(first, CONTEXT) == STATE


def test_old_keys_do_not_pile_up() -> None:
    clock = Clock()
    keys = TicketKeys(lifetime=100, clock=clock)
    for _ in range(50):
        keys.seal(STATE, CONTEXT)
        clock.forward(100)
    assert repr(keys) in ("<TicketKeys, 2 keys>", "<TicketKeys, 3 keys>")


def name(ticket: bytes) -> bytes:
    return ticket[:8]


@pytest.mark.parametrize("lifetime", [0, -1, 7 * 24 * 3600 + 1])
def test_refuses_a_lifetime_that_the_protocol_does_not_have(lifetime: int) -> None:
    with pytest.raises(ConfigError, match="lifetime"):
        TicketKeys(lifetime=lifetime)


def test_refuses_keys_that_are_none() -> None:
    for bad in ([b""], [bytes(31)], [bytes(33)], [KEYS[0], b"short"]):
        with pytest.raises(ConfigError, match="32"):
            TicketKeys(bad)
    with pytest.raises(ConfigError, match="no ticket keys"):
        TicketKeys(KEYS).use([])


def test_keys_show_nowhere() -> None:
    keys = TicketKeys([b"0123456789abcdef" * 2])
    assert "0123456789" not in repr(keys)
    assert "0123456789" not in repr(keys._keys)  # pyright: ignore[reportPrivateUsage]
