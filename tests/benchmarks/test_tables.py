from __future__ import annotations

import pytest

from benchmarks import document
from benchmarks.__main__ import NAMES
from benchmarks.tables import Table, percentile, spread

TABLE = Table("Rates", ("who", "times"), (("one | two", "2.0"), ("three", "12.5")), ("A note.",))


def test_a_table_for_a_terminal_is_aligned() -> None:
    assert TABLE.terminal().splitlines() == [
        "Rates",
        "=====",
        "who        times",
        "----------------",
        "one | two    2.0",
        "three       12.5",
        "A note.",
    ]


def test_a_table_for_the_document_keeps_its_cells_apart() -> None:
    assert TABLE.markdown().splitlines() == [
        "### Rates",
        "",
        "| who | times |",
        "|---|---:|",
        "| one \\| two | 2.0 |",
        "| three | 12.5 |",
        "",
        "A note.",
    ]


@pytest.mark.parametrize(("percent", "value"), [(0, 1.0), (50, 2.0), (75, 3.0), (76, 4.0), (99.9, 4.0), (100, 4.0)])
def test_percentiles(percent: float, value: float) -> None:
    assert percentile([4.0, 1.0, 3.0, 2.0], percent) == value


def test_a_spread_names_median_and_ends() -> None:
    assert spread([2.5]) == "2.50"
    assert spread([3.0, 1.0, 2.0], 1) == "2.0 (1.0-3.0)"


def test_results_replace_results_and_prose_stays() -> None:
    before = "A\n<!-- results of x -->\nold\n<!-- end of x -->\nB\n"
    after = document.placed(before, "x", "new")
    assert after == "A\n<!-- results of x -->\n\nnew\n\n<!-- end of x -->\nB\n"
    assert document.placed(after, "x", "new") == after


def test_results_without_a_place_are_told() -> None:
    with pytest.raises(document.NoPlaceError, match="results of y"):
        document.placed("A\n", "y", "new")


def test_the_document_has_a_place_for_each_benchmark() -> None:
    text = document.DOCUMENT.read_text(encoding="utf-8")
    for name in NAMES:
        document.placed(text, name, "")
