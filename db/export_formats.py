"""An export's rows as CSV, Parquet or XLSX, written to a file as they come."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import IO, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from db import clock_text
from db.arrow_text import array, lines, numbers
from db.exports import Block, Column, Format, Plan
from db.spreadsheet import Spreadsheet

#: How a cell begins that a spreadsheet would run.
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
#: Rows that stand together in a Parquet file.
_ROW_GROUP: Final = 100_000


def write(form: Format, out: IO[bytes], plan: Plan, blocks: Iterable[Block]) -> None:
    """Write a whole file. `out` need not be able to seek."""
    {"csv": _csv, "parquet": _parquet, "xlsx": _xlsx}[form](out, plan, blocks)


def defused(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text


def _csv(out: IO[bytes], plan: Plan, blocks: Iterable[Block]) -> None:
    """Lines end in a line feed. A number has as many digits as it takes to read the same one back."""
    out.write((",".join(_cell(name) for name in plan.names) + "\n").encode())
    for block in blocks:
        parts: list[Any] = [clock_text.iso(block.ts, plan.zone), ",", numbers(block.ts), ","]
        for column in block.columns:
            if isinstance(column, str):
                parts[-1] += f"{_cell(column)},"  # texts that stand together are one part: each costs time a row
            else:
                parts += [numbers(column), ","]
        parts[-1] = parts[-1][:-1] + "\n"
        out.write(lines(*parts))


def _cell(text: str) -> str:
    """A text as it stands in a CSV line."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow([defused(text), ""])  # one empty cell alone would be quoted
    return line.getvalue()[:-1]


def _parquet(out: IO[bytes], plan: Plan, blocks: Iterable[Block]) -> None:
    """`time` knows its zone, an empty cell is null."""
    key = getattr(plan.zone, "key", "UTC")
    kinds: dict[str, Any] = {"device": pa.string(), "metric": pa.string(), "unit": pa.string(), "n": pa.int64()}
    fields = [("time", pa.timestamp("ms", key)), ("ts", pa.int64())]
    fields += [
        (name, kinds.get(name, pa.float64()) if plan.form == "long" else pa.float64()) for name in plan.names[2:]
    ]
    schema = pa.schema(fields)
    waiting: list[Any] = []
    with pq.ParquetWriter(out, schema, compression="zstd", use_dictionary=True) as writer:
        for block in blocks:
            columns = [_array(column, len(block.ts)) for column in (block.ts, *block.columns)]
            time = columns[0].cast(pa.timestamp("ms", key))
            waiting.append(pa.Table.from_arrays([time, *columns], schema=schema))
            if sum(len(table) for table in waiting) >= _ROW_GROUP:
                writer.write_table(pa.concat_tables(waiting))
                waiting.clear()
        if waiting:
            writer.write_table(pa.concat_tables(waiting))


def _array(column: Column, rows: int) -> Any:
    if isinstance(column, str):
        return pa.repeat(pa.scalar(column), rows)
    return array(column)


def _xlsx(out: IO[bytes], plan: Plan, blocks: Iterable[Block]) -> None:
    """Times are those of the zone's clocks, which the head names, because a spreadsheet knows no zones."""
    key = getattr(plan.zone, "key", "UTC")
    with Spreadsheet(out, (f"time ({key})", *plan.names[1:])) as sheet:
        for block in blocks:
            sheet.write(clock_text.serials(block.ts, plan.zone), block.ts, block.columns)
