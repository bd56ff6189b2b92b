"""Every fault of a bridge at full size: 10,000 messages, 20 s and more, the bridge's own times."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from broker.bridge import FarEnd
from tests.chaos.bridge_far_ends import Carried, carried
from tests.chaos.bridge_faults import BRIDGE_FAULTS
from tests.chaos.bridge_scenes import Told, commands_over_a_cut, states_over_a_cut, two_sites
from tests.chaos.bridge_stage import FULL_BRIDGE, BridgeFault, bridge_staged, play_bridge
from tests.chaos.conftest import RecordBridge
from tests.chaos.power_cut import Scene, count_up, cut_power
from tests.parts.eventually import eventually
from tests.parts.far_ends import Aedes, NatsServer
from tests.parts.simulated import SimulatedDevices


@pytest.mark.timeout(900)
@pytest.mark.parametrize("fault", [pytest.param(one, id=one.name.replace(" ", "-")) for one in BRIDGE_FAULTS])
def test_a_bridge_heals_itself(fault: BridgeFault, part_directory: Path, record_bridge: RecordBridge) -> None:
    begun = time.monotonic()
    with bridge_staged(part_directory, FULL_BRIDGE) as stage:
        verdict = play_bridge(stage, fault)
    record_bridge(fault.name, verdict, time.monotonic() - begun)
    assert (verdict.doubled, verdict.echoed, verdict.leaked) == (0, 0, 0)
    assert verdict.lost == 0 or fault.forgetful
    assert verdict.sent == verdict.acknowledged
    assert verdict.longest_answer_s is None or verdict.longest_answer_s < 4


@pytest.mark.timeout(900)
def test_commands_over_a_cut_arrive(part_directory: Path, record_line: list[str]) -> None:
    with bridge_staged(part_directory, FULL_BRIDGE) as stage:
        found = commands_over_a_cut(stage, 1000)
    record_line.append(f"Commands over a cut of 20 s: {found}")
    assert replace(found, repeated=0) == Told(sent=1000, lost=0, repeated=0, answered=1000, echoed=0)


@pytest.mark.timeout(900)
def test_states_are_the_sites_after_a_cut(part_directory: Path, record_line: list[str]) -> None:
    with bridge_staged(part_directory, FULL_BRIDGE) as stage:
        site, cloud = states_over_a_cut(stage)
    record_line.append(
        f"States over a cut of 20 s, changed and deleted at either end: {len(site.items() ^ cloud.items())} differ"
    )
    assert cloud == site


@pytest.mark.timeout(900)
@pytest.mark.parametrize("same", [False, True], ids=["own-ids", "one-id"])
def test_two_sites(part_directory: Path, record_line: list[str], same: bool) -> None:
    with bridge_staged(part_directory, FULL_BRIDGE) as stage:
        found = two_sites(stage, 4000, same_client_id=same)
    record_line.append(f"Two sites with {'one client id' if same else 'their own client ids'}: {found}")
    assert found.lost == {"site1": 0, "site2": 0}
    assert same or found.astray == ()


@pytest.mark.timeout(1200)
def test_what_a_sites_broker_forgot_is_asked_for_over_the_bridge(part_directory: Path, record_line: list[str]) -> None:
    """10,000 messages, the site's broker killed with all that waited for the link, the times of production."""
    with bridge_staged(part_directory, replace(FULL_BRIDGE, longest_pause_s=20)) as stage:
        url, site = stage.url, stage.site.broker
        with SimulatedDevices(site.url, "iot", count=20, period_s=20 / 250) as devices:
            cut_power(Scene(devices, 20, site, url, stage.wire.cut, stage.wire.mend), much=2_500)
            eventually(lambda: len(devices.taken) >= 10_000, 120, what="all readings")
            devices.finish()
            eventually(lambda: devices.acknowledged == len(devices.taken), what="the broker's answers")
            before = count_up(url, devices).undelivered
            eventually(lambda: count_up(url, devices).undelivered == 0, 900, what="all readings in the cloud")
            found = count_up(url, devices)
    record_line.append(
        f"Power cut at a site during a cut of the link: {before:,} missing before any was asked for; {found}"
    )
    assert (found.stored, found.doubled, devices.lost) == (found.sent, 0, 0)
    assert before > 2_500


#: aedes comes from npm, which not every machine has.
FAR_ENDS = [("nats-server", "nats", NatsServer), *([("aedes", "other", Aedes)] if shutil.which("npm") else [])]


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("name", "kind", "program"), FAR_ENDS, ids=[one[0] for one in FAR_ENDS])
def test_other_far_ends_take_all_and_give_commands_back_over_a_cut(
    name: str, kind: FarEnd, program: type[NatsServer | Aedes], part_directory: Path, record_line: list[str]
) -> None:
    (part_directory / "far").mkdir()
    with program(part_directory / "far") as far:
        found = carried(far.port, kind, part_directory, FULL_BRIDGE, 10_000)
    record_line.append(f"{name} as the far end, over a cut: {found}")
    assert replace(found, repeated=0) == Carried(10_000, 0, 0, 0, 0, probe_came_back=True, state_below="ON")
