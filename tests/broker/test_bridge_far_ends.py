"""A bridge to a broker that is no Mosquitto; `make chaos` takes more messages, and aedes where npm is at hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.chaos.bridge_far_ends import Carried, carried
from tests.chaos.bridge_stage import SMALL_BRIDGE
from tests.parts.far_ends import NatsServer


def test_nats_takes_all_and_gives_commands_back_over_a_cut(part_directory: Path) -> None:
    (part_directory / "far").mkdir()
    with NatsServer(part_directory / "far") as far:
        found = carried(far.port, "nats", part_directory, SMALL_BRIDGE, 300)
    assert replace(found, repeated=0) == Carried(300, 0, 0, 0, 0, probe_came_back=True, state_below="ON")
