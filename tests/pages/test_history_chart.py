from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from db.devices import Series
from db.ranges import Gap, Range, Statistics
from pages.parts.chosen_series import Shown
from pages.parts.history_chart import Drawn, panels
from pages.parts.history_hover import hover
from pages.parts.history_patterns import distribution, strip, week
from pages.parts.history_specs import DOUBLE_CLICKED, DRAGGED, Paint, Spec
from pages.parts.history_tables import legend, readings_html, statistics_html
from pages.parts.periods import HOUR_MS, MINUTE_MS, Period
from pages.parts.tables import NOTHING
from tests.pages.cases import ms

BERLIN = ZoneInfo("Europe/Berlin")
START = ms("2026-11-23T10:00:00Z")
HOUR = Period(START, START + HOUR_MS)
PAINT = Paint("black", ("#111111", "#222222", "#333333"))


def shown(metric: str = "temperature", unit: str | None = "°C", stroke: int = 0) -> Shown:
    return Shown(Series(stroke + 1, "kitchen", metric, unit, None), metric, unit or metric, stroke)


def read(one: Shown, *rows: tuple[int, int, float, float, float, int], bucket: int | None = MINUTE_MS) -> Range:
    """Rows are minute, n, mean, min, max, segment."""
    columns = ["ts", "n", "mean", "min", "max", "segment"]
    frame = pd.DataFrame([(START + minute * MINUTE_MS, *rest) for minute, *rest in rows], columns=columns)
    frame = frame.astype({"ts": "int64", "n": "int64", "segment": "int64"})
    return Range(one.series, "minutes", bucket, HOUR.start, HOUR.end, frame, ())


ROWS = ((0, 12, 21.0, 20.5, 22.5, 0), (1, 12, 21.5, 21.0, 22.0, 0), (9, 1, 20.0, 20.0, 20.0, 1))


def spec(drawn: list[Drawn], period: Period = HOUR) -> list[dict[str, Any]]:
    return [panel.spec.whole for panel in panels(drawn, period, BERLIN, PAINT)]


def rows_of(chart: dict[str, Any], layer: dict[str, Any]) -> list[dict[Any, Any]]:
    """What a layer shows."""
    found: pd.DataFrame = chart["datasets"][layer["data"]["name"]]
    return found.to_dict("records")


def test_there_is_a_panel_a_unit_and_its_title_says_which() -> None:
    every = [shown(), shown("dew", "°C", 1), shown("count", None, 2), shown("humidity", "%", 3), shown("load", None, 4)]

    made = panels([Drawn(one, read(one, *ROWS)) for one in every], HOUR, BERLIN, PAINT)

    assert [panel.title for panel in made] == ["°C", "count", "humidity, %", "load"]


def test_what_has_no_readings_has_no_panel() -> None:
    assert panels([Drawn(shown(), read(shown()))], HOUR, BERLIN, PAINT) == []


def test_the_band_is_light_under_a_thin_mean_and_both_break_at_gaps() -> None:
    (chart,) = spec([Drawn(shown(), read(shown(), *ROWS))])
    band, line, *_ = chart["layer"]

    assert (band["mark"]["type"], band["mark"]["opacity"]) == ("area", 0.25)
    assert (line["mark"]["type"], line["mark"]["strokeWidth"]) == ("line", 1.5)
    rows = rows_of(chart, line)
    assert [row["line"] for row in rows] == ["0 0", "0 0", "0 1"]
    assert [row["lone"] for row in rows] == [False, False, True]
    assert (band["encoding"]["detail"]["field"], line["encoding"]["detail"]["field"]) == ("line", "line")


def test_times_are_utc_milliseconds_and_the_axis_tells_the_zone_s_clocks() -> None:
    (chart,) = spec([Drawn(shown(), read(shown(), *ROWS))])

    edges, marks = (chart["datasets"][name].to_dict("records") for name in ("edges", "marks"))
    assert edges == [{"ts": HOUR.start, "to": HOUR.end}]
    assert marks[0] == {"ts": START, "label": "11:00"}
    assert chart["layer"][0]["encoding"]["x"]["axis"]["title"] == "23 Nov 2026, Europe/Berlin"
    assert rows_of(chart, chart["layer"][1])[0]["ts"] == START


