"""Which tests of the stream run over TLS 1.2, and why the others do not.

The fixtures ``engine``, ``native`` and ``version`` run a test over each version.
"""

from __future__ import annotations

from typing import cast

import pytest

EARLY_DATA = "early data"
KEY_UPDATE = "KeyUpdate"
LATER_TICKETS = "a session ticket after the handshake; TLS 1.2 has it within"
CLIENT_FIRST = "in TLS 1.2 the server's hooks are asked before the client's handshake is complete"
OPENSSL = "only an ssl.SSLContext, or trio's own stream"
NO_CONNECTION = "no TLS connection"
BELOW = "what is below TLS, or above, whichever version it is"
OWN = "TLS 1.2 has a test of its own"

#: By module, or by test: why there is no run over TLS 1.2.
ONE_VERSION = {
    "test_anti_replay_across_processes": EARLY_DATA,
    "test_early_data_cancellation": EARLY_DATA,
    "test_stream_early_data": EARLY_DATA,
    "test_handshake_time": EARLY_DATA,
    "test_connecting_with_early_data_that_is_sent_again": EARLY_DATA,
    "test_reset_during_a_flood_of_early_data": EARLY_DATA,
    "test_no_ticket_is_stored_twice": EARLY_DATA,
    "test_stream_key_updates": KEY_UPDATE,
    "test_padded_records_use_no_sequence_number": "padding of records, and KeyUpdate",
    "test_messages_that_are_due_leave_before_data": KEY_UPDATE,
    "test_key_limit_in_the_data_phase": OWN,
    "test_data_leaves_behind_what_is_queued": KEY_UPDATE,
    "test_ticket_received_beside_a_task_that_waits_for_it": LATER_TICKETS,
    "test_wait_session_ticket_beside_a_receiver": LATER_TICKETS,
    "test_receive_some_during_wait_session_ticket": LATER_TICKETS,
    "test_wait_session_ticket_with_a_slow_store": LATER_TICKETS,
    "test_receive_cancelled_in_session_store_put": LATER_TICKETS,
    "test_receive_cancelled_in_the_store_loses_nothing": LATER_TICKETS,
    "test_cancelled_client_verification_is_no_empty_answer": CLIENT_FIRST,
    "test_post_handshake_auth_that_was_not_offered_raises": "authentication after the handshake",
    "test_resumption_and_retry_are_in_the_result": "HelloRetryRequest",
    "test_stream_groups": "HelloRetryRequest",
    "test_ech_retry": "Encrypted Client Hello",
    "test_stream_certificate_with_psk": "external PSKs",
    "test_memory_pair_trusts_the_servers_raw_key": "memory_tls_pair has TLS 1.3 by default",
    "test_events_of_a_connection_from_handshake_to_end": OWN,
    "test_events_of_a_connection_of_tls_1_2": OWN,
    "test_costs": OWN,
    "test_proxy_protocol": BELOW,
    "test_the_port_of_a_listener": NO_CONNECTION,
    "test_address_of_a_listener_without_a_socket": NO_CONNECTION,
    "test_async_function_is_rejected": NO_CONNECTION,
    "test_every_method_has_a_cancellation_test": NO_CONNECTION,
    "test_every_question_has_a_cancellation_test": NO_CONNECTION,
    "test_every_name_of_the_stdlib_and_of_trio_is_there": NO_CONNECTION,
    "test_refreshing_staple": NO_CONNECTION,
    "test_stream_versions": NO_CONNECTION,
    "test_replaced_ssl_context": OPENSSL,
    "test_peer_without_tls_over_openssl_is_logged": OPENSSL,
    "test_listener_closes_a_connection_that_cannot_be_wrapped": OPENSSL,
    "test_over_an_ssl_context": OPENSSL,
    "test_trios_server_waits_for_a_silent_peer": OPENSSL,
    "test_channel_bindings_of_the_stdlib": OPENSSL,
    "test_session_of_the_stdlib_is_resumed": OPENSSL,
    "test_post_handshake_auth_over_openssl": OPENSSL,
    "test_post_handshake_auth_of_a_closed_client": OPENSSL,
    "test_alert_of_openssl_is_sent": OPENSSL,
    "test_trios_own_stream_drops_the_alert": OPENSSL,
    "test_openssl_has_no_observer": OPENSSL,
    "test_cancelled_send_breaks_receiving_in_trio": OPENSSL,
    "test_exported_keying_material_over_openssl_raises": OPENSSL,
}

TLS_12 = {"native-tls12", "TLSv1.2"}


def test_every_test_of_the_stream_runs_over_tls_1_2_or_says_why_not(
    request: pytest.FixtureRequest,
) -> None:
    folder = request.path.parent
    runs: dict[tuple[str, str], bool] = {}
    for item in request.session.items:
        if item.path.parent != folder:
            continue
        function = cast("pytest.Function", item)
        values = function.callspec.params.values() if hasattr(function, "callspec") else ()
        is_tls12 = "native12" in function.fixturenames or any(
            isinstance(value, str) and value in TLS_12 for value in values
        )
        test = item.path.stem, function.originalname
        runs[test] = runs.get(test, False) or is_tls12
    without = {test for test, is_tls12 in runs.items() if not is_tls12}
    assert {test for test in without if not ONE_VERSION.keys() & {*test}} == set()


def test_the_list_names_tests_that_are_there(request: pytest.FixtureRequest) -> None:
    modules = {path.stem: path.read_text() for path in request.path.parent.glob("test_*.py")}
    text = "\n".join(modules.values())
    unknown = {name for name in ONE_VERSION if name not in modules and f"def {name}(" not in text}
    assert unknown == set()
