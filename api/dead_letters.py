"""`/dead_letters/`: messages that could not be stored: look, delete, store again once what was wrong is mended."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from api.auth import Admin, Caller
from api.current import TheRuntime
from api.problems import AWAY, wrong_field
from api.times import ALLOWED, parse_time
from db import audit, dead_letters
from db.audit import Entry
from db.dead_letters import Selection, StoredDeadLetter
from db.engine import DatabaseError, reading, writing
from ingest.replay import Replayed, on_board
from ingest.vitals import now_ms
from runtime import Runtime

router = APIRouter(tags=["dead letters"])

#: Letters in one answer, each of which holds at most 64 KiB.
_AT_ONCE: Final = 200
#: Letters in one replay, each of which is a transaction.
_REPLAYED_AT_ONCE: Final = 1_000
_IDS_AT_ONCE: Final = 10_000
_DETAIL_LENGTH: Final = 1_000
_LARGEST: Final = 2**63 - 1
_DELETE: Final = "dead_letters.delete"
_REPLAY: Final = "dead_letters.replay"

Number = Annotated[int, Field(ge=1, le=_LARGEST)]


class Letter(BaseModel):
    """A message that was rejected, or a part of one. `received_at` is UTC ms, `size` bytes of the whole payload.

    `payload` is base64, its first 64 KiB; `text` the same as text where it is UTF-8. `stored` and `duplicate`: readings
    of the message that were stored, or known, all the same. `whole` false: too large to be replayed.
    """

    id: int
    received_at: int
    topic: str
    reason: str
    size: int
    whole: bool
    retained: bool
    stored: int
    duplicate: int
    payload: str
    text: str | None


class Letters(BaseModel):
    """Some letters, newest first. `next`: ask with `before` set to it for older ones; null if there are none."""

    letters: list[Letter]
    next: int | None


class Which(BaseModel):
    """Which letters are meant: all of the given conditions hold. At least one is to be given, or `all`."""

    ids: list[Number] = Field(default=[], max_length=_IDS_AT_ONCE)
    topic: str | None = Field(default=None, max_length=200, description="With `*` for any characters: iot/kitchen/*")
    before: str | None = Field(default=None, max_length=100, description=f"Received earlier; {ALLOWED}")
    all: bool = Field(default=False, description="Every letter there is")

    def selection(self) -> Selection:
        """As `db.dead_letters` takes it. Raises ProblemError 400 where nothing or what can't be understood is given."""
        if not (self.ids or self.topic or self.before or self.all):
            raise wrong_field("ids", "is empty; give ids, topic, before, or all=true")
        try:
            before = None if not self.before else parse_time(self.before, now_ms(), UTC)
        except ValueError as error:
            raise wrong_field("before", str(error)) from error
        return Selection(frozenset(self.ids), self.topic or None, before)

    def __str__(self) -> str:
        """For the audit log."""
        shown = ", ".join(str(one) for one in self.ids[:20]) + (", …" if len(self.ids) > 20 else "")
        parts = [f"ids {shown}" if self.ids else "", f"topic {self.topic}" if self.topic else ""]
        parts += [f"before {self.before}" if self.before else "", "all" if self.all else ""]
        return "; ".join(part for part in parts if part)


class Deleted(BaseModel):
    """How many letters are gone."""

    deleted: int


class OneReplayed(BaseModel):
    """What became of a letter that is still there, and why it stays."""

    id: int
    topic: str
    problem: str


class ReplayResult(BaseModel):
    """How many messages were stored now, were known already, or stay; `gone` were deleted meanwhile.

    `left`: so many more are meant than were looked at this time. Ask again, with what stays left out.
    """

    stored: int
    duplicate: int
    stays: int
    gone: int
    left: int
    staying: list[OneReplayed]