def test_a_chart_that_moves_on_or_fills_is_the_same_chart_with_other_readings() -> None:
    later = Period(START + 10 * MINUTE_MS, START + 3 * HOUR_MS)
    single, none = ((0, 1, 21.0, 21.0, 21.0, 0),), read(shown(), *ROWS[:0])
    one, other, empty = (
        spec([Drawn(shown(), found, before, HOUR_MS)], period)[0]
        for found, before, period in (
            (read(shown(), *ROWS), none, HOUR),
            (read(shown(), *single, bucket=None), read(shown(), *ROWS), later),
            (none, read(shown(), *ROWS), later),
        )
    )

    assert set(one["datasets"]) == set(other["datasets"]) == set(empty["datasets"])
    assert [{**chart, "datasets": None} for chart in (one, other)] == [{**empty, "datasets": None}] * 2


def test_the_unit_stands_on_the_axis() -> None:
    (chart,) = spec([Drawn(shown(), read(shown(), *ROWS))])

    assert chart["layer"][1]["encoding"]["y"]["axis"]["title"] == "°C"


def test_series_have_their_strokes_and_up_to_five_their_names() -> None:
    five = [shown(f"m{number}", "°C", number) for number in (0, 2, 9, 4, 5)]
    (chart,) = spec([Drawn(one, read(one, *ROWS)) for one in five])
    colour, dash = (chart["layer"][1]["encoding"][name]["scale"] for name in ("color", "strokeDash"))
    (names,) = (layer for layer in chart["layer"] if layer["mark"]["type"] == "text")

    assert colour["range"] == ["#111111", "#333333", "#222222", "#222222", "#333333"]
    assert dash["range"] == [[1, 0], [1, 0], [6, 3], [1, 0], [1, 0]]
    places = [row["place"] for row in rows_of(chart, names)]
    assert len(set(places)) == 5

    (chart,) = spec([Drawn(one, read(one, *ROWS)) for one in [*five, shown("m6", "°C", 6)]])
    assert all(layer["mark"]["type"] != "text" for layer in chart["layer"])


def test_the_period_before_lies_over_what_is_shown() -> None:
    before = read(shown(), (-60, 1, 19.0, 19.0, 19.0, 0), (-59, 1, 19.5, 19.5, 19.5, 0))
    drawn = Drawn(shown(), read(shown(), *ROWS), before, HOUR_MS)
    (chart,) = spec([drawn])
    dotted = next(layer for layer in chart["layer"] if layer["mark"].get("strokeDash"))

    assert [row["ts"] for row in rows_of(chart, dotted)] == [START, START + MINUTE_MS]
    pointed = hover([(drawn.shown, drawn.range, drawn.before, drawn.shift)], BERLIN)
    assert pointed.titles == (("m0", "temperature"), ("m1", "temperature, before"))
    assert pointed.rows["m1"].tolist() == ["19.0 °C", "19.5 °C", NOTHING]


def test_the_pointer_reads_out_every_series_exactly() -> None:
    humidity = shown("a.b[0]", "%", 1)
    one = read(shown(), *ROWS)
    other = read(humidity, (1, 1, 48.25, 48.25, 48.25, 0), bucket=None)

    rows = hover([(shown(), one, None, 0), (humidity, other, None, 0)], BERLIN).rows

    assert rows["at"].tolist()[0] == "23 Nov 2026, 11:00:00 CET"
    assert rows["m0"].tolist() == ["21.0 °C (20.5 to 22.5)", "21.5 °C (21.0 to 22.0)", "20.0 °C"]
    assert rows["m1"].tolist() == [NOTHING, "48.25 %", NOTHING]


def test_many_series_that_never_report_at_once_share_the_times_that_can_be_pointed_at() -> None:
    every = []
    for number in range(4):
        one = shown(f"m{number}", "°C", number)
        frame = pd.DataFrame({"ts": [START + number + 3_600 * row for row in range(1_000)]})
        frame = frame.assign(n=1, mean=1.0, min=1.0, max=1.0, segment=0)
        every.append((one, Range(one.series, "raw", None, HOUR.start, HOUR.end, frame, ()), None, 0))

    rows = hover(every, BERLIN).rows

    assert 500 < len(rows) <= 1_501
    assert (rows[["m0", "m1", "m2", "m3"]] == NOTHING).to_numpy().mean() < 0.01


