"""Each kind of benchmark on real parts, small: that it runs, and that all it counts was stored. No times."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import contestants, parts, stages
from benchmarks.contestants import Contestant, Setting
from tests.parts.mariadb import MariaDB

MESSAGES = 300


@pytest.mark.parametrize(
    "contestant", [contestants.worker, contestants.sqlite, contestants.paho_311, contestants.mosquitto_sub]
)
def test_a_contestant_takes_the_whole_backlog(contestant: Contestant, mariadb: MariaDB, part_directory: Path) -> None:
    with parts.broker() as broker:
        run = contestant(Setting(broker, mariadb, part_directory, MESSAGES))
    assert run.messages == MESSAGES
    assert run.rate > 0


def test_the_stages_add_up_to_the_loop(mariadb_url: str, tmp_path: Path) -> None:
    table = stages.measure(mariadb_url, f"sqlite:///{tmp_path}/monitor.db", size=50, rounds=1, fleet=10)
    costs = {row[0]: float(row[1]) for row in table.rows if "which allows" not in row[0]}
    assert all(cost > 0 for stage, cost in costs.items() if not stage.startswith("- "))
    parts_of_storing = sum(cost for stage, cost in costs.items() if stage.startswith("- "))
    assert parts_of_storing == pytest.approx(costs["store in MariaDB, one transaction"], abs=0.1)
