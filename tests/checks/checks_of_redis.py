"""The checks of what servers share over Redis."""

from __future__ import annotations

from removal import Removal

__all__ = ["REMOVALS_OF_REDIS"]

CACHE = "contrib/redis/anti_replay.py"
KEYS = "contrib/redis/rotation.py"
STORES = "contrib/redis/stores.py"
CONNECTIONS = "contrib/redis/connections.py"

CACHE_TESTS = "tests/contrib/test_redis_anti_replay.py"
KEYS_TESTS = "tests/contrib/test_redis_ticket_keys.py"
ECH_KEYS = "contrib/redis/ech_keys.py"
ECH_TESTS = "tests/contrib/test_redis_ech_keys.py"
STORES_TESTS = "tests/contrib/test_redis_stores.py"

REMOVALS_OF_REDIS = [
    # The anti-replay cache
    Removal("a claim in Redis is accepted once", "8.2", CACHE,
            "'', 'NX', 'PX', kept)", "accepted_once or concurrent", "'', 'PX', kept)",
            CACHE_TESTS),
    Removal("Redis refuses a claim that has ended by its own clock", "8.2", CACHE,
            "if claimed_until <= now then", "ended", "if false then", CACHE_TESTS),
    Removal("Redis refuses a claim that ends too late", "8.2", CACHE,
            "if claimed_until > now + max_ahead then", "far_ahead", "if false then", CACHE_TESTS),
    Removal("Redis remembers a claim for longer than it accepts it", "8.2", CACHE,
            "claimed_until - now + margin", "remembered", "claimed_until - now", CACHE_TESTS),
    Removal("Redis refuses claims that it may have lost", "8.2", CACHE,
            "or claimed_until <= since + max_ahead + margin then", "earlier_claims", "then",
            CACHE_TESTS),
    Removal("Redis refuses claims from before it began to remember", "8.2", CACHE,
            "if claimed_since < since or", "before_the_marker", "if", CACHE_TESTS),
    Removal("a restart of Redis starts a refusal", "8.2", CACHE,
            "if marker[1] ~= identity or not since", "old_dump", "if not since", CACHE_TESTS),
    Removal("a failover of Redis starts a refusal", "8.2", CACHE,
            ".. ' ' .. field(replication, 'master_replid')", "replication_id", "", CACHE_TESTS),
    Removal("an eviction by Redis starts a refusal", "8.2", CACHE,
            ".. ' ' .. field(redis.call('INFO', 'stats'), 'evicted_keys')",
            "eviction_starts", "", CACHE_TESTS),
    Removal("a lost marker starts a refusal", "8.2", CACHE,
            "since = now\n", "lose_marker or flush", "since = since or 0\n", CACHE_TESTS),
    Removal("a step back of the clock of Redis starts a refusal", "8.2", CACHE,
            "or now < last then", "clock_back", "then", CACHE_TESTS),
    Removal("no claim through a replica", "8.2", CACHE,
            "if field(replication, 'role') ~= 'master' then", "test_replica_refuses",
            "if false then", CACHE_TESTS),
    Removal("the eviction policy of Redis", "8.2", CACHE,
            "if field(redis.call('INFO', 'memory'), 'maxmemory_policy') ~= 'noeviction' then",
            "eviction_policy", "if false then", CACHE_TESTS),
    Removal("the number of replicas is exact", "8.2", CACHE,
            "if tonumber(field(replication, 'connected_slaves')) ~= replicas then",
            "must_be_exact", "if false then", CACHE_TESTS),
    Removal("a claim counts only if all replicas have it", "8.2", CACHE,
            "if refusal is None and self._replicas:", "all_replicas_have_it", "if False:",
            CACHE_TESTS),
    Removal("the number of replicas that confirmed", "8.2", CONNECTIONS,
            "if confirmed != replicas:", "all_replicas_have_it", "if False:", CACHE_TESTS),
    Removal("the answer of Redis belongs to the claim", "8.2", CACHE,
            '[b"ok", bytes(repeated)] if repeated == claimed:', "another_question",
            '[b"ok", bytes()]:', CACHE_TESTS),
    Removal("the time limit of a request to Redis", "8.2", CONNECTIONS,
            "trio.CancelScope(deadline=self._deadline)", "not_waited_for",
            "trio.CancelScope()", CACHE_TESTS),
    Removal("the time limit of a connection to Redis", "8.2", CONNECTIONS,
            "with trio.move_on_after(CONNECT_SECONDS) as limit:", "hangs_while_connecting",
            "with trio.CancelScope() as limit:", CACHE_TESTS),
    # Ticket keys
    Removal("of two servers that propose a ticket key, one is first", "4.7.1", KEYS,
            "'HSETNX'", "agree_on_one or keeps_the_first", "'HSET'", KEYS_TESTS),
    Removal("Redis removes the ticket keys of past periods", "4.7.1", KEYS,
            "number < period - kept or number > period + 2 then", "no_other_periods",
            "false then", KEYS_TESTS),
    Removal("Redis accepts only the ticket keys of this period and the next", "4.7.1", KEYS,
            "if number == period or number == period + 1 then", "of_another_time",
            "if true then", KEYS_TESTS),
    Removal("a ticket key in Redis belongs to one period", "4.7.1", KEYS,
            "WRAPPING + opaque16(self._name) + uint64(number)", "another_period",
            "WRAPPING + opaque16(self._name)", KEYS_TESTS),
    Removal("ticket keys do not follow a clock that goes back", "4.7.1", KEYS,
            "if self._offset is not None and offset < self._offset - MAX_STEP_BACK:", "goes_back",
            "if False:", KEYS_TESTS),
    Removal("a server forgets the ticket keys of past periods", "4.7.1", KEYS,
            "if number >= period - PERIODS_KEPT or key == encrypts", "not_for_long_after",
            "", KEYS_TESTS),
    Removal("the answer of Redis with ticket keys can be decoded", "4.7.1", KEYS,
            "except (TypeError, ValueError, OverflowError) as error:", "answer_that_is_none",
            "except ZeroDivisionError as error:", KEYS_TESTS),
    Removal("a time of Redis is one that a clock can show", "4.7.1", KEYS,
            "if not 0 <= milliseconds < MAX_MILLISECONDS:", "answer_that_is_none", "if False:",
            KEYS_TESTS),
    Removal("a period in Redis is a decimal number", "4.7.1", KEYS,
            "stored:match('^%d+$') and tonumber(stored)", "no_other_periods", "tonumber(stored)",
            KEYS_TESTS),
    # ECH keys
    Removal("ECH keys in Redis have the public name", "RFC 9849 8.1.1", ECH_KEYS,
            "if key.config.public_name != self._public_name:", "another_public_name",
            "if False:", ECH_TESTS),
    Removal("number of ECH keys that a server proposes to Redis", "RFC 9849 8.1.1", ECH_KEYS,
            "deque(maxlen=MAX_PROPOSED)", "add_up", "deque()", ECH_TESTS),
    Removal("only an ECH key that other servers know is published", "RFC 9849 8.1.1", ECH_KEYS,
            "while not self._shared or ", "only_if_other_servers", "while ", ECH_TESTS),
    Removal("the length of a ticket key in Redis", "4.7.1", "contrib/redis/ticket_keys.py",
            "is_key=lambda key: len(key) == KEY_LENGTH", "wrong_length",
            "is_key=lambda key: True", KEYS_TESTS),
    # Stores
    Removal("a ticket in Redis is used once", "8.1", STORES,
            "redis.call('DEL', KEYS[2])", "taken_once or concurrent_takes", "", STORES_TESTS),
    Removal("a session in Redis is used once", "C.4", STORES,
            "redis.call('RPOP', KEYS[2])", "session_is_taken_once",
            "redis.call('LINDEX', KEYS[2], -1)", STORES_TESTS),
    Removal("number of tickets in Redis", "4.7.1", STORES,
            "for _ = 1, math.min(redis.call('ZCARD', KEYS[1]) - most + 1, removed_at_once) do",
            "tickets_is_bounded", "for _ = 1, 0 do", STORES_TESTS),
    Removal("number of sessions of a server in Redis", "4.7.1", STORES,
            "redis.call('LTRIM', KEYS[2], -tonumber(ARGV[3]), -1)", "newest_sessions", "",
            STORES_TESTS),
    Removal("number of servers with sessions in Redis", "4.7.1", STORES,
            "if redis.call('ZCARD', KEYS[1]) > tonumber(ARGV[4]) then", "servers_is_bounded",
            "if false then", STORES_TESTS),
    Removal("sessions in Redis expire", "4.7.1", STORES,
            "redis.call('PEXPIRE', KEYS[2], ARGV[2])", "session_expires", "", STORES_TESTS),
    Removal("tickets in Redis expire", "4.7.1", STORES,
            "redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])", "ticket_expires",
            "redis.call('SET', KEYS[2], ARGV[1])", STORES_TESTS),
]  # fmt: skip
