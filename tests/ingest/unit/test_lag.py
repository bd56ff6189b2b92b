from __future__ import annotations

from db.readings import Sample
from ingest.dialects.decoded import Decoded
from ingest.lag import lag_ms
from ingest.message import Message
from tests.ingest.unit.messages import NOW


def decoded(*times: int | None, received_at: int = NOW, retained: bool = False) -> Decoded:
    message = Message("iot/d/telemetry", b"", 0, received_at, retained)
    return Decoded(message, tuple(Sample("d", (("v", 1.0),), ts, 0, None, None) for ts in times))


def test_the_freshest_reading_tells() -> None:
    assert lag_ms([decoded(NOW - 9_000, NOW - 3_000), decoded(NOW - 5_000)]) == 3_000
    assert lag_ms([decoded(NOW - 9_000), decoded(None, NOW - 4_000, received_at=NOW + 10)]) == 4_010


def test_without_a_time_of_its_own_nothing_is_known() -> None:
    assert lag_ms([]) is None
    assert lag_ms([decoded(), decoded(None)]) is None


def test_a_clock_that_is_ahead_makes_no_negative_lag() -> None:
    assert lag_ms([decoded(NOW + 7_000)]) == 0


def test_what_a_broker_retained_is_old_and_tells_nothing() -> None:
    assert lag_ms([decoded(NOW - 86_400_000, retained=True)]) is None


def test_the_newest_messages_of_a_batch_are_enough() -> None:
    assert lag_ms([decoded(NOW), *[decoded(NOW - 8_000)] * 50]) == 8_000
