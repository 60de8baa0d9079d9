"""Hooks for the flag ``-async``: they answer later, without an event loop."""

from __future__ import annotations

from collections.abc import Awaitable, Generator
from typing import Generic, TypeVar

__all__ = ["later", "settle"]

T = TypeVar("T")


class Later(Generic[T]):
    """A result that is awaited."""

    def __init__(self, result: T) -> None:
        self._result = result

    def __await__(self) -> Generator[None, None, T]:
        yield
        return self._result


def later(result: T) -> Awaitable[T]:
    return Later(result)


def settle(awaitable: Awaitable[T]) -> T:
    """Run something that needs no event loop to its end."""
    steps = awaitable.__await__()
    while True:
        try:
            next(steps)
        except StopIteration as finished:
            return finished.value
