"""The checks between the supervisor of several processes and its workers."""

from __future__ import annotations

from removal import Removal

__all__ = ["REMOVALS_OF_PROCESSES"]

MESSAGES = "processes/control_messages.py"
CLAIMS = "processes/claims.py"
WORKER = "processes/worker.py"
ECH_KEYS = "processes/ech_rotation.py"
MESSAGES_TESTS = "tests/processes/test_control_messages.py"
STATE_TESTS = "tests/processes/test_shared_state.py"
FAILING_TESTS = "tests/processes/test_failing_workers.py"
ECH_TESTS = "tests/processes/test_ech_keys_of_workers.py"
EXAMPLE_TESTS = "tests/docs/test_several_processes_example.py"

REMOVALS_OF_PROCESSES = [
    Removal("the length of a control message", "8.2", "processes/channel.py",
            "if length > MAX_CONTROL_MESSAGE:", "too_long", tests=MESSAGES_TESTS),
    Removal("the types of the control messages of workers", "8.2", MESSAGES,
            "if number >= len(types):", "malformed", tests=MESSAGES_TESTS),
    Removal("no octets after a control message", "8.2", MESSAGES,
            "reader.finish()", "malformed", "pass", MESSAGES_TESTS),
    Removal("a claim has an identifier", "8.2", MESSAGES,
            "reader.opaque8(1)", "malformed", "reader.opaque8()", MESSAGES_TESTS),
    Removal("the times of a claim", "8.2", MESSAGES,
            "if milliseconds > MAX_TIME:", "malformed", tests=MESSAGES_TESTS),
    Removal("the length of a worker's reason to fail", "8.2", MESSAGES,
            '.decode(errors="replace")[:MAX_FAILURE_LENGTH]', "reason",
            '.decode(errors="replace")', MESSAGES_TESTS),
    Removal("a claim that cannot be answered soon is rejected", "8.2", CLAIMS,
            "with trio.move_on_after(CLAIM_SECONDS):", "in_time", "with trio.CancelScope():",
            STATE_TESTS),
    Removal("number of open claims of a worker", "8.2", CLAIMS,
            "or len(self._open) >= MAX_OPEN_CLAIMS", "limited", "", STATE_TESTS),
    Removal("claims without a supervisor are rejected", "8.2", CLAIMS,
            "self._closed or ", "limited", "", STATE_TESTS),
    Removal("time that the supervisor remembers a claim", "8.2", "processes/supervisor.py",
            "if claim.until > utc_now() + MAX_CLAIM_TIME:", "for_long", tests=STATE_TESTS),
    Removal("all workers know the next ticket key", "4.7.1", "processes/key_rotation.py",
            "self.keys = (following, current, urandom(KEY_LENGTH))", "during_a_rotation",
            "self.keys = (urandom(KEY_LENGTH), current)", STATE_TESTS),
    Removal("all workers have an ECH key before it is published", "RFC 9849 8.1.1", ECH_KEYS,
            "self.use(_each_once(*before, *loaded))", "before_they_are_published", "pass",
            ECH_TESTS),
    Removal("older ECH keys of all workers still decrypt", "RFC 9849 8.1.1", ECH_KEYS,
            "self.use(_each_once(*self._loaded, *self._published))", "before_they_are_published",
            "self.use(self._loaded)", ECH_TESTS),
    Removal("all workers have the same ticket keys", "4.7.1", WORKER,
            "if config.ticket_keys is None and config.tickets != 0:", "do_not_share",
            tests=FAILING_TESTS),
    Removal("all workers have the same anti-replay cache", "8.2", WORKER,
            "if isinstance(config.anti_replay_cache, MemoryAntiReplayCache):", "do_not_share",
            tests=FAILING_TESTS),
    Removal("a worker that disturbs the channel is killed", "8.2", "processes/process.py",
            "        except ProtocolError as error:\n"
            '            self.end_reason = f"was killed: {error}"\n'
            "            self.kill()\n",
            "fails_later", "        except ProtocolError as error:\n            del error\n",
            FAILING_TESTS),
    Removal("the last workers serve the connections in the queue", "6.1", WORKER,
            "if self._draining.last else ()", "in_the_queue", "if False else ()",
            EXAMPLE_TESTS),
]  # fmt: skip
