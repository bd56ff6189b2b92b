"""The database away for a minute at 5,000 messages a second."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from tests.chaos.backpressure import AWAY, hold_back
from tests.chaos.conftest import Record
from tests.chaos.stage import FULL, staged


@pytest.mark.timeout(900)
def test_what_comes_while_the_database_is_away_waits_with_the_broker(
    request: pytest.FixtureRequest, record: Record, record_line: list[str]
) -> None:
    begun = time.monotonic()
    with staged(request, AWAY, "mariadb", replace(FULL, messages=300_000)) as stage:
        found = hold_back(stage)
    record("away for a minute at 5,000 messages/s", "mariadb", found.verdict, time.monotonic() - begun)
    record_line.append(
        f"Backpressure: the broker held {found.held:,} messages, sent in {found.published_s:.0f} s, in "
        f"{found.bytes_held:.0f} bytes each of memory and {found.bytes_filed:.0f} of its file; the worker held "
        f"{found.in_hand:,} and at most {found.worker_peak_mb:.0f} MB; `latest` was {found.behind_s:.1f} s behind "
        "at the worst."
    )
    assert (found.verdict.lost, found.verdict.doubled, found.verdict.undelivered) == (0, 0, 0)
    assert found.verdict.stored == found.verdict.acknowledged == 315_020
    assert found.in_hand < 3_000
    assert found.worker_peak_mb < 250
    assert found.out_of_order == []
    assert found.behind_s < 2
