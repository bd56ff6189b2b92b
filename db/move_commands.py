"""`python -m db` backup, restore and import: readings and all else, out and in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from db import archive, backup, imports, incoming_files, restore, sealing
from db.archive import BadArchive
from db.console import Console, bare_database, opened, refuse
from db.engine import DatabaseError
from db.gate import now_ms
from db.incoming import DAY_MS, BadFile, Incoming, Problems
from db.restore import RestoreRefused
from db.terminal import clock, shown

Progress = Callable[[int], None]


def make_backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Such as monitor-2026-11-23.zip.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Even if FILE is there.")] = False,
) -> None:
    """Write the whole database as it is at this moment into one file. The server may go on.

    The file holds password hashes, and only its owner may read it. SECRET_KEY is not in it: keep that as well.
    """
    if file.exists() and not overwrite:
        refuse(f"{file} is there already. Give another name, or say --overwrite.")
    with opened() as console:
        try:
            with _bar("Backing up") as begin:
                made = backup.make(console.engine, file, now_ms(), begin)
        except OSError as error:
            refuse(f"{file} can't be written: {error.strerror or error}")
        console.doors.record(console.actor, "backup.make", str(file), detail=f"{made.rows} rows")
    typer.echo(f"{_things(made.rows, 'row')} of {len(made.tables)} tables written to {file}.")
    if made.off_by:
        typer.echo(_off(made.off_by))
    typer.echo("Keep SECRET_KEY, or the file secret_key in DATA_DIR, at another place: no backup holds it.")


def do_restore(
    file: Annotated[Path, typer.Argument(metavar="FILE")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Even if the database holds readings: all that is in it is thrown away.")
    ] = False,
) -> None:
    """Make the database what a backup says, be it SQLite, MySQL or MariaDB. Stop the server first.

    The backup is checked as a whole before anything is changed. If it is broken off, type it again.
    """
    try:
        with archive.reading(file) as source, bare_database() as engine:
            with _bar("Checking") as begin:
                restore.check(source, begin(source.manifest.rows))
            with _bar("Restoring") as begin:
                restored = restore.restore(engine, source, begin(source.manifest.rows), replace=replace)
    except OSError as error:
        refuse(f"{file} can't be read: {error.strerror or error}")
    except (BadArchive, RestoreRefused) as error:
        refuse(str(error))
    manifest = restored.manifest
    typer.echo(f"{_things(manifest.rows, 'row')} of {len(manifest.tables)} tables are as on {clock(manifest.made_at)}.")
    if restored.off_by:
        typer.echo(_off(restored.off_by))
    if restored.off_by != manifest.off_by:
        refuse(f"That is not as it was when the backup was made ({manifest.off_by}): look into it.")
    with opened() as console:  # says what to do where SECRET_KEY is another
        console.doors.record(console.actor, "backup.restore", str(file), detail=f"{manifest.rows} rows")


def do_import(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV or Parquet.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would come of it.")] = False,
    skip_rejected: Annotated[
        bool, typer.Option("--skip-rejected", help="Store the rest where some readings can't be used.")
    ] = False,
) -> None:
    """Store readings from elsewhere: columns ts or time, device, metric, value and perhaps unit, or a column a series.

    The file is checked as a whole before anything is stored. Readings that are stored already do no harm, so an
    import that was broken off is completed by the same command. Exit status 1: some readings can't be used.
    """
    with opened() as console:
        incoming = _read(console, file)
        with _bar("Comparing") as begin:
            plan = imports.plan(console.engine, incoming, begin(len(incoming)))
        fresh, problems = plan.fresh, incoming.problems
        _tell(problems)
        typer.echo(
            f"{_things(len(fresh), 'reading')} to store, {plan.known:,} stored already, "
            f"{incoming.repeated:,} twice in the file, {problems.count:,} rejected."
        )
        if dry_run:
            raise typer.Exit(1 if problems.count else 0)
        if problems.count and not skip_rejected:
            typer.echo("Nothing was stored. Mend the file, or store the rest with --skip-rejected.")
            raise typer.Exit(1)
        stored = _store(console, fresh)
        detail = f"{stored} readings stored, {problems.count} rejected"
        console.doors.record(console.actor, "readings.import", str(file), detail=detail)
    typer.echo(f"{_things(stored, 'reading')} stored.")


def _store(console: Console, fresh: Incoming) -> int:
    now = now_ms()
    seal_before = sealing.sealed_before(now, console.settings.seal_after_days)
    stored = 0
    try:
        with _bar("Storing") as begin:
            progress = begin(len(fresh))
            for step in imports.store(console.engine, fresh, now, seal_before):
                stored += step.stored
                progress(step.readings)
    except DatabaseError as error:
        refuse(f"The database went away: {error}. {_things(stored, 'reading')} stored; the same command does the rest.")
    return stored


def _read(console: Console, file: Path) -> Incoming:
    now, days = now_ms(), console.settings.retention_raw_days
    oldest = None if days is None else now - days * DAY_MS
    try:
        with _bar("Reading") as begin, file.open("rb") as opened:
            size = file.stat().st_size
            return incoming_files.read(opened, size, now, oldest, begin(size))
    except BadFile as error:
        refuse(f"{shown(str(error), 1_000)}. Nothing was stored.")
    except OSError as error:
        refuse(f"{file} can't be read: {error.strerror or error}")


def _tell(problems: Problems) -> None:
    for problem in sorted(problems.kept, key=lambda one: one.line):
        typer.echo(shown(str(problem), 1_000))
    if problems.count > len(problems.kept):
        typer.echo(f"and more: {problems.count:,} readings are rejected in all")


@contextmanager
def _bar(label: str) -> Iterator[Callable[[int], Progress]]:
    """A progress bar, where there is a terminal: told how long it is, it gives what moves it."""
    bars: list[Any] = []

    def begin(length: int) -> Progress:
        bar = typer.progressbar(length=length, label=f"{label:<10}")
        bar.__enter__()
        bars.append(bar)
        return bar.update

    try:
        yield begin
    finally:
        for bar in bars:
            bar.__exit__(None, None, None)


def _off(off_by: int) -> str:
    if off_by < 0:
        return (
            f"The account counts {-off_by:,} readings more than there are. python -m ingest audit says what it means."
        )
    return f"There are {off_by:,} readings more than the account counts. python -m ingest audit says what it means."


def _things(count: int, what: str) -> str:
    return f"1 {what}" if count == 1 else f"{count:,} {what}s"
