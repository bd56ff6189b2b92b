"""Decodes and stores dead letters again, after what kept them from being stored was mended.

A letter leaves in the transaction that stores its message, so that a crash at any moment neither loses nor doubles it.
What is still not understood stays, with its new reason.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from msgspec import structs

from db import account, dead_letters, devices
from db.bridges import BridgeReport
from db.dead_letters import DeadLetter, StoredDeadLetter
from db.engine import Connection, DatabaseAway, Engine, reading, writing
from db.readings import Sample
from ingest.dialects import native
from ingest.dialects.decoded import Decoded
from ingest.message import Message
from ingest.outcome import Outcome
from ingest.outdated import without_outdated
from ingest.placement import Placed
from ingest.snapshot import Board, Change, apply
from ingest.vitals import now_ms
from ingest.writer import Writer
from settings import Settings

log = logging.getLogger(__name__)

#: How often a letter is tried where the database is well and somebody else's transaction is in the way.
_TRIES: Final = 3


class LetterGone(DatabaseAway):
    """Somebody replayed or deleted the letter while we stored its message; nothing of that was committed."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of a letter. `problem` is why it stays, as a sentence."""

    id: int
    topic: str
    result: Literal["stored", "duplicate", "stays", "gone"]
    problem: str = ""


class Replay:
    """Replays letters as a worker of its own, beside the one that receives. One thread uses it.

    `show` is told what changed with each message that was stored.
    """

    def __init__(
        self,
        engine: Engine,
        worker: str,
        root: str,
        largest_payload: int,
        show: Callable[[tuple[Change, ...]], None] | None = None,
        raw_days: int | None = None,
    ) -> None:
        self._show, self._raw_days = show, raw_days
        self._engine = engine
        self._worker, self._token = worker, secrets.token_hex(8)
        self._root, self._largest_payload = root, largest_payload
        self._writer = Writer(engine, worker, self._token, keep_letters=self._settle)
        self._in_hand: StoredDeadLetter | None = None
        self._stays = ""

    def run(self, ids: Sequence[int]) -> Iterator[Replayed]:
        """Replay the letters with these ids, each in a transaction of its own.

        Raises:
            DatabaseAway: If the database goes away. What was replayed is stored, the rest is as it was.
        """
        self._writer.load()
        for letter_id in ids:
            with reading(self._engine) as connection:
                found = dead_letters.some(connection, [letter_id])
                decoded = decode(found[0].letter, self._root, self._largest_payload, self._raw_days) if found else ""
                problem = decoded if isinstance(decoded, str) else _outdated(connection, decoded)
            if not found:  # it had to leave for a newer one, or somebody deleted it
                yield Replayed(letter_id, "", "gone")
            elif isinstance(decoded, str) or problem:
                yield Replayed(letter_id, found[0].letter.topic, "stays", problem)
            else:
                yield self._store(found[0], decoded)

    def fold(self) -> None:
        """Add up what this replay counted. Raises DatabaseAway."""
        left = True
        while left:
            with writing(self._engine) as connection:
                left = account.fold(connection, self._worker, self._token) > 0

    def _store(self, stored: StoredDeadLetter, decoded: Decoded) -> Replayed:
        self._in_hand, self._stays = stored, ""
        topic = stored.letter.topic
        try:
            outcome = self._until_stored(decoded)
        except LetterGone:
            self._writer.load()  # it holds the message as one to try again
            return Replayed(stored.id, topic, "gone")
        if self._show is not None and outcome.changes:
            self._show(outcome.changes)
        if self._stays:
            return Replayed(stored.id, topic, "stays", self._stays)
        return Replayed(stored.id, topic, "stored" if outcome.tally.stored else "duplicate")

    def _until_stored(self, decoded: Decoded) -> Outcome:
        for _ in range(_TRIES - 1):
            try:
                return self._writer.store([decoded], now_ms())
            except LetterGone:
                raise
            except DatabaseAway as away:
                log.debug("Dead letter on %s is tried again: %s", decoded.message.topic, away)
        return self._writer.store([decoded], now_ms())

    def _settle(self, connection: Connection, piece: Sequence[Decoded], placed: Placed) -> None:
        """In the transaction that stores the message: its letter leaves, or stays with what is still wrong."""
        assert self._in_hand is not None  # noqa: S101 - the writer stores what `_store` gave it
        letter, letter_id = self._in_hand.letter, self._in_hand.id
        if placed.dead_letters:
            letter = placed.dead_letters[0]
            self._stays = letter.reason
        elif piece[0].problems:  # a part that is no reading: it costs none, and still nobody has understood it
            self._stays = "; ".join(piece[0].problems)
            letter = replace(letter, reason=self._stays, stored=0)
        if self._stays:
            there = dead_letters.renew(connection, letter_id, letter)
        else:
            there = dead_letters.remove(connection, [letter_id]) == 1
        if not there:
            raise LetterGone(f"dead letter {letter_id} is gone")


