"""Stores a batch in one transaction, and splits one that the database refuses until the culprit is alone."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import Final

from db import account, bridges, command_reports, dead_letters, devices, readings, receipts, resends
from db.account import BatchKey
from db.bridges import BridgeReport
from db.devices import About, ActuatorState, Status
from db.engine import Connection, DatabaseAway, Engine, RefusedRows, writing
from db.leases import LeaseLost
from db.resends import Gone
from ingest.dialects.decoded import Decoded
from ingest.outcome import Outcome, outcome_of
from ingest.placement import Boot, Ids, Known, Newest, Placed, place

log = logging.getLogger(__name__)

#: Ms after a taken one that are looked at for the next free one; twice as many with each further look.
_SEARCHED_MS: Final = 10_000
#: Other workers may take keys between our look and our insert; each round looks again.
_ROUNDS: Final = 8


class CrowdedKeys(DatabaseAway):
    """Keys went on being taken while we looked for free ones. Trying the batch again is right."""


@dataclass(slots=True)
class _Catalogue:
    """Numbers and states the writer remembers, so that it need not ask for them with every batch."""

    devices: dict[str, int] = field(default_factory=dict)
    #: By device id and metric.
    series: dict[int, Mapping[str, int]] = field(default_factory=dict)
    boots: dict[int, Boot] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Attempt:
    """A transaction whose commit was asked for. It holds if the batch's row is there, whatever answer we got."""

    key: BatchKey
    ids: Ids
    placed: Placed
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A batch that was placed while the one before it was stored. It holds if that went in by the attempt `after`."""

    batch: Sequence[Decoded]
    after: BatchKey
    ids: Ids
    placed: Placed


#: What becomes of the dead letters of a piece, in the transaction that stores it.
KeepLetters = Callable[[Connection, Sequence[Decoded], Placed], None]


def _keep(connection: Connection, _piece: Sequence[Decoded], placed: Placed) -> None:
    dead_letters.store(connection, placed.dead_letters)


def _unknown(_device: str, _metric: str) -> None:
    """No newest value is known: whoever stores what no broker retains needs none."""


class Writer:
    """Stores batches. One thread uses it; on an error that may pass, hand it the same batch again.

    `fence` is asked at the beginning of each transaction, and raises LeaseLost where this one may not write.
    `keep_letters` takes the dead letters of a piece, in the transaction that stores it. `meanwhile` is called, perhaps
    several times a batch, while a database server works and this thread would but wait. `newest` tells the
    newest value of a series, by which a retained reading without a time is known. `verdicts`: whether outcomes tell of
    each message by itself.
    """

    def __init__(  # noqa: PLR0913  # what differs between those who store
        self,
        engine: Engine,
        worker: str,
        token: str,
        fence: Callable[[Connection], None] | None = None,
        keep_letters: KeepLetters = _keep,
        meanwhile: Callable[[], None] | None = None,
        newest: Newest = _unknown,
        *,
        verdicts: bool = False,
    ) -> None:
        self._engine, self._fence, self._meanwhile, self._newest = engine, fence, meanwhile, newest
        self._verdicts = verdicts
        self._worker, self._token = worker, token
        self._keep_letters = keep_letters
        self._number = 0
        self._catalogue = _Catalogue()
        self._pending: list[Sequence[Decoded]] = []
        self._done = Outcome()
        self._unsure: _Attempt | None = None
        self._in_hand: _Attempt | None = None
        self._accepted: BatchKey | None = None
        self._prepared: _Prepared | None = None

    def load(self) -> None:
        """Learn what is there, and forget a batch that was not finished: it comes again. Raises DatabaseAway."""
        self._pending, self._unsure, self._accepted = [], None, None
        self._number += 1  # a batch of the present number may have been committed after all
        with writing(self._engine) as connection:
            known = devices.every(connection, deleted=True)
            self._catalogue = _Catalogue(
                devices={device.name: device.id for device in known},
                boots={d.id: Boot(d.boot, d.boot_seq) for d in known if d.boot is not None and d.boot_seq is not None},
            )
            by_name = self._catalogue.devices
            every_series = devices.every_series(connection, deleted=True)
            self._catalogue.series = _with(
                {},
                {
                    (by_name[series.device], series.metric): series.id
                    for series in every_series
                    if series.device in by_name  # else another worker made it a moment ago
                },
            )

    def device_ids(self, connection: Connection, names: Sequence[str]) -> Mapping[str, int]:
        """The numbers of devices that are stored, of those that another writer made as well."""
        known = self._catalogue.devices
        others = [name for name in names if name not in known]
        return known if not others else {**known, **devices.ids(connection, others)}

    def series_id(self, device: str, metric: str) -> int | None:
        """The number of a series, None if it has none yet."""
        device_id = self._catalogue.devices.get(device)
        return None if device_id is None else self._catalogue.series.get(device_id, {}).get(metric)

    def store(self, batch: Sequence[Decoded], now_ms: int) -> Outcome:
        """Store a batch. When this returns, all of it is committed: stored, known to be there, or a dead letter.

        After DatabaseAway call it again with the same batch: what is committed is not stored twice, and a commit
        whose answer was lost is recognised by the batch's row.

        Raises:
            DatabaseAway: If the database can't store now.
            LeaseLost: If the fence says so; the rest of the batch is not stored, and `load()` forgets it.
        """
        if not self._pending:
            self._pending, self._done = [batch], Outcome()
        while self._pending:
            piece = self._pending[-1]
            try:
                outcome = self._store_piece(piece, now_ms)
            except (DatabaseAway, LeaseLost):
                raise
            except RefusedRows as refusal:
                self._replace(piece, f"the database refuses it: {refusal}")
            except Exception as error:
                # Ours to mend, but one message must not hold up all those behind it.
                log.exception("A batch of %d messages can't be stored.", len(piece))
                self._replace(piece, f"it can't be stored: {type(error).__name__}: {error}")
            else:
                self._pending.pop()
                self._done += outcome
        return self._done

    def prepare(self, batch: Sequence[Decoded]) -> None:
        """Place the batch that comes next, while the database works at the one in hand: called from `meanwhile`.

        Only where that needs no look into the database; else, and where anything is odd, it is placed in its turn.
        """
        before, self._prepared = self._in_hand, None
        if before is None or len(self._pending) != 1 or _look_first(batch):
            return
        boots = {**self._catalogue.boots, **before.placed.boots} if before.placed.boots else self._catalogue.boots
        with contextlib.suppress(Exception):  # if it is a mistake of ours, it is told in its turn
            placed = place(batch, before.ids, boots, self._newest, None, verdicts=self._verdicts)
            if _devices(placed.reports) <= before.ids.devices.keys():
                self._prepared = _Prepared(batch, before.key, before.ids, placed)

    def _replace(self, piece: Sequence[Decoded], problem: str) -> None:
        """Put halves in the place of a refused piece, or a dead letter in that of a single message.

        Raises:
            RuntimeError: If even the dead letter was refused, which leaves nothing to do but to begin again.
        """
        self._pending.pop()
        if len(piece) > 1:
            middle = len(piece) // 2
            self._pending += [piece[middle:], piece[:middle]]  # the last goes first: order of arrival
            return
        culprit = piece[0]
        if not culprit.samples and culprit.report is None:
            raise RuntimeError(f"the dead letter for {culprit.message.topic} can't be stored: {problem}")
        log.error("The message on %s becomes a dead letter: %s", culprit.message.topic, problem)
        letter = Decoded(culprit.message, rejected=culprit.readings, problems=(*culprit.problems, problem))
        self._pending.append([letter])

    def _store_piece(self, piece: Sequence[Decoded], now_ms: int) -> Outcome:
        known: Known | None = None
        attempt: _Attempt | None = None
        look_first = _look_first(piece)
        for round_number in range(_ROUNDS):
            with writing(self._engine) as connection:
                if self._fence is not None:
                    self._fence(connection)
                if look_first:
                    ids = self._ids(connection, piece, now_ms)
                    known = self._look(connection, piece, ids, known or Known())
                    known = _look_for_free(connection, known, attempt, _SEARCHED_MS << round_number)
                    placed = self._place(piece, ids, known)
                else:
                    ids, placed = self._place_trusting(connection, piece, now_ms)
                key = BatchKey(self._worker, self._token, self._number)
                attempt = _Attempt(key, ids, placed, outcome_of(placed))
                if not account.claim_batch(connection, key, placed.tally, placed.seen, now_ms):
                    connection.rollback()
                    return self._accept(self._unsure)
                self._in_hand = attempt
                free = _insert(connection, placed, now_ms, self._meanwhile)
                self._in_hand = None
                if free:
                    _store_rest(connection, ids, placed)
                    self._keep_letters(connection, piece, placed)
                    self._unsure = attempt
                else:
                    connection.rollback()
            if free:
                return self._accept(attempt)
            look_first = True
        raise CrowdedKeys("someone else goes on taking the keys of this batch")

    def _place_trusting(self, connection: Connection, piece: Sequence[Decoded], now_ms: int) -> tuple[Ids, Placed]:
        """Place a piece as if every key were free and, at first, as if every device and series were known."""
        prepared, self._prepared = self._prepared, None
        if prepared is not None and prepared.batch is piece and prepared.after is self._accepted:
            return prepared.ids, prepared.placed
        ids = Ids(self._catalogue.devices, self._catalogue.series)
        with contextlib.suppress(KeyError):
            placed = self._place(piece, ids, None)
            if _devices(placed.reports) <= ids.devices.keys():
                return ids, placed
        ids = self._ids(connection, piece, now_ms)
        return ids, self._place(piece, ids, None)

    def _place(self, piece: Sequence[Decoded], ids: Ids, known: Known | None) -> Placed:
        return place(piece, ids, self._catalogue.boots, self._newest, known, verdicts=self._verdicts)

    def _accept(self, attempt: _Attempt | None) -> Outcome:
        """Remember what a committed attempt made."""
        if attempt is None:
            raise RuntimeError(f"another worker named {self._worker} stores under the same token")
        self._unsure, self._accepted = None, attempt.key
        self._number = attempt.key.number + 1
        catalogue = self._catalogue
        catalogue.devices.update(attempt.ids.devices)
        catalogue.series.update(attempt.ids.series)
        catalogue.boots.update(attempt.placed.boots)
        return attempt.outcome

    def _ids(self, connection: Connection, piece: Sequence[Decoded], now_ms: int) -> Ids:
        """Numbers of all devices and series of a piece, those that are new made in this transaction."""
        catalogue = self._catalogue
        names = {sample.device for decoded in piece for sample in decoded.samples}
        names |= _devices(piece)
        new_names = sorted(names - catalogue.devices.keys())
        ids = (
            dict(catalogue.devices) | devices.ensure(connection, new_names, now_ms) if new_names else catalogue.devices
        )
        wanted = {
            (ids[sample.device], metric)
            for decoded in piece
            for sample in decoded.samples
            for metric, _ in sample.values
        }
        series = catalogue.series
        new_series = {(device_id, metric) for device_id, metric in wanted if metric not in series.get(device_id, ())}
        if new_series:
            series = _with(series, devices.ensure_series(connection, new_series, now_ms))
        return Ids(ids, series)

    def _look(self, connection: Connection, piece: Sequence[Decoded], ids: Ids, known: Known) -> Known:
        """What the database holds of the keys that this piece wants, added to what is known."""
        found = dict(known.readings)
        keys: set[readings.Key] = set()
        for decoded in piece:
            for sample in decoded.samples:
                if sample.ts is not None:
                    device_id = ids.devices[sample.device]
                    keys.update((ids.series[device_id][metric], sample.ts) for metric, _ in sample.values)
        found.update(readings.existing(connection, keys))
        return Known(found, receipts.existing(connection, self._receipt_keys(piece, ids)))

    def _receipt_keys(self, piece: Sequence[Decoded], ids: Ids) -> Iterable[receipts.Key]:
        for decoded in piece:
            for sample in decoded.samples:
                if sample.seq is None or sample.ts is not None:
                    continue
                device_id = ids.devices[sample.device]
                own = self._catalogue.boots.get(device_id)
                label = sample.boot if sample.boot is not None else own.label if own is not None else None
                if label is not None:
                    yield device_id, label, sample.seq


def _with(series: Mapping[int, Mapping[str, int]], more: Mapping[tuple[int, str], int]) -> dict[int, Mapping[str, int]]:
    """These, and the numbers of more series."""
    changed: dict[int, dict[str, int]] = {}
    for (device_id, metric), series_id in more.items():
        if device_id not in changed:
            changed[device_id] = dict(series.get(device_id, {}))
        changed[device_id][metric] = series_id
    return {**series, **changed}


def _look_for_free(connection: Connection, known: Known, attempt: _Attempt | None, searched_ms: int) -> Known:
    """Added to what is known: what is taken where the last attempt put readings whose time is ours, and after that."""
    if attempt is None:
        return known
    found = dict(known.readings)
    for series_id, first, last in _stretches(attempt.placed.own_time):
        found.update(readings.existing_between(connection, series_id, first, last + searched_ms))
    return replace(known, readings=found)


def _look_first(piece: Iterable[Decoded]) -> bool:
    """Whether some of it is likely to be there already."""
    return any(decoded.message.redelivered or decoded.message.retained for decoded in piece)


def _devices(piece: Iterable[Decoded]) -> set[str]:
    """Those that report something of themselves."""
    return {name for decoded in piece if (name := decoded.reported_by) is not None}


def _insert(connection: Connection, placed: Placed, now_ms: int, meanwhile: Callable[[], None] | None) -> bool:
    """Insert readings and receipts; whether every key was free."""
    if receipts.insert_new(connection, placed.receipts, now_ms) != len(placed.receipts):
        return False
    return readings.insert_new(connection, placed.rows, meanwhile) == len(placed.rows)


def _store_rest(connection: Connection, ids: Ids, placed: Placed) -> None:
    reports = [(decoded.reported_by or "", decoded) for decoded in placed.reports]
    # By device, each one's in order of arrival: the flush of another thread or worker locks their rows by name too.
    for _, decoded in sorted(reports, key=itemgetter(0)):
        at = decoded.message.received_at
        match decoded.report:
            case Status() as status:
                retained = decoded.message.retained
                devices.store_status(connection, ids.devices[status.device], status, at, retained=retained)
            case About() as about:
                devices.store_about(connection, ids.devices[about.device], about, at)
            case ActuatorState() as state:
                retained = decoded.message.retained
                before = devices.store_state(connection, ids.devices[state.device], state, at)
                command_reports.take(connection, state, at, retained=retained, before=before)
            case BridgeReport() as bridge:
                bridges.store(connection, bridge, at)
            case Gone() as gone:
                resends.note_gone(connection, ids.devices[gone.device], gone, at)
    devices.store_boots(connection, {device: (boot.label, boot.seq) for device, boot in placed.boots.items()})


def _stretches(keys: Iterable[readings.Key]) -> list[tuple[int, int, int]]:
    """(series, first ts, last ts) of keys, one a series."""
    found: dict[int, tuple[int, int]] = {}
    for series_id, ts in keys:
        first, last = found.get(series_id, (ts, ts))
        found[series_id] = (min(first, ts), max(last, ts))
    return [(series_id, first, last) for series_id, (first, last) in found.items()]
