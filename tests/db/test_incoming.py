"""What is made of a file with readings, and of one that is spoilt."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from db.incoming import DAY_MS, BadFile, Incoming
from db.incoming_files import read

NOW = 1_764_000_000_000
T = NOW - 10_000
HEADER = "time,ts,device,metric,value,unit"


def read_bytes(content: bytes, oldest: int | None = None) -> Incoming:
    return read(io.BytesIO(content), len(content), NOW, oldest, lambda _: None)


def rows(found: Incoming) -> list[tuple[str, str, int, float]]:
    return [
        (*found.names[place], int(ts), float(value))
        for place, ts, value in zip(found.series, found.ts, found.value, strict=True)
    ]


def words(found: Incoming) -> list[str]:
    return [str(problem) for problem in found.problems.kept]


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_file_as_it_is_exported(bom: bytes, end: str) -> None:
    lines = [
        HEADER,
        f"2025-11-24T16:59:50.001+01:00,{T + 1},kitchen,temperature,0.1,°C",
        f',{T},site1/kitchen,"a, ""b""",-5e-324,',
        "",
        "2025-11-24T15:59:50Z,,kitchen,temperature,-0.0,°C",
    ]
    found = read_bytes(bom + "".join(line + end for line in lines).encode())
    assert words(found) == []
    assert rows(found) == [
        ("kitchen", "temperature", T, 0.0),
        ("kitchen", "temperature", T + 1, 0.1),
        ("site1/kitchen", 'a, "b"', T, -5e-324),
    ]
    assert (found.units, found.line.tolist()) == (["°C", None], [5, 2, 3])


def test_a_file_with_a_column_a_series() -> None:
    text = f"ts,kitchen temperature (°C),kitchen the load,cellar x\n{T},1,,x\n{T + 1},,2,3\n"
    found = read_bytes(text.encode())
    assert words(found) == ["line 2, cellar x: 'x' is no number"]
    assert sorted(rows(found)) == [
        ("cellar", "x", T + 1, 3.0),
        ("kitchen", "temperature", T, 1.0),
        ("kitchen", "the load", T + 1, 2.0),
    ]
    assert found.units == ["°C", None, None]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "line 1: the file is empty"),
        ("ts,device,metric,value", "line 1: it does not end with a line feed"),
        ("ts;device;metric;value\n", "line 1: fields are separated by ';'"),
        ("ts,device,ts,metric,value\n", "line 1: the header names the column 'ts' twice"),
        ("ts,device,Metric,metric,value\n", "line 1: the header names the column 'metric' twice"),
        ("ts,device,,metric,value\n", "line 1: the header has no name for column 3"),
        ("when,device,metric,value\n", "line 1: the header names neither ts"),
        ("ts,device,value\n", "line 1: the header lacks the column metric"),
        ("ts,device,metric,value,colour\n", "line 1: the header has a column 'colour'"),
        ("ts,temperature\n", "line 1: the header has a column 'temperature'; a wide file's"),
        ("ts\n", "line 1: the header names no device"),
        ("ts,device,metric,value\r1,a,b,2\r", "line 1: it does not end with a line feed"),
        ("ts,device,metric,value\r1,a,b,2\n", "line 1: the header is no CSV"),
        ('ts,"device,metric,value\n', "line 1: the header is no CSV"),
        ("x" * 1_000_000, "line 1: it is longer than"),
        ("ts,device,metric,value\n" + "x" * 1_000_000, "line 2: it is longer than"),
    ],
)
def test_a_file_of_which_nothing_can_be_used(content: str, problem: str) -> None:
    with pytest.raises(BadFile) as caught:
        read_bytes(content.encode())
    assert str(caught.value).startswith(problem)


