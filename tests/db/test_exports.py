"""Exports as files: every reading, bit for bit, in each format, by the clocks of the zone."""

from __future__ import annotations

import csv
import io
import re
import struct
import tracemalloc
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from xml.etree import ElementTree
from zipfile import ZipFile
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from db import clock_text, devices, exports, spreadsheet
from db.devices import Series
from db.engine import Engine, snapshot, writing
from db.export_formats import write
from db.exports import Form, Format, Plan
from db.packing import HOUR_MS, MINUTE_MS
from db.ranges import BadRange, Resolution, read
from db.readings import insert_new
from tests.db.test_readings import AWKWARD

NOON = 1_764_072_000_000
BERLIN = ZoneInfo("Europe/Berlin")
KATHMANDU = ZoneInfo("Asia/Kathmandu")
#: Three hours before and after the clocks went back in Berlin.
OCTOBER = int(datetime(2026, 10, 25, 1, tzinfo=UTC).timestamp() * 1000)


def store(
    engine: Engine,
    rows: Sequence[tuple[int, float]],
    device: str = "kitchen",
    metric: str = "temperature",
    unit: str = "°C",
) -> Series:
    with writing(engine) as connection:
        device_id = devices.ensure(connection, [device], NOON)[device]
        series_id = devices.ensure_series(connection, [(device_id, metric)], NOON)[device_id, metric]
        insert_new(connection, [(series_id, ts, value) for ts, value in rows])
    return Series(series_id, device, metric, unit, None)


def export(
    engine: Engine,
    form: Format,
    series: Sequence[Series],
    span: tuple[int, int] = (NOON, NOON + HOUR_MS),
    resolution: Resolution = "raw",
    zone: tzinfo = BERLIN,
    layout: Form = "long",
) -> bytes:
    out = io.BytesIO()
    with snapshot(engine) as connection:
        plan = Plan(series, *span, resolution, zone, layout)
        write(form, out, plan, exports.blocks(connection, plan))
    return out.getvalue()


def table(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode(), newline="")))


def sheets(data: bytes) -> dict[str, list[dict[str, str | float]]]:
    """Rows of each sheet, by name of the sheet and letters of the column."""
    main = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
    relation = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
    found: dict[str, list[dict[str, str | float]]] = {}
    with ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        for name in archive.namelist():
            ElementTree.fromstring(archive.read(name))  # noqa: S314 - our own
        links = {
            one.attrib["Id"]: one.attrib["Target"]
            for one in ElementTree.fromstring(archive.read("xl/_rels/workbook.xml.rels"))  # noqa: S314
        }
        for sheet in ElementTree.fromstring(archive.read("xl/workbook.xml")).iter(f"{main}sheet"):  # noqa: S314
            content = archive.read(f"xl/{links[sheet.attrib[f'{relation}id']]}")
            rows = []
            for number, row in enumerate(ElementTree.fromstring(content).iter(f"{main}row"), 1):  # noqa: S314
                assert row.attrib["r"] == str(number)
                cells: dict[str, str | float] = {}
                for cell in row:
                    letters, place = re.fullmatch(r"([A-Z]+)(\d+)", cell.attrib["r"]).groups()  # type: ignore[union-attr]
                    assert place == str(number)
                    text = "".join(cell.itertext())
                    cells[letters] = text if cell.attrib.get("t") == "inlineStr" else float(text)
                rows.append(cells)
            found[sheet.attrib["name"]] = rows
    return found


def bits(values: Sequence[float]) -> list[bytes]:
    return [struct.pack("<d", value) for value in values]


# Times


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "Pacific/Apia"])
def test_times_are_iso_with_the_offset_of_that_moment(name: str) -> None:
    zone = ZoneInfo(name)
    times = [OCTOBER + n * 1_234_567 for n in range(-20, 20)] + [-1, 0, 1, 1_325_239_200_000]
    found = clock_text.iso(np.array(times, np.int64), zone).to_pylist()
    moments = [datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ts) for ts in times]
    assert found == [moment.astimezone(zone).isoformat(timespec="milliseconds") for moment in moments]
    assert clock_text.iso(np.empty(0, np.int64), zone).to_pylist() == []


def test_a_spreadsheets_times_are_days_since_1899() -> None:
    times = np.array([int(datetime(2026, 1, 1, 11, tzinfo=UTC).timestamp() * 1000)], np.int64)
    assert clock_text.serials(times, BERLIN).tolist() == [46_023.5]


# CSV


