"""Every fault at small size; `make chaos` plays the same ones at full size."""

from __future__ import annotations

import pytest

from tests.chaos.faults import CASES
from tests.chaos.stage import SMALL, Fault, play, staged


@pytest.mark.parametrize(("fault", "database"), CASES)
def test_a_fault_heals_itself(fault: Fault, database: str, request: pytest.FixtureRequest) -> None:
    with staged(request, fault, database, SMALL) as stage:
        verdict = play(stage)
    assert (verdict.lost, verdict.doubled) == (0, 0)
    assert verdict.undelivered == 0 or fault.forgetful
    assert verdict.sent == verdict.acknowledged == verdict.stored + verdict.undelivered
