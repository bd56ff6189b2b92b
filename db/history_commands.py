"""`python -m db seal`, `unseal` and `verify`: what is done to readings of days that are over, while a server runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Annotated, Final

import typer

from db import chunk_check, chunks, copies, devices, readings, sealing
from db import engine as database
from db.chunks import DamagedChunk
from db.console import opened, refuse
from db.packing import DAY_MS
from db.sealing import Sealer, Step
from db.terminal import clock, parse_moment
from settings import Settings

_EVER: Final = 2**63 - 1

Device = Annotated[list[str] | None, typer.Option("--device", metavar="NAME", help="Those of this device alone.")]
_MOMENT: Final = "2026-11-23T10:00:00Z, UTC ms, or -7d."


def seal(
    before: Annotated[
        str | None, typer.Option(metavar="TIME", help=f"Days that ended before; else SEAL_AFTER_DAYS ago. {_MOMENT}")
    ] = None,
    device: Device = None,
) -> None:
    """Seal the readings of days that are over: some 4 bytes a reading instead of 44. A server does it by itself.

    Exit status 0: all are sealed; 1: some are not, each with its reason; 2: it could not be done.
    """
    with opened(any_key=True) as console:
        settings, engine = console.settings, console.engine
        cutoff = _cutoff(settings, before)
        series_ids = _series(engine, device)
        with database.reading(engine) as connection:
            rows = readings.count_before(connection, cutoff, series_ids)
        steps = sealing.steps(engine, partial(database.writing, engine), _sealer(settings), cutoff, series_ids)
        problems, sealed = _follow(steps, rows, "Sealing")
    typer.echo(f"{_readings(sealed)} of before {clock(cutoff)} sealed.")
    _end(problems)


def unseal(
    since: Annotated[str | None, typer.Option("--from", metavar="TIME", help=_MOMENT)] = None,
    until: Annotated[str | None, typer.Option("--to", metavar="TIME", help=_MOMENT)] = None,
    device: Device = None,
    table: Annotated[
        str | None, typer.Option(metavar="NAME", help="Copy them into a new table of this name; nothing else changes.")
    ] = None,
) -> None:
    """Make rows of the table readings again of what was sealed, or copy all of it into a table for SQL tools.

    A server with SEAL_AFTER_DAYS seals them again within a minute; set it to 0 first to keep rows.
    """
    start, end = _moment(since, "--from", 0), _moment(until, "--to", _EVER)
    with opened(any_key=True) as console:
        settings, engine = console.settings, console.engine
        series_ids = _series(engine, device)
        if table is not None:
            _copy(engine, table, series_ids, start, end)
            return
        steps = (
            step
            for series_id in series_ids
            for step in sealing.unseal(
                engine, partial(database.writing, engine), _sealer(settings), series_id, start, end
            )
        )
        problems, unsealed = _follow(steps, None, "Unsealing")
    typer.echo(f"{_readings(unsealed)} are rows again.")
    _end(problems)


def verify(device: Device = None) -> None:
    """Check every chunk against its own sums, its minutes and the table hours.

    Exit status 0: all hold; 1: some do not, each is named, and the rest can be used; 2: it could not be done.
    """
    problems: list[str] = []
    verified = held = 0
    with opened(any_key=True) as console:
        engine = console.engine
        series_ids = _series(engine, device)
        with database.reading(engine) as connection:
            count = chunk_check.count(connection, None if device is None else series_ids)
        with typer.progressbar(length=count, label="Verifying") as bar:
            for checked in chunk_check.checks(engine, series_ids):
                problems += checked.problems
                verified, held = verified + checked.chunks, held + checked.readings
                bar.update(checked.chunks)
    typer.echo(f"Chunks verified: {verified:,}, with {_readings(held)}.")
    _end(problems)


def _copy(engine: database.Engine, table: str, series_ids: Sequence[int], start: int, end: int) -> None:
    try:
        with database.writing(engine) as connection:
            copies.make_table(connection, table)
            rows = readings.count_before(connection, end, series_ids) + chunks.count(connection)
        copied = 0
        with typer.progressbar(length=rows, label="Copying") as bar:
            for count in copies.fill(engine, table, series_ids, start, end):
                copied += count
                bar.update(count)
    except (ValueError, DamagedChunk) as error:
        refuse(str(error))
    typer.echo(f"{_readings(copied)} were copied into {table}: series_id, ts (UTC ms), value.")


def _follow(steps: Iterable[Step], rows: int | None, label: str) -> tuple[list[str], int]:
    """What went wrong, a line each, and how many readings were moved. Others get the lock as long as we had it."""
    problems: list[str] = []
    moved = 0
    rest = threading.Event()
    with typer.progressbar(length=rows or 0, label=label, show_eta=rows is not None) as bar:
        for step in steps:
            moved += step.readings
            if step.problem is not None:
                problems.append(step.problem)
            bar.update(step.rows)
            rest.wait(step.held_s)
    return problems, moved


def _cutoff(settings: Settings, before: str | None) -> int:
    if before is None and not settings.seal_after_days:
        refuse("SEAL_AFTER_DAYS is 0: nothing is sealed by itself. Say up to when with --before.")
    default = _now_ms() - settings.seal_after_days * DAY_MS
    return _moment(before, "--before", default) // DAY_MS * DAY_MS


def _series(engine: database.Engine, names: list[str] | None) -> list[int]:
    with database.reading(engine) as connection:
        every = devices.every_series(connection)
        known = {device.name for device in devices.every(connection)}
    unknown = sorted(set(names or ()) - known)
    if unknown:
        refuse(f"There is no device {unknown[0]}.")
    return [one.id for one in every if names is None or one.device in names]


def _sealer(settings: Settings) -> Sealer:
    return Sealer(f"{settings.mqtt_client_id}{sealing.MOVES}", settings.topic_root)


def _moment(text: str | None, option: str, default: int) -> int:
    try:
        return default if text is None else parse_moment(text, _now_ms())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _end(problems: Sequence[str]) -> None:
    for problem in problems:
        typer.echo(problem)
    if problems:
        raise typer.Exit(1)


def _readings(count: int) -> str:
    return "1 reading" if count == 1 else f"{count:,} readings"
