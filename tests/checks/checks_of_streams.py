"""The checks that protect a server from single connections: limits, pauses, contained errors."""

from __future__ import annotations

from removal import Removal

__all__ = ["REMOVALS_OF_STREAMS"]

CONNECTION = "engine/connection.py"
ANYIO = "contrib/anyio.py"
CONTAINED = "driver/containment.py"
READER = "record/message_reader.py"
CONTAINMENT = "tests/io/test_containment.py"
PROXY_HEADER = "io/proxy_header.py"
PROXY_TESTS = "tests/io/test_proxy_protocol.py"

REMOVALS_OF_STREAMS = [
    Removal("no hook is called while the alert of a broken connection is read", "6.2", CONNECTION,
            "if not self._may_ask:", "asks_no_question", tests="tests/engine/test_read_alert.py"),
    Removal("application data is not read while the alert of a broken connection is read",
            "6.2", CONNECTION,
            "return step is Want.READ", "flood_of_data", "return True",
            "tests/io/test_pending_alert.py"),
    Removal("hypercorn's own exceptions end one connection", "6", "contrib/asgi.py",
            "except* Exception as failure:", "body_after or fault_of", "except* () as failure:",
            "tests/contrib/test_asgi_failures.py"),
    Removal("handshake_first catches only the errors of its own stream", "6", CONTAINED,
            "if not stream.has_raised(error):", "another_stream", tests=CONTAINMENT),
    Removal("handshake_first catches no group with other exceptions", "6", CONTAINED,
            "if own is None or not _is_cancellation(rest, library):", "mixed_exception_group",
            "if own is None:",
            CONTAINMENT),
    Removal("a client's Finished waits for no data", "4.5.3", "driver/driver.py",
            "if before_data and engine.handshake_complete:", "speaks_first",
            "if engine.handshake_complete:", "tests/io/test_stream_handshake.py"),
    Removal("handshake_timeout limits answer_early_data", "2.3", "driver/driver.py",
            "with timer.running() as scope:\n                await self.send(data",
            "answering_is_bounded",
            "with self.library.CancelScope() as scope:\n                await self.send(data",
            "tests/io/test_handshake_time.py"),
    Removal("number of records of a handshake message", "5.1", READER,
            "if self._records > MAX_RECORDS_PER_MESSAGE:", "too-many-records"),
    Removal("other tasks run between many records", "5.1", READER,
            "if self._steps < STEPS_BETWEEN_PAUSES:", "pauses or meanwhile", "if True:",
            "tests/record/test_many_records.py"),
    Removal("other tasks run while early data is skipped", "4.3.10", READER,
            "if record is SKIPPED:\n            return True", "pauses_while",
            "while record is SKIPPED:\n            record = self._incoming.next_record()\n"
            "        if record is None:\n            return False",
            "tests/handshake/test_skipped_early_data.py"),
    Removal("time to select credentials", "4.5.1.2",
            "handshake/certificate_selection.py", "offered = frozenset(schemes)",
            "client_credentials_selection or server_credentials_selection", "offered = schemes",
            "tests/handshake/test_certificate_selection.py"),
    Removal("the command line reads no plaintext after STARTTLS", "RFC 3207 6", "cli/starttls.py",
            "if self._received:", "fails", tests="tests/cli/test_cli_starttls.py"),
    Removal("the command line bounds the lines before STARTTLS", "RFC 3207 4", "cli/starttls.py",
            "if len(self._received) > MAX_LINE:", "fails", tests="tests/cli/test_cli_starttls.py"),
    Removal("the command line bounds a proxy's answer", "RFC 9110 9.3.6", "cli/dialing.py",
            "and len(answer) <= MAX_PROXY_ANSWER", "rejects_connect", "",
            "tests/cli/test_cli_connect.py"),
    Removal("plaintext received before TLS ends the connection", "RFC 3207 6", "io/stream.py",
            "if received:", "plaintext_received_before",
            tests="tests/io/test_received_ciphertext.py"),
    Removal("over anyio, plaintext received before TLS ends the connection", "RFC 3207 6", ANYIO,
            "if received:", "plaintext_received_before",
            tests="tests/contrib/test_anyio_stream.py"),
    Removal("over anyio, a missing close_notify is not the end of the data", "6.1", ANYIO,
            "if self.standard_compatible or not driver.pump.at_eof:", "missing_close_notify",
            "if not driver.pump.at_eof:", "tests/contrib/test_anyio_stream.py"),
    Removal("a cancelled connect_tls of anyio sends its alerts", "6.1", ANYIO,
            "await self._driver.pump.flush_alert()", "cancelled_connect_tls",
            "await anyio.lowlevel.checkpoint()", "tests/contrib/test_anyio_listener.py"),
    Removal("the length of a header of the PROXY protocol", "of haproxy's specification, 2.2",
            PROXY_HEADER, "if length > MAX_HEADER_LENGTH:", "longest or long",
            tests=PROXY_TESTS),
    Removal("the length of the line in version 1", "of haproxy's specification, 2.1",
            PROXY_HEADER, "if len(start) >= MAX_V1_LENGTH:", "faulty",
            tests=PROXY_TESTS),
    Removal("the addresses of version 1 have no zone", "of haproxy's specification, 2.1",
            PROXY_HEADER, 'or b"%" in line:', "faulty", ":", PROXY_TESTS),
    Removal("version and command of version 2", "of haproxy's specification, 2.2",
            PROXY_HEADER, "if command not in (LOCAL, PROXY):", "faulty",
            tests=PROXY_TESTS),
    Removal("family and transport of version 2", "of haproxy's specification, 2.2",
            PROXY_HEADER, "if family not in HOST_LENGTHS:", "faulty",
            tests=PROXY_TESTS),
    Removal("the length of the addresses of version 2", "of haproxy's specification, 2.2",
            PROXY_HEADER, "if len(rest) < length:", "faulty", tests=PROXY_TESTS),
    Removal("the length of the TLVs of version 2", "of haproxy's specification, 2.2.7",
            PROXY_HEADER, "if len(octets) < max(3, end):", "faulty", tests=PROXY_TESTS),
    Removal("only a trusted proxy's header is read", "of haproxy's specification, 5",
            "io/proxy_protocol.py", "if self._trusts(stream, peer):", "not_trusted or by_name",
            "if True:", PROXY_TESTS),
]  # fmt: skip
