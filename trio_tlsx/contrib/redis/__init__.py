"""Share tickets, their keys, and the anti-replay cache over Redis (extra ``redis``).

- ``connections``: the connections to Redis, which a nursery owns.
- ``anti_replay``: accept each client's early data once on all servers.
- ``rotation``: rotate the keys of all servers together, ``ticket_keys`` and ``ech_keys``.
- ``stores``: tickets of servers and sessions of clients.

A handshake never needs Redis. Without it, early data is rejected, and a session that this process
cannot resume gets a full handshake.
"""

from .anti_replay import RedisAntiReplayCache
from .connections import RedisConnections, RedisUnavailable, Refusal
from .ech_keys import RedisECHKeys
from .stores import RedisSessionStore, RedisTicketStore
from .ticket_keys import RedisTicketKeys

__all__ = [
    "RedisAntiReplayCache",
    "RedisConnections",
    "RedisECHKeys",
    "RedisSessionStore",
    "RedisTicketKeys",
    "RedisTicketStore",
    "RedisUnavailable",
    "Refusal",
]
