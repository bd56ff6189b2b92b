"""Lines of text out of columns of numbers, many at once, by Arrow's own loops and outside of Python's lock. Pure."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from db.packing import Floats, Ints


def array(column: Ints | Floats) -> Any:
    """A column as Arrow has it; a nan is null."""
    return pa.array(column, mask=np.isnan(column)) if column.dtype.kind == "f" else pa.array(column)


def numbers(column: Ints | Floats) -> Any:
    """Each number as text of as many digits as it takes to read the same one back; a nan is null."""
    return pc.cast(array(column), pa.string())


def cells(*parts: Any) -> Any:
    """One text a row out of parts, which are texts or columns of text; null where one of them is."""
    return pc.binary_join_element_wise(*parts, "")


def lines(*parts: Any) -> memoryview:
    """The rows one behind the other, made of parts as `cells` takes them; null is nothing."""
    joined = pc.binary_join_element_wise(*parts, "", null_handling="replace", null_replacement="")
    _, ends, data = joined.buffers()
    places = np.frombuffer(ends, np.int32)[joined.offset : joined.offset + len(joined) + 1]
    return memoryview(data)[int(places[0]) : int(places[-1])]
