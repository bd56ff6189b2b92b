"""Dead letters for a terminal: how they read, and how they are exported."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from typing import Any, Final, TextIO

from db import dead_letters
from db.dead_letters import StoredDeadLetter
from db.engine import Engine, reading, writing
from db.statements import in_chunks
from db.terminal import clock, shown

#: Letters that are in memory at once: each holds at most 64 KiB.
_AT_ONCE: Final = 200


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
