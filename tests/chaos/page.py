"""docs/deploy.md as it is run: its blocks in their order, each with the chapter it stands in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).parents[2] / "docs" / "deploy.md"
_PIECE: Final = re.compile(
    r"^## (?P<chapter>[^\n]+)$|^(?:<!-- (?P<mark>[^\n]+?) -->\n)?```sh\n(?P<script>.*?)^```$", re.MULTILINE | re.DOTALL
)
_INTERNET: Final = "internet"
_NOT_RUN: Final = "not run: "


@dataclass(frozen=True, slots=True)
class Block:
    """A block of commands. `not_run`: why the test doesn't type it, as the page says; None: it does."""

    chapter: str
    script: str
    internet: bool = False
    not_run: str | None = None


def blocks(page: str) -> list[Block]:
    """The blocks of the page. Raises ValueError for a mark that means nothing."""
    found: list[Block] = []
    chapter = ""
    for piece in _PIECE.finditer(page):
        if piece["chapter"] is not None:
            chapter = piece["chapter"]
            continue
        mark = piece["mark"]
        if mark not in (None, _INTERNET) and not mark.startswith(_NOT_RUN):
            raise ValueError(f"{mark!r} before a block of chapter {chapter!r}: allowed: {_INTERNET}, {_NOT_RUN}REASON")
        reason = mark.removeprefix(_NOT_RUN) if mark is not None and mark != _INTERNET else None
        found.append(Block(chapter, piece["script"], mark == _INTERNET, reason))
    return found


def exposures(page: str) -> dict[str, float]:
    """What the page says of each unit's sandbox, as `systemd-analyze security` counts."""
    table = page.split("<!-- exposure -->")[1].split("\n\n", maxsplit=1)[0]
    return {unit: float(level) for unit, level in re.findall(r"^\| `(\S+)` \| ([\d.]+) \|$", table, re.MULTILINE)}
