"""Check the types of arguments, so that a mistake raises where it was made.

An error names the argument and the type of the value, never the value: it could be a key.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Any, TypeAlias, TypeVar, cast

from .errors import ConfigError

__all__ = [
    "BOOL",
    "BYTES",
    "CALLABLE",
    "CLOCK",
    "INT",
    "PATH",
    "STR",
    "Expected",
    "Predicate",
    "any_of",
    "check",
    "checked_max_bytes",
    "has_methods",
    "instance_of",
    "listed",
    "optional",
    "plain_function",
    "sequence_of",
]

T = TypeVar("T")

#: Returns True for a value of the right type.
Predicate: TypeAlias = Callable[[object], bool]

MAX_TYPES_NAMED = 3


@dataclass(slots=True, eq=False)
class Expected:
    """The values that an argument accepts, and the advice of the error for all others."""

    predicate: Predicate
    advice: str


def check(name: str, value: object, expected: Expected) -> None:
    """Check the type of an argument.

    Args:
        name: the argument's name.
        value: its value.
        expected: the values that it accepts.

    Raises:
        ConfigError: the value has another type. The text names the argument and the type.
    """
    if not expected.predicate(value):
        raise ConfigError(f"{name} is {_described(value)}; pass {expected.advice}")


def instance_of(*types: type) -> Predicate:
    """Accept instances of these types; a bool is accepted only if ``bool`` is one of them."""
    return lambda value: (
        isinstance(value, types) and (bool in types or not isinstance(value, bool))
    )


def has_methods(*names: str) -> Predicate:
    """Accept objects with these methods, but not a class that has them."""
    return lambda value: (
        not isinstance(value, type) and all(callable(getattr(value, name, None)) for name in names)
    )


def any_of(*tests: Predicate) -> Predicate:
    """Accept a value that at least one of the tests accepts."""
    return lambda value: any(test(value) for test in tests)


def optional(test: Predicate) -> Predicate:
    """Accept None, and each value that the test accepts."""
    return lambda value: value is None or test(value)


def sequence_of(test: Predicate) -> Predicate:
    """Accept a sequence whose items the test accepts, but no string and no bytes."""
    return lambda value: (
        isinstance(value, Sequence)
        and not isinstance(value, str | bytes | bytearray | memoryview)
        and all(map(test, cast(Sequence[object], value)))
    )


def plain_function(value: object) -> bool:
    """Accept what can be called, but no async function."""
    return callable(value) and not iscoroutinefunction(value)


def listed(values: Iterable[T]) -> Sequence[T]:
    """Return the items of an iterable as a tuple.

    A value of another type, a string or bytes, is returned unchanged, for :func:`check` to reject.
    """
    value = cast(object, values)
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return tuple(values)
    return cast(Sequence[T], value)


def _is_path(value: object) -> bool:
    return isinstance(value, str) or (
        isinstance(value, os.PathLike)
        and isinstance(os.fspath(cast("os.PathLike[Any]", value)), str)
    )


BOOL = instance_of(bool)
BYTES = instance_of(bytes)
CALLABLE: Predicate = callable
CLOCK = Expected(callable, "a function that returns the time, a datetime with a time zone")
INT = instance_of(int)
PATH: Predicate = _is_path
STR = instance_of(str)


def _described(value: object) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}, not an instance"
    name = type(value).__name__
    if isinstance(value, list | tuple) and value:
        items = sorted({type(item).__name__ for item in cast(Sequence[object], value)})
        return f"of type {name}[{', '.join(items[:MAX_TYPES_NAMED])}]"
    return f"of type {name}"


def checked_max_bytes(max_bytes: int | None) -> int | None:
    """Return the most bytes that a caller wants to receive, as an int; None for no limit.

    Raises:
        TypeError: it is no integer.
        ValueError: it is less than 1.
    """
    if max_bytes is None:
        return None
    max_bytes = operator.index(max_bytes)
    if max_bytes < 1:
        raise ValueError("max_bytes must be at least 1")
    return max_bytes
