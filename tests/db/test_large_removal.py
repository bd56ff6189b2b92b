"""Deleting a device with many readings, sealed ones and others, by portions as large as in production."""

from __future__ import annotations

import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from db import account, balance, devices, removal
from db.engine import Engine, reading, snapshot, writing
from db.history import DAY_MS
from tests.db.conftest import NOW
from tests.db.orders import ANNA, KEY
from tests.db.sealed import DAY, Series, every

_ROOT = Path(__file__).parents[2]
#: Every 5 s for nearly three days, of which two are sealed.
_MANY = 50_000


@pytest.fixture
def series(engine: Engine, temperature: int) -> Series:
    found = Series(engine, temperature)
    found.receive(every(5_000, _MANY))
    found.seal(DAY + 2 * DAY_MS)
    assert found.rows() == _MANY - 2 * DAY_MS // 5_000
    return found


@pytest.fixture
def neighbour(engine: Engine, series: Series) -> Series:
    """Of another device, which stays."""
    with writing(engine) as connection:
        device_id = devices.ensure(connection, ["cellar"], NOW)["cellar"]
        other = devices.ensure_series(connection, [(device_id, "temperature")], NOW)[device_id, "temperature"]
    found = Series(engine, other, received=series.received)
    found.receive(every(600_000, 300))
    return found


def left(engine: Engine) -> list[int]:
    """Readings removed so far of each deletion that is under way; the account adds up."""
    with snapshot(engine) as connection:
        assert balance.read(connection).off_by == 0
        return [one.readings for one in removal.under_way(connection)]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_one_that_is_killed_in_the_middle_is_gone_on_with(
    moment: str, engine: Engine, database_url: str, series: Series, neighbour: Series
) -> None:
    with writing(engine) as connection:
        removal.ask(connection, KEY, "kitchen", by=ANNA, at=NOW)
    gone = 0
    for portions in (1, 2):
        program = [sys.executable, "-m", "tests.db.killed_removal", database_url, str(portions), moment]
        assert subprocess.run(program, cwd=_ROOT, check=False, timeout=20).returncode == -signal.SIGKILL
        (now,) = left(engine)
        assert now > gone or (moment, portions) == ("before", 1)
        gone = now
    rest = sum(removal.work(engine, partial(writing, engine), "w", NOW))
    assert gone + rest == _MANY
    assert left(engine) == []
    with reading(engine) as connection:
        assert account.imported_and_removed(connection) == (0, _MANY)
    assert (series.rows(), series.sealed()) == (300, 0)
    assert neighbour.problems() == []