def test_csv_as_promised(engine: Engine) -> None:
    series = store(engine, [(OCTOBER - 1, 20.5), (OCTOBER, -0.25), (OCTOBER + 1, 1e22)])
    found = export(engine, "csv", [series], (OCTOBER - 5, OCTOBER + 5))
    assert found.decode().splitlines() == [
        "time,ts,device,metric,value,unit",
        f"2026-10-25T02:59:59.999+02:00,{OCTOBER - 1},kitchen,temperature,20.5,°C",
        f"2026-10-25T02:00:00.000+01:00,{OCTOBER},kitchen,temperature,-0.25,°C",
        f"2026-10-25T02:00:00.001+01:00,{OCTOBER + 1},kitchen,temperature,1e+22,°C",
    ]


def test_numbers_read_back_bit_for_bit(engine: Engine) -> None:
    rng = np.random.default_rng(1)
    values = [*AWKWARD, *rng.standard_normal(2_000).tolist(), *(rng.random(2_000) * 1e-300).tolist()]
    values = [value for value in values if value != 0.0]
    series = store(engine, [(NOON + n, value) for n, value in enumerate(values)])
    whole = (NOON, NOON + len(values))
    for layout, column in (("long", "value"), ("wide", "kitchen temperature (°C)")):
        text = export(engine, "csv", [series], whole, layout=layout)  # type: ignore[arg-type]
        read_back = pd.read_csv(io.BytesIO(text))
        assert bits(read_back[column].tolist()) == bits(values)
        assert read_back["ts"].tolist() == list(range(NOON, NOON + len(values)))
        columns = pq.read_table(io.BytesIO(export(engine, "parquet", [series], whole, layout=layout)))  # type: ignore[arg-type]
        assert bits(columns[column].to_pylist()) == bits(values)
    [rows] = sheets(export(engine, "xlsx", [series], whole)).values()
    assert bits([float(row["E"]) for row in rows[1:]]) == bits(values)


@pytest.mark.parametrize(
    "metric",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "=cmd|' /C calc'!A0", 'a "quoted", one', "a,b", "<&>", "\U0001f600", "%"],
)
def test_no_text_becomes_a_formula(engine: Engine, metric: str) -> None:
    series = store(engine, [(NOON, 1.0)], metric=metric, unit="=2")
    head, row = table(export(engine, "csv", [series]))
    assert len(row) == len(head)
    risky = metric.startswith(("=", "+", "-", "@", "\t"))
    assert (row[3], row[5]) == (f"'{metric}" if risky else metric, "'=2")
    [rows] = sheets(export(engine, "xlsx", [series])).values()
    assert (rows[1]["D"], rows[1]["F"]) == (metric, "=2")
    assert b"<f>" not in export(engine, "xlsx", [series])
    assert pq.read_table(io.BytesIO(export(engine, "parquet", [series])))["metric"].to_pylist() == [metric]
    wide = table(export(engine, "csv", [series], layout="wide"))[0]
    assert wide[2] == f"kitchen {metric} (=2)"


def test_several_series_one_below_the_other(engine: Engine) -> None:
    first = store(engine, [(NOON + n, float(n)) for n in range(3)])
    second = store(engine, [(NOON + 1, 50.0)], "cellar", "humidity", "%")
    nothing = store(engine, [], "attic", "humidity", "%")
    rows = table(export(engine, "csv", [second, nothing, first]))[1:]
    assert [row[2] for row in rows] == ["cellar", "kitchen", "kitchen", "kitchen"]


def test_several_series_side_by_side(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "_READINGS_A_BLOCK", 40)
    rows = [(NOON + n * MINUTE_MS, float(n)) for n in range(300)]
    first = store(engine, rows)
    second = store(engine, [(ts, -value) for ts, value in rows[::3]], "cellar", "humidity", "")
    span = (NOON + 10, NOON + 300 * MINUTE_MS)
    text = export(engine, "csv", [first, second], span, layout="wide")
    found = pd.read_csv(io.BytesIO(text))
    assert found.columns.tolist() == ["time", "ts", "kitchen temperature (°C)", "cellar humidity"]
    assert found["ts"].tolist() == [ts for ts, _ in rows[1:]]
    assert found["kitchen temperature (°C)"].tolist() == [value for _, value in rows[1:]]
    assert found["cellar humidity"].dropna().tolist() == [-value for _, value in rows[3::3]]
    assert found["cellar humidity"].isna().sum() == 200
    columns = pq.read_table(io.BytesIO(export(engine, "parquet", [first, second], span, layout="wide")))
    assert columns["cellar humidity"].null_count == 200
    [sheet] = sheets(export(engine, "xlsx", [first, second], span, layout="wide")).values()
    assert sum("D" not in row for row in sheet[1:]) == 200