@router.get("/dead_letters/", summary="Messages that could not be stored", responses=AWAY)
def list_letters(
    runtime: TheRuntime,
    _caller: Admin,
    limit: Annotated[int, Query(ge=1, le=_AT_ONCE)] = 50,
    before: Annotated[int | None, Query(ge=1, le=_LARGEST, description="The id from which on older ones are")] = None,
) -> Letters:
    """Newest first, with their payloads and the reason."""
    with reading(runtime.engine) as connection:
        found = dead_letters.newest(connection, limit + 1, before)
    shown = found[:limit]
    return Letters(letters=[_shown(one) for one in shown], next=shown[-1].id if len(found) > limit else None)


@router.delete(
    "/dead_letters/",
    summary="Delete dead letters",
    responses=AWAY | {400: {"description": "Nothing, or a time that can't be used, was given"}},
)
def delete_letters(runtime: TheRuntime, caller: Admin, which: Annotated[Which, Query()]) -> Deleted:
    """What they held is gone then. It stands in the audit log."""
    selection = which.selection()
    with writing(runtime.engine) as connection:
        ids = dead_letters.select_ids(connection, selection)
        deleted = dead_letters.remove(connection, ids)
        origin = caller.origin
        entry = Entry(now_ms(), caller.name, origin.address, _DELETE, _letters(deleted), "ok", str(which))
        audit.record(connection, runtime.doors.key("audit"), entry)
    return Deleted(deleted=deleted)


@router.post(
    "/dead_letters/replay/",
    summary="Store dead letters again",
    responses=AWAY | {400: {"description": "Nothing, or a time that can't be used, was given"}},
)
def replay_letters(runtime: TheRuntime, caller: Admin, which: Which) -> ReplayResult:
    """Decode and store them, oldest first, at most 1,000 in one go. What is still not understood stays.

    What was replayed when the database went away is stored, the rest is as it was. It stands in the audit log.
    """
    selection = which.selection()
    with reading(runtime.engine) as connection:
        ids = dead_letters.select_ids(connection, selection)
    results: list[Replayed] = []
    try:
        run = on_board(runtime.settings, runtime.engine, runtime.board)
        results.extend(run.run(ids[:_REPLAYED_AT_ONCE]))  # what was replayed before an error is in it
        run.fold()
    except DatabaseError as error:
        with suppress(DatabaseError):  # most likely nothing can be recorded either
            _record(runtime, caller, results, str(which), "failed", str(error))
        raise
    _record(runtime, caller, results, str(which))
    count = Counter(one.result for one in results)
    return ReplayResult(
        stored=count["stored"],
        duplicate=count["duplicate"],
        stays=count["stays"],
        gone=count["gone"],
        left=max(0, len(ids) - _REPLAYED_AT_ONCE),
        staying=[
            OneReplayed(id=one.id, topic=one.topic, problem=one.problem) for one in results if one.result == "stays"
        ],
    )


def _record(
    runtime: Runtime,
    caller: Caller,
    results: Sequence[Replayed],
    which: str,
    result: Literal["ok", "failed"] = "ok",
    problem: str = "",
) -> None:
    count = Counter(one.result for one in results)
    parts = (
        which,
        f"{count['stored']} stored, {count['duplicate']} known already, {count['stays']} stay",
        problem,
    )
    detail = "; ".join(part for part in parts if part)[:_DETAIL_LENGTH]
    runtime.doors.record(caller.actor(), _REPLAY, _letters(len(results)), result, detail)


def _letters(count: int) -> str:
    return f"{count} dead letter{'' if count == 1 else 's'}"


def _shown(stored: StoredDeadLetter) -> Letter:
    letter = stored.letter
    try:
        text = letter.payload.decode()
    except UnicodeDecodeError:
        text = None
    return Letter(
        id=stored.id,
        received_at=letter.received_at,
        topic=letter.topic,
        reason=letter.reason,
        size=letter.size,
        whole=letter.whole,
        retained=letter.retained,
        stored=letter.stored,
        duplicate=letter.duplicate,
        payload=b64encode(letter.payload).decode(),
        text=text,
    )
