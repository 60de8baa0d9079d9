"""Each wrong message gets the alert that RFC 9846 has for it, and nothing reaches the application.

The rows are in ``rows_*.py``. Each row runs twice: with the message in one piece, and octet by
octet.
"""

from __future__ import annotations

from collections import Counter

import pytest
import rows_authentication
import rows_certificate_with_psk
import rows_compression
import rows_early_data
import rows_ech
import rows_extensions
import rows_hellos
import rows_order
import rows_psks
import rows_raw_keys
import rows_records
import rows_sessions12
import rows_syntax
import rows_tickets
import rows_tls12
from deviations import Row

from trio_tlsx.errors import TLSError
from trio_tlsx.messages.alerts import FATAL

ROWS = [
    *rows_order.ROWS,
    *rows_syntax.ROWS,
    *rows_extensions.ROWS,
    *rows_hellos.ROWS,
    *rows_authentication.ROWS,
    *rows_psks.ROWS,
    *rows_certificate_with_psk.ROWS,
    *rows_compression.ROWS,
    *rows_raw_keys.ROWS,
    *rows_records.ROWS,
    *rows_early_data.ROWS,
    *rows_tickets.ROWS,
    *rows_tls12.ROWS,
    *rows_sessions12.ROWS,
    *rows_ech.ROWS,
]


@pytest.mark.parametrize("octet_by_octet", [False, True], ids=["whole", "octets"])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_wrong_message(row: Row, octet_by_octet: bool) -> None:
    peer = row.peer({row.place: row.deviation})
    peer.octet_by_octet = octet_by_octet
    peer.run()
    assert peer.failure is not None, f"accepted, against {row.section}"
    assert peer.failure.refused_by == "us", repr(peer.failure)
    assert peer.alerts == [(peer.engine_has_keys, bytes((FATAL, row.alert)))], (
        f"{row.section} has {row.alert.name}: {peer.failure!r}"
    )
    assert peer.received == peer.permitted
    with pytest.raises((TLSError, RuntimeError)):
        peer.engine.read()


def test_wrong_message_rows_are_unique_and_cited() -> None:
    names = Counter(row.name for row in ROWS)
    assert [name for name, count in names.items() if count > 1] == []
    assert len(ROWS) >= 300
    assert all(row.section for row in ROWS)
