"""The database away while messages come; `make chaos` has a minute of it at 5,000 messages a second."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.chaos.backpressure import AWAY, hold_back
from tests.chaos.stage import SMALL, staged


def test_what_comes_while_the_database_is_away_waits_with_the_broker(request: pytest.FixtureRequest) -> None:
    with staged(request, AWAY, "mariadb", replace(SMALL, messages=400)) as stage:
        found = hold_back(stage)
    assert (found.verdict.lost, found.verdict.doubled, found.verdict.undelivered) == (0, 0, 0)
    assert found.verdict.stored == found.verdict.acknowledged == 426
    assert found.in_hand <= 400
    assert found.worker_peak_mb < 250
    assert found.out_of_order == []
