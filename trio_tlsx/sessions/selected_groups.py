"""Remember which groups servers selected, for the key shares of a client's next ClientHello."""

from __future__ import annotations

from collections import OrderedDict

__all__ = ["MAX_SERVERS", "SelectedGroups"]

#: The most servers whose groups are remembered.
MAX_SERVERS = 256


class SelectedGroups(OrderedDict[tuple[str, int | None], int]):
    """The code of the group that each server selected, by name and port, the newest server last.

    Threads may share it: each step leaves it complete.
    """

    def remember(self, server: tuple[str, int | None], code: int) -> None:
        """Remember the group of a server; forget the oldest server beyond the limit."""
        self.pop(server, None)
        self[server] = code
        if len(self) > MAX_SERVERS:
            self.popitem(last=False)

    def __repr__(self) -> str:
        return f"<SelectedGroups of {len(self)} servers>"