def on_board(settings: Settings, engine: Engine, board: Board) -> Replay:
    """A replay in a server's process, whose readings show on Live as any others."""

    def show(changes: tuple[Change, ...]) -> None:
        board.update(lambda current: apply(current, changes, every_reading=False))

    name = f"{settings.mqtt_client_id}-replay"
    return Replay(engine, name, settings.topic_root, settings.max_message_bytes, show, settings.retention_raw_days)


def decode(letter: DeadLetter, root: str, largest_payload: int, raw_days: int | None = None) -> Decoded | str:
    """What the dialect makes of a letter now, ready to be stored; or why it can't be replayed, as a sentence.

    `raw_days`: RETENTION_RAW_DAYS.
    """
    if not letter.whole:
        return (
            f"only the first {len(letter.payload)} of its {letter.size} bytes were kept, so it can't be replayed; "
            "the device would have to send it again in smaller parts"
        )
    message = Message(letter.topic, letter.payload, letter.size, letter.received_at, letter.retained)
    try:
        decoded = native.decode(message, root, largest_payload)
    except Exception as error:
        log.exception("Dead letter on %s can't be decoded; it stays.", letter.topic)
        return f"it can't be decoded: {type(error).__name__}"
    if decoded is None:
        return "it is a command, which is not stored"
    decoded = without_outdated(decoded, raw_days, now_ms())
    if letter.duplicate and not letter.stored and any(sample.ts is None for sample in decoded.samples):
        return (
            "some of its readings were known when it came, and which of those without a time are new can't be told; it "
            "most likely repeats a message that left a letter of its own, so look at both before you delete it"
        )
    return structs.replace(decoded, samples=tuple(_identified(sample, letter) for sample in decoded.samples))


def _identified(sample: Sample, letter: DeadLetter) -> Sample:
    """The sample so that what was stored of it at first is recognised, and its device's present start is left alone.

    Without `boot` a number says nothing any more: which start it belongs to could be told only when it came. A message
    without a time of its own, of which a part was stored, was stored at our time: there it is looked for.
    """
    if sample.boot is None:
        sample = structs.replace(sample, seq=None)
    if sample.ts is None and letter.stored:
        sample = structs.replace(sample, ts=letter.received_at - sample.age, age=0)
    return sample


def _outdated(connection: Connection, decoded: Decoded) -> str:
    """Why a status, about or state is not to be replayed, empty if it may be: it is no news once its device went on."""
    if isinstance(decoded.report, BridgeReport):
        return "a bridge says anew with each connection what it does, so this is outdated; it can be deleted"
    device = decoded.reported_by
    last_seen = None if device is None else devices.last_seen(connection, device)
    if last_seen is None or last_seen <= decoded.message.received_at:
        return ""
    return f"{device} has sent newer messages since, so what it said then is outdated; it can be deleted"
