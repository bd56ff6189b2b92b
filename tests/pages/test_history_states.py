from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from pages.parts.history_specs import Paint
from pages.parts.history_states import MOST, Band, bands, drawn_of, labels, rectangles, state_word
from pages.parts.periods import Period

START = 1_764_000_000_000
HOUR = 3_600_000
PERIOD = Period(START, START + HOUR)
ZONE = ZoneInfo("Europe/Berlin")
PAINT = Paint("#111111", ("#0072B2",))


def band(*changes: tuple[int, str, float], label: str = "led", **more: Any) -> Band:
    """What happened: minutes after START, state, value."""
    rows = [(START + round(minutes * 60_000), state, value) for minutes, state, value in changes]
    frame = pd.DataFrame(rows, columns=["ts", "state", "value"]).astype({"ts": "int64", "value": "float64"})
    return Band(label, frame, **more)


def drawn(*found: Band, now: int = START + 2 * HOUR) -> list[dict[str, Any]]:
    """The rectangles as the browser gets them."""
    rows = rectangles(drawn_of(found), PERIOD, ZONE, now)
    return [dict(zip(rows.columns, row, strict=True)) for row in rows.itertuples(index=False)]


def test_each_state_lasts_until_the_next_and_the_last_to_the_end_of_the_range() -> None:
    first, second, third = drawn(band((0, "OFF", 0), (15, "ON", 1), (45, "OFF", 0)))

    assert (first["ts"], first["end"]) == (START, START + HOUR // 4)
    assert (second["ts"], second["end"], second["state"]) == (START + HOUR // 4, START + 3 * HOUR // 4, "on")
    assert third["end"] == START + HOUR
    assert second["lasted"] == "30 min"
    assert second["top"] - second["base"] > 5 * (first["top"] - first["base"])


def test_nothing_is_drawn_after_now() -> None:
    (only,) = drawn(band((0, "ON", 1)), now=START + HOUR // 2)

    assert only["end"] == START + HOUR // 2


def test_a_number_is_as_high_as_it_lies_in_its_range() -> None:
    fan = band((0, "0", 0), (10, "50", 50), (20, "100", 100), label="fan", unit="%", minimum=0, maximum=100)
    heights = [row["top"] - row["base"] for row in drawn(fan)]

    assert heights[1] == pytest.approx((heights[0] + heights[2]) / 2)
    assert [row["state"] for row in drawn(fan)] == ["0 %", "50 %", "100 %"]


def test_a_number_without_a_range_is_measured_by_itself() -> None:
    heights = [row["top"] - row["base"] for row in drawn(band((0, "20", 20), (10, "22", 22), label="set point"))]

    assert heights[0] < heights[1]


def test_actuators_have_a_row_each_in_their_order_from_above() -> None:
    rows = drawn(band((0, "ON", 1), label="a"), band((0, "ON", 1), label="b"))

    assert {row["label"]: row["base"] for row in rows} == {"a": 1.0, "b": 0.0}


def test_what_never_reported_is_not_drawn() -> None:
    assert bands([band()], PERIOD, ZONE, PAINT, START) is None
    assert len(drawn(*[band((0, "ON", 1), label=f"{number}") for number in range(MOST + 3)])) == MOST


def test_several_devices_are_named_before_their_actuators() -> None:
    assert labels([("kitchen", "led"), ("kitchen", "fan")]) == ["led", "fan"]
    assert labels([("kitchen", "led"), ("attic", "led")]) == ["kitchen · led", "attic · led"]


@pytest.mark.parametrize(
    ("state", "unit", "words"),
    [
        ("ON", None, "on"),
        ("OFF", "%", "off"),
        ("40", "%", "40 %"),
        ("21.5", None, "21.5"),
        ("-3", "°C", "\N{MINUS SIGN}3 °C"),
    ],
)
def test_states_in_words(state: str, unit: str | None, words: str) -> None:
    assert state_word(state, unit) == words


def test_the_chart_is_one_that_vega_takes() -> None:
    chart = bands([band((0, "ON", 1))], PERIOD, ZONE, PAINT, START + HOUR)

    assert chart is not None
    assert chart.to_dict()["description"] == "What led did over the same time."