def test_utf_16_is_named() -> None:
    with pytest.raises(BadFile, match="line 1: the file is UTF-16; save it as CSV in UTF-8"):
        read_bytes(f"{HEADER}\n".encode("utf-16"))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (f"{T},kitchen,t,23,5", "line 2: 5 fields in place of 4; a decimal comma makes two of one number"),
        (f'{T},kitchen,t,"23,5"', "line 2, value: 23,5 has a decimal comma; write 23.5"),
        (f"{T},kitchen,t", "line 2: 3 fields in place of 4: a part of the line is missing"),
        (f"{T},kitchen,t,", "line 2, value: is empty; expected a number"),
        (f"{T},kitchen,t,nan", "line 2, value: 'nan' is no number"),
        (f"{T},kitchen,t,1e999", "line 2, value: 1e999 is too large for a float64"),
        (f"{T},kitchen,t,1_000", "line 2, value: '1_000' is no number"),
        (f"{T},kitchen,t,\u0663", "line 2, value: '\u0663' is no number"),
        (",kitchen,t,1", "line 2, ts: is empty"),
        (f"{T}.5,kitchen,t,1", f"line 2, ts: '{T}.5' is no whole number of milliseconds"),
        (f"{T // 1000},kitchen,t,1", f"line 2, ts: {T // 1000} is before 1973; times are in milliseconds"),
        (f"{NOW + DAY_MS + 1},kitchen,t,1", f"line 2, ts: {NOW + DAY_MS + 1} lies more than 24 hours in the future"),
        (f"{T},=cmd,t,1", "line 2, device: '=cmd' is no device's name"),
        (f"{T},a/b/c,t,1", "line 2, device: 'a/b/c' is no device's name"),
        (f"{T},kitchen,,1", "line 2, metric: '' is no metric's name"),
        (f"{T},kitchen,a\x00b,1", r"line 2, metric: 'a\x00b' is no metric's name"),
        (f"{T},kitchen,{'m' * 129},1", f"line 2, metric: '{'m' * 79} is no metric's name"),
        (f'{T},kitchen,t"x,1"', "line 2, value: '1\"' is no number"),
        (f'{T},kitchen,"t" x,1', "line 2: this is no CSV: ',' expected after '\"'"),
    ],
)
def test_a_line_that_can_not_be_used(line: str, problem: str) -> None:
    content = f"ts,device,metric,value\n{line}\n{T},kitchen,t,1\n"
    found = read_bytes(content.encode())
    assert words(found)[0].startswith(problem)
    assert (found.problems.count, rows(found)) == (1, [("kitchen", "t", T, 1.0)])


@pytest.mark.parametrize(
    ("time", "problem"),
    [
        ("2025-11-24 17:59:50", "line 2, time: 2025-11-24 17:59:50 names no zone"),
        ("yesterday", "line 2, time: 'yesterday' is no ISO 8601 time"),
        ("0001-01-01T00:00:00+14:00", "line 2, ts: -"),
    ],
)
def test_a_time_that_is_none(time: str, problem: str) -> None:
    found = read_bytes(f"time,device,metric,value\n{time},kitchen,t,1\n".encode())
    assert [one.startswith(problem) for one in words(found)] == [True]


def test_two_columns_of_time_that_disagree() -> None:
    found = read_bytes(f"time,ts,device,metric,value\n2025-11-24T18:59:50Z,{T},kitchen,t,1\n".encode())
    assert words(found) == [f"line 2, time: 2025-11-24T18:59:50Z is another moment than ts {T}"]


def test_what_is_not_utf_8_is_named_with_its_line() -> None:
    content = f"ts,device,metric,value,unit\n{T},kitchen,t,1,°C\n".encode() + f"{T},kitchen,u,1,°C\n".encode("latin-1")
    found = read_bytes(content)
    assert words(found) == [r"line 3, unit: '\udcb0C' is not UTF-8; save the whole file as UTF-8"]
    assert len(found) == 1


def test_half_a_line_at_the_end_is_never_taken() -> None:
    """One cut off between two digits looks whole."""
    for half in (f"{T}", f"{T},kitchen,t,2", f'{T},kitchen,"t'):
        found = read_bytes(f"ts,device,metric,value\n{T},kitchen,t,1\n{half}".encode())
        assert words(found)[0].startswith("line 3: the file ends in the middle of this line")
        assert (len(words(found)), len(found)) == (1, 1)


