"""What numbers, ages and times look like: one list for the Python of the pages and the JavaScript of the cards."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any, Final

_CASES: Final[dict[str, list[Any]]] = json.loads(
    (Path(__file__).parent / "format_cases.json").read_text(encoding="utf-8")
)


def cases(name: str) -> list[Any]:
    """The cases of one function."""
    return _CASES[name]


def ms(iso: str) -> int:
    """An ISO time as UTC ms."""
    return round(datetime.fromisoformat(iso).timestamp() * 1000)
