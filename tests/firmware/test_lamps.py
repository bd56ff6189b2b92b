from __future__ import annotations

from pathlib import Path

import pytest

from tests.parts.micropython import run


@pytest.mark.parametrize(
    ("levels", "presses"),
    [
        ("1111", 0),
        ("110011", 1),
        ("1100000000011", 1),
        ("1101011", 0),
        ("110100011", 1),
        ("1100101100", 2),
        ("110011001100", 3),
        ("0000", 1),
    ],
)
def test_each_press_counts_once_however_it_bounces(tmp_path: Path, levels: str, presses: int) -> None:
    told = run("button.py", levels, outside=tmp_path)
    assert told[-1] == str(presses)


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_the_status_led_flashes_the_number_of_what_is_wrong(tmp_path: Path, number: int) -> None:
    lines = [line for line in run("lamp.py", str(number), outside=tmp_path) if line.startswith(("lit", "dark"))]
    pattern = ["lit 150", "dark 150"] * (number - 1) + ["lit 150", "dark 1650"]
    # Before the first pattern it is dark; the last one may be cut off by the end.
    assert lines[1 : 1 + 2 * len(pattern)] == pattern * 2


def test_the_status_led_is_dark_while_all_is_well(tmp_path: Path) -> None:
    assert not [line for line in run("lamp.py", "0", outside=tmp_path) if line.startswith("lit")]
