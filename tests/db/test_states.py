from __future__ import annotations

import pandas as pd

from db import devices, states
from db.devices import ActuatorState
from db.engine import Engine, reading, writing
from tests.db.conftest import NOW

MINUTE = 60_000


def hear(engine: Engine, kitchen: int, *reports: tuple[str, int], actuator: str = "fan") -> None:
    with writing(engine) as connection:
        for state, at in reports:
            devices.store_state(connection, kitchen, ActuatorState("kitchen", actuator, state, None), at)


def between(engine: Engine, start: int, end: int, actuator: str = "fan") -> pd.DataFrame:
    with reading(engine) as connection:
        return states.between(connection, "kitchen", actuator, start, end)


def test_each_change_is_kept_and_the_same_again_is_none(engine: Engine, kitchen: int) -> None:
    hear(engine, kitchen, ("OFF", NOW), ("OFF", NOW + 1), ("ON", NOW + 2), ("ON", NOW + 3), ("OFF", NOW + 4))
    frame = between(engine, NOW, NOW + MINUTE)
    assert frame["ts"].tolist() == [NOW, NOW + 2, NOW + 4]
    assert frame["state"].tolist() == ["OFF", "ON", "OFF"]
    assert frame["value"].tolist() == [0.0, 1.0, 0.0]
    assert [str(kind) for kind in (frame["ts"].dtype, frame["value"].dtype)] == ["int64", "float64"]


def test_what_held_at_the_start_comes_first(engine: Engine, kitchen: int) -> None:
    hear(engine, kitchen, ("10", NOW), ("20.5", NOW + MINUTE), ("30", NOW + 2 * MINUTE))
    frame = between(engine, NOW + 90_000, NOW + 2 * MINUTE)
    assert list(frame.itertuples(index=False, name=None)) == [(NOW + 90_000, "20.5", 20.5)]
    frame = between(engine, NOW + MINUTE, NOW + 2 * MINUTE + 1)
    assert frame["value"].tolist() == [20.5, 30.0]
    assert between(engine, NOW - MINUTE, NOW).empty
    assert between(engine, NOW, NOW + 1, "no such").empty


def test_changes_in_one_millisecond_and_before_the_last_keep_their_order(engine: Engine, kitchen: int) -> None:
    hear(engine, kitchen, ("ON", NOW), ("OFF", NOW), ("ON", NOW - MINUTE))
    frame = between(engine, NOW - 2 * MINUTE, NOW + MINUTE)
    assert frame["ts"].tolist() == [NOW, NOW + 1, NOW + 2]
    assert frame["state"].tolist() == ["ON", "OFF", "ON"]


def test_what_is_past_its_time_goes_but_for_what_still_holds(engine: Engine, kitchen: int) -> None:
    hear(engine, kitchen, *((str(number), NOW + number) for number in range(5)))
    hear(engine, kitchen, ("ON", NOW), actuator="led")
    with writing(engine) as connection:
        assert states.prune(connection, NOW + 3) == 2
        assert states.prune(connection, NOW + 3) == 0
    assert between(engine, NOW, NOW + MINUTE)["state"].tolist() == ["2", "3", "4"]
    assert between(engine, NOW, NOW + MINUTE, "led")["state"].tolist() == ["ON"]