def test_a_quotation_mark_that_stays_open() -> None:
    found = read_bytes(f'ts,device,metric,value\n{T},"kitchen,t,1\n{T},kitchen",t,1\n'.encode())
    assert words(found)[0].startswith("line 2: a quotation mark is opened here")


def test_readings_that_stand_there_twice() -> None:
    lines = [f"{T},kitchen,t,{value}\n" for value in (1, 1.0, 2, "1e0")]
    found = read_bytes(("ts,device,metric,value\n" + "".join(lines)).encode())
    assert (rows(found), found.repeated) == ([("kitchen", "t", T, 1.0)], 2)
    assert words(found) == ["line 4, value: 2.0 at a time at which line 2 has 1.0: the first one counts"]


def test_two_units_for_one_series() -> None:
    lines = [f"{T + n},kitchen,t,1,{unit}\n" for n, unit in enumerate(("", "°C", "°F", ""))]
    found = read_bytes(("ts,device,metric,value,unit\n" + "".join(lines)).encode())
    assert words(found) == ["line 4, unit: kitchen t is in '°F' here, and in '°C' further up"]
    assert (found.units, len(found)) == (["°C"], 3)


def test_what_is_older_than_what_is_kept() -> None:
    found = read_bytes(f"ts,device,metric,value\n{T - 1},kitchen,t,1\n{T},kitchen,t,1\n".encode(), oldest=T)
    assert words(found) == [f"line 2, ts: {T - 1} is older than what RETENTION_RAW_DAYS keeps"]
    assert len(found) == 1


def read_parquet(columns: dict[str, object]) -> Incoming:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return read(out, len(out.getvalue()), NOW, None, lambda _: None)


def test_a_parquet_file_long_and_wide() -> None:
    values = pa.array([0.1, None, float("inf")])
    text = pa.array(["kitchen"] * 3).dictionary_encode()
    long = {"ts": [T, T + 1, T + 2], "device": text, "metric": ["t"] * 3, "value": values}
    found = read_parquet(long)
    assert words(found) == ["line 2, value: is empty; expected a number", "line 3, value: inf is no finite number"]
    assert rows(found) == [("kitchen", "t", T, 0.1)]
    times = pa.array([T * 1000, None, (T + 2) * 1000], pa.timestamp("us", "Europe/Berlin"))
    wide = read_parquet({"time": times, "kitchen t (°C)": [1.0, 2.0, None]})
    assert words(wide) == [
        "line 2, ts: is empty; expected UTC milliseconds, or a time with its zone in the column time"
    ]
    assert (rows(wide), wide.units) == ([("kitchen", "t", T, 1.0)], ["°C"])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"ts": [1.5]}, "the column ts is double; expected int64"),
        ({"value": ["1"]}, "the column value is string; expected numbers"),
        ({"device": [1]}, "the column device is int64; expected text"),
        ({"time": pa.array([T], pa.timestamp("ms"))}, r"the column time is timestamp\[ms\]; expected a timestamp with"),
        ({"colour": [1]}, "the file has a column 'colour'"),
    ],
)
def test_a_parquet_file_with_other_columns(change: dict[str, object], problem: str) -> None:
    columns: dict[str, object] = {"ts": [T], "device": ["kitchen"], "metric": ["t"], "value": [1.0]}
    with pytest.raises(BadFile, match=problem):
        read_parquet(columns | change)


def test_a_parquet_file_that_is_cut_off() -> None:
    out = io.BytesIO()
    pq.write_table(pa.table({"ts": [T]}), out)
    with pytest.raises(BadFile, match="this Parquet file can't be read"):
        read_bytes(out.getvalue()[:-10])


def test_a_text_that_an_export_defused_is_what_it_was() -> None:
    found = read_bytes(f"ts,device,metric,value,unit\n{T},kitchen,'=1+1,1,'-\n{T},kitchen,'a,1,'a\n".encode())
    assert (found.names, found.units) == ([("kitchen", "=1+1"), ("kitchen", "'a")], ["-", "'a"])
