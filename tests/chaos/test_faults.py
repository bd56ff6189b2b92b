"""Every fault at full size: 100,000 messages at 5,000 a second, real times."""

from __future__ import annotations

import time

import pytest

from tests.chaos.conftest import Record
from tests.chaos.faults import CASES
from tests.chaos.stage import FULL, Fault, play, staged


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("fault", "database"), CASES)
def test_a_fault_heals_itself(fault: Fault, database: str, request: pytest.FixtureRequest, record: Record) -> None:
    begun = time.monotonic()
    with staged(request, fault, database, FULL) as stage:
        verdict = play(stage)
    record(fault.name, database, verdict, time.monotonic() - begun)
    assert (verdict.lost, verdict.doubled) == (0, 0)
    assert verdict.undelivered == 0 or fault.forgetful
    assert verdict.sent == verdict.acknowledged == verdict.stored + verdict.undelivered