def test_the_browser_tells_of_dragging_and_of_double_clicks() -> None:
    (chart,) = spec([Drawn(shown(), read(shown(), *ROWS))])

    names = {parameter["name"] for parameter in chart["params"]}
    assert {DRAGGED, DOUBLE_CLICKED} <= names


def figures(**other: Any) -> Statistics:
    given: dict[str, Any] = {
        "n": 1204,
        "mean": 21.25,
        "min": -3.5,
        "min_at": START,
        "max": 24.0,
        "max_at": START,
        "sd": 0.5,
        "above_ms": None,
        "below_ms": None,
        "gaps": (),
        "resolution": "raw",
        "week": pd.DataFrame({"weekday": [0, 6], "hour": [11, 23], "n": [3, 4], "mean": [21.0, 22.0]}),
        "distribution": pd.DataFrame({"low": [20.0, 21.0], "high": [21.0, 22.0], "n": [3, 4]}),
    }
    return Statistics(**(given | other))


def test_statistics_say_what_how_much_and_when() -> None:
    now = START + 3 * HOUR_MS
    gaps = (Gap(START, START + HOUR_MS), Gap(START, START + 2 * HOUR_MS))

    html = statistics_html([shown()], [figures(gaps=gaps)], {}, PAINT, now, BERLIN)

    for said in (
        "1,204",
        "21.25",
        "\N{MINUS SIGN}3.5",
        "11:00",
        "23 Nov 2026, 11:00:00 (Europe/Berlin)",
        "2, 3 h in all",
    ):
        assert said in html
    assert "Above" not in html


def test_a_threshold_brings_the_time_above_and_below() -> None:
    found = figures(above_ms=90 * MINUTE_MS, below_ms=0)

    html = statistics_html([shown(), shown("humidity", "%", 1)], [found, figures()], {"°C": 22.0}, PAINT, START, BERLIN)

    assert ">90 min<" in html or ">1 h<" in html
    assert ">0 ms<" in html


def test_a_series_without_readings_has_no_figures() -> None:
    none = figures(n=0, mean=None, min=None, max=None, min_at=None, max_at=None, sd=None)

    assert "None" not in statistics_html([shown()], [none], {}, PAINT, START, BERLIN)


@pytest.mark.parametrize("dark", [True, False])
def test_patterns_are_drawn_by_the_zone_s_week(dark: bool) -> None:
    rows = week(shown(), figures(), dark=dark).data["week"].to_dict("records")

    assert [(row["day"], row["hours"], row["mean_text"]) for row in rows] == [
        ("Mon", "11:00 to 12:00", "21 °C"),
        ("Sun", "23:00 to 24:00", "22 °C"),
    ]
    assert distribution(shown(), figures(), PAINT).whole["encoding"]["x2"]["field"] == "high"


def test_the_overview_marks_what_is_shown_within_what_is_stored() -> None:
    stored = Period(START - 9 * HOUR_MS, START + 30 * MINUTE_MS)
    flat = read(shown("flat", None, 1), (0, 1, 5.0, 5.0, 5.0, 0))

    chart: Spec = strip(
        [Drawn(shown(), read(shown(), *ROWS)), Drawn(shown("flat", None, 1), flat)], stored, HOUR, BERLIN, PAINT
    )

    (seen,) = chart.data["seen"].to_dict("records")
    assert (seen["ts"], seen["to"]) == (HOUR.start, stored.end)


def test_what_devices_are_called_is_text() -> None:
    odd = shown("<img src=x>")

    for made in (
        legend([odd], PAINT),
        statistics_html([odd], [figures()], {}, PAINT, START, BERLIN),
        readings_html([odd], [(0, START, 1.5)], BERLIN),
    ):
        assert "<img" not in made
        assert "&lt;img src=x&gt;" in made


def test_the_last_readings_stand_side_by_side_and_many_under_each_other() -> None:
    few = readings_html(
        [shown(), shown("humidity", "%", 1)], [(0, START + 1, 21.5), (0, START, 21.0), (1, START, 48)], BERLIN
    )
    many = readings_html([shown(f"m{number}", None, number) for number in range(7)], [(6, START, 1.5)], BERLIN)

    assert few.count("<tr") == 3
    assert "2026-11-23 11:00:00.001" in few
    assert ">Series<" in many
