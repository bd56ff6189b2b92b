from __future__ import annotations

from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from pages.parts.hour_chart import panels
from pages.parts.last_hour import HOUR_MS, LastHour, bucketed
from tests.pages.cases import ms

END = ms("2026-11-23T13:00:00Z")


def raw(*readings: tuple[float, float]) -> pd.DataFrame:
    """Readings as db.readings.frame has them: seconds before the end, value."""
    times = pd.to_datetime(pd.Series([END - s * 1000 for s, _ in readings], dtype="int64"), unit="ms", utc=True)
    values = pd.Series([value for _, value in readings], dtype="float64")
    return pd.DataFrame({"time": times.astype("datetime64[ms, UTC]"), "value": values})


def hour(**metrics: tuple[str, pd.DataFrame]) -> LastHour:
    parts = [bucketed(rows).assign(metric=metric, unit=unit) for metric, (unit, rows) in metrics.items()]
    return LastHour(pd.concat(parts, ignore_index=True), tuple(metrics), END - HOUR_MS, END)


STEADY = raw((60, 20.0), (50, 21.0), (40, 22.0), (30, 23.0), (20, 24.0), (10, 25.0))


def test_readings_of_one_bucket_become_mean_low_and_high() -> None:
    rows = bucketed(raw((14, 20.0), (13, 24.0), (12, 22.0), (9, 30.0)))

    assert rows[["mean", "low", "high"]].to_numpy().tolist() == [[22.0, 20.0, 24.0], [30.0, 30.0, 30.0]]


def test_a_gap_begins_a_segment_and_a_late_reading_does_not() -> None:
    rows = bucketed(raw((500, 1.0), (490, 1.0), (480, 1.0), (450, 1.0), (440, 1.0), (400, 1.0), (390, 1.0)))

    assert rows["segment"].tolist() == [0, 0, 0, 0, 0, 1, 1]


def test_slow_readings_are_no_gaps() -> None:
    assert bucketed(raw((3000, 1.0), (2100, 1.0), (1200, 1.0), (300, 1.0)))["segment"].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("readings", [raw(), raw((5, 1.0))])
def test_hardly_any_readings_are_no_trouble(readings: pd.DataFrame) -> None:
    assert len(bucketed(readings)) == len(readings)


def test_there_is_a_panel_a_unit_and_its_title_says_which() -> None:
    drawn = hour(a=("°C", STEADY), b=("°C", STEADY), humidity=("%", STEADY), count=("", STEADY), level=("", STEADY))

    assert [panel.title for panel in panels(drawn, ZoneInfo("UTC"), "black")] == ["°C", "humidity, %", "count", "level"]


def test_clocks_are_of_the_zone_and_the_last_axis_names_it() -> None:
    first, last = (
        p.chart.to_dict() for p in panels(hour(a=("°C", STEADY), b=("%", STEADY)), ZoneInfo("Asia/Kolkata"), "black")
    )
    times = [row["wall"] for rows in last["datasets"].values() for row in rows if "mean" in row]

    assert times[-1].startswith("2026-11-23T18:29:50")
    assert first["layer"][0]["encoding"]["x"]["axis"]["title"] is None
    assert last["layer"][0]["encoding"]["x"]["axis"]["title"] == "Asia/Kolkata"


def test_a_series_keeps_its_colour_when_another_has_no_readings() -> None:
    drawn = LastHour(hour(b=("°C", STEADY)).frame, ("a", "b"), END - HOUR_MS, END)

    (panel,) = panels(drawn, ZoneInfo("UTC"), "black")

    assert panel.chart.to_dict()["layer"][2]["encoding"]["color"]["scale"]["domain"] == ["a", "b"]


def test_the_pointer_reads_out_every_metric_of_the_device() -> None:
    first, _ = (
        p.chart.to_dict()
        for p in panels(hour(**{"a.b[0]": ("°C", STEADY), "c": ("%", STEADY)}), ZoneInfo("UTC"), "black")
    )
    (tooltip,) = (layer["encoding"]["tooltip"] for layer in first["layer"] if "tooltip" in layer["encoding"])
    rows = [row for rows in first["datasets"].values() for row in rows if "m0" in row]

    assert [entry["title"] for entry in tooltip] == ["time", "a.b[0]", "c"]
    assert (rows[-1]["at"], rows[-1]["m0"], rows[-1]["m1"]) == ("12:59:50", "25 °C", "25 %")
