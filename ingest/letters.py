"""Dead letters for a terminal: which are meant, how they read, and how they are exported."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TextIO

from db import dead_letters
from db.dead_letters import StoredDeadLetter
from db.engine import Engine, reading, writing
from db.statements import in_chunks

#: Letters that are in memory at once: each holds at most 64 KiB.
_AT_ONCE: Final = 200
_BACK: Final = re.compile(r"-(\d{1,6})([smhdw])")
_MILLISECONDS: Final = re.compile(r"\d{1,16}")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_before(text: str, now: int) -> int:
    """UTC ms of an ISO 8601 time (UTC where it names no zone), of UTC ms, or of one back from `now` such as `-7d`.

    Raises:
        ValueError: With what is allowed.
    """
    if back := _BACK.fullmatch(text):
        return now - timedelta(**{_UNITS[back[2]]: int(back[1])}) // timedelta(milliseconds=1)
    if _MILLISECONDS.fullmatch(text):
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is no time; allowed: 2026-11-23T10:00:00Z, UTC milliseconds, or back from now such as -7d"
        ) from None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def read(engine: Engine, ids: Sequence[int]) -> Iterator[StoredDeadLetter]:
    """The letters with these ids, oldest first, a few at a time. Raises DatabaseAway."""
    for chunk in in_chunks(ids, _AT_ONCE):
        with reading(engine) as connection:
            found = dead_letters.some(connection, chunk)
        yield from found


def delete(engine: Engine, ids: Sequence[int]) -> int:
    """Delete them. Returns how many were there. Raises DatabaseAway."""
    with writing(engine) as connection:
        return dead_letters.remove(connection, ids)


def export(engine: Engine, ids: Sequence[int], file: TextIO) -> int:
    """Write them as JSON lines: the payload in base64, and as `text` where it is UTF-8. Returns how many."""
    written = 0
    for stored in read(engine, ids):
        file.write(json.dumps(_document(stored), ensure_ascii=False) + "\n")
        written += 1
    return written


def _document(stored: StoredDeadLetter) -> dict[str, Any]:
    letter = stored.letter
    document = {
        "id": stored.id,
        "received_at": letter.received_at,
        "topic": letter.topic,
        "reason": letter.reason,
        "size": letter.size,
        "whole": letter.whole,
        "retained": letter.retained,
        "stored": letter.stored,
        "duplicate": letter.duplicate,
        "payload": base64.b64encode(letter.payload).decode(),
    }
    try:
        document["text"] = letter.payload.decode()
    except UnicodeDecodeError:
        return document
    return document


def line(stored: StoredDeadLetter) -> str:
    """One letter on one line: id, time, topic, size, reason."""
    letter = stored.letter
    cut = "" if letter.whole else f", the first {len(letter.payload)} kept"
    return (
        f"{stored.id}  {clock(letter.received_at)}  {shown(letter.topic)}  {letter.size} B{cut}  {shown(letter.reason)}"
    )


def shown(text: str, limit: int = 200) -> str:
    """The text with what a terminal might act upon written as its code."""
    cut = "\N{HORIZONTAL ELLIPSIS}" if len(text) > limit else ""
    return "".join(one if one.isprintable() else f"\\x{ord(one):02x}" for one in text[:limit]) + cut


def clock(ms: int) -> str:
    """UTC ms as ISO 8601 to the second; a year that Python can't show as the bare number."""
    try:
        return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (ValueError, OverflowError, OSError):
        return f"{ms} ms"
