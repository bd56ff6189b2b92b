"""Every fault of a bridge at small size; `make chaos` plays the same ones at full size."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.bridge_faults import BRIDGE_FAULTS
from tests.chaos.bridge_stage import SMALL_BRIDGE, BridgeFault, bridge_staged, play_bridge


@pytest.mark.parametrize("fault", [pytest.param(one, id=one.name.replace(" ", "-")) for one in BRIDGE_FAULTS])
def test_a_bridge_heals_itself(fault: BridgeFault, part_directory: Path) -> None:
    with bridge_staged(part_directory, SMALL_BRIDGE) as stage:
        verdict = play_bridge(stage, fault)
    assert (verdict.doubled, verdict.echoed, verdict.leaked) == (0, 0, 0)
    assert verdict.lost == 0 or fault.forgetful
    assert verdict.sent == verdict.acknowledged
    assert verdict.longest_answer_s is None or verdict.longest_answer_s < 4
