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