@pytest.mark.parametrize("resolution", ["minutes", "hours", "days"])
@pytest.mark.parametrize("zone", [UTC, KATHMANDU], ids=str)
def test_every_resolution_says_what_a_range_says(engine: Engine, resolution: Resolution, zone: tzinfo) -> None:
    series = store(engine, [(NOON + n * 50_000, float(n % 11)) for n in range(3_000)])
    span = (NOON + 7, NOON + 30 * HOUR_MS + 7)
    found = pd.read_csv(io.BytesIO(export(engine, "csv", [series], span, resolution, zone)))
    assert found.columns.tolist() == ["time", "ts", "device", "metric", "n", "mean", "min", "max", "unit"]
    with snapshot(engine) as connection:
        expected = read(connection, series, *span, 1, resolution, zone).frame
    names = ["ts", "n", "mean", "min", "max"]
    pd.testing.assert_frame_equal(found[names], expected[names], check_exact=False, check_dtype=False)
    wide = pd.read_csv(io.BytesIO(export(engine, "csv", [series], span, resolution, zone, "wide")))
    assert wide["ts"].tolist() == expected["ts"].tolist()
    np.testing.assert_allclose(wide["kitchen temperature (°C)"], expected["mean"])


def test_parquet_knows_the_zone(engine: Engine) -> None:
    series = store(engine, [(OCTOBER, 1.0)])
    data = export(engine, "parquet", [series], (OCTOBER, OCTOBER + 1))
    frame = pd.read_parquet(io.BytesIO(data))
    assert frame.columns.tolist() == ["time", "ts", "device", "metric", "value", "unit"]
    assert str(frame["time"].dtype) == "datetime64[ms, Europe/Berlin]"
    assert frame["time"].iloc[0] == pd.Timestamp(OCTOBER, unit="ms", tz="UTC")


def test_nothing_at_all_is_a_file_with_a_head(engine: Engine) -> None:
    nothing = store(engine, [])
    head = "time,ts,device,metric,value,unit"
    assert export(engine, "csv", [nothing]).decode() == f"{head}\n"
    assert ",".join(pq.read_schema(io.BytesIO(export(engine, "parquet", [nothing]))).names) == head
    [rows] = sheets(export(engine, "xlsx", [nothing])).values()
    assert list(rows[0].values()) == ["time (Europe/Berlin)", *head.split(",")[1:]]
    assert export(engine, "csv", []).decode() == f"{head}\n"
    assert export(engine, "csv", [nothing], layout="wide").decode() == "time,ts,kitchen temperature (°C)\n"


def test_a_full_sheet_says_so_and_goes_on_in_the_next(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spreadsheet, "ROWS", 12)
    series = store(engine, [(NOON + n, float(n)) for n in range(25)])
    found = sheets(export(engine, "xlsx", [series]))
    assert list(found) == ["readings 1", "readings 2", "readings 3"]
    assert [len(rows) for rows in found.values()] == [12, 12, 6]
    assert found["readings 1"][-1] == {"A": "This sheet is full: the table goes on in the sheet readings 2."}
    values = [row["E"] for rows in found.values() for row in rows[1:] if "E" in row]
    assert values == [float(n) for n in range(25)]
    assert all(rows[0]["E"] == "value" for rows in found.values())


def test_a_sheet_that_is_just_full_needs_no_other(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spreadsheet, "ROWS", 12)
    series = store(engine, [(NOON + n, float(n)) for n in range(10)])
    assert list(sheets(export(engine, "xlsx", [series]))) == ["readings 1"]


def test_a_wide_table_has_its_limit(engine: Engine) -> None:
    series = store(engine, [])
    with pytest.raises(BadRange) as refused:
        export(engine, "csv", [series] * 501, layout="wide")
    assert refused.value.field == "form"
    with pytest.raises(BadRange):
        export(engine, "csv", [series], (NOON, NOON))


@pytest.mark.parametrize("form", ["csv", "parquet", "xlsx"])
def test_the_estimate_is_no_less_than_the_file(engine: Engine, form: Format) -> None:
    rng = np.random.default_rng(2)
    series = store(engine, [(NOON + n * 1_000, float(value)) for n, value in enumerate(rng.random(5_000))])
    data = export(engine, form, [series], (NOON, NOON + 5_000_000))
    with snapshot(engine) as connection:
        plan = Plan([series], NOON, NOON + 5_000_000, "raw", BERLIN, "long")
        likely = exports.estimate(connection, plan, form)
    assert len(data) <= likely <= 4 * len(data) + 10_000


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """Twenty blocks of ten thousand rows, and less than what three of them take."""
    plan = Plan([Series(1, "a", "b", None, None)], 0, 10, "raw", UTC, "long")
    ts = np.arange(10_000)
    block = exports.Block(ts, ("a", "b", ts / 7, ""))
    for form in ("csv", "parquet", "xlsx"):
        with (tmp_path / form).open("wb") as out:
            write(form, out, plan, [block])  # what is loaded once
            tracemalloc.start()
            write(form, out, plan, (block for _ in range(20)))
            _, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        assert most < 6_000_000
