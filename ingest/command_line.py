"""What `python -m ingest` can do beside working: `audit` and `replay`."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer

import settings as settings_module
from db import dead_letters
from db import engine as database
from db.chunks import DamagedChunk
from db.dead_letters import Selection
from db.terminal import parse_moment, shown
from ingest import audit as account_audit
from ingest import audit_report, day_counts, letters, published
from ingest.day_counts import DayCounts
from ingest.replay import Replay, Replayed, decode
from ingest.vitals import now_ms
from settings import Settings, SettingsError, begin_logging

#: Longest silence of the database, in seconds: an audit counts every row.
_PATIENCE_S: Final = 3600.0

app = typer.Typer(
    help="The worker, and what it keeps account of.", add_completion=False, pretty_exceptions_enable=False
)


@app.command()
def audit(
    as_json: Annotated[bool, typer.Option("--json", help="As a JSON document, with every line of every list.")] = False,
    against: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help='JSON lines of what a broker acknowledged to a publisher: {"device", "seq", "boot"?, "metric"?, '
            '"value"?, "ts"?}. Names what is lost and what is doubled. Or what another server printed by audit --json, '
            "as at a site whose devices come here over a bridge: names each device and day that differs.",
        ),
    ] = None,
    site: Annotated[
        str,
        typer.Option(metavar="NAME", help="With --against: the other server's devices are here those of this site."),
    ] = "",
    whole_days: Annotated[
        int,
        typer.Option("--days", min=1, max=3660, help="How many whole days (UTC) are counted with --json, --against."),
    ] = day_counts.DAYS,
) -> None:
    """Compare the account with what the database holds, and name what never reached us.

    Exit status 0: all adds up; 1: something is missing or off; 2: it could not be asked.
    """
    sent, there = (None, None) if against is None else _other_side(against, site)
    counted = whole_days if as_json or there is not None else 0
    with _database() as (_, engine):
        found = account_audit.read(engine, now_ms(), sent, whole_days=counted, there=there, site=site)
    typer.echo(json.dumps(audit_report.document(found)) if as_json else audit_report.text(found))
    raise typer.Exit(0 if found.ok else 1)


def _other_side(file: Path, site: str) -> tuple[list[published.Sent] | None, DayCounts | None]:
    """What the file holds: a publisher's list, or another server's counts."""
    try:
        text = file.read_text(encoding="utf-8")
        if day_counts.is_document(text):
            return None, day_counts.load(text, site)
        return published.load(text.split("\n")), None
    except (OSError, UnicodeDecodeError, published.ListError, day_counts.CountsError) as error:
        raise typer.BadParameter(str(error), param_hint="--against") from error


@app.command()
def replay(  # noqa: PLR0913, PLR0917  # an option each
    show: Annotated[bool, typer.Option("--list", help="Only list them.")] = False,
    export: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Only write them as JSON lines; - is stdout.")
    ] = None,
    delete: Annotated[bool, typer.Option("--delete", help="Only delete them; asks once.")] = False,
    id_: Annotated[list[int] | None, typer.Option("--id", help="Those with these ids alone.")] = None,
    topic: Annotated[str | None, typer.Option(metavar="GLOB", help="Those on such topics: 'iot/kitchen/*'.")] = None,
    before: Annotated[
        str | None, typer.Option(metavar="TIME", help="Those received before: 2026-11-23T10:00:00Z, UTC ms, or -7d.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen, change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking.")] = False,
) -> None:
    """Store dead letters again, after what kept them from being stored was mended. Or list, export, delete them.

    Exit status 0: none of them is left to look at; 1: some stay, each with its reason; 2: it could not be done.
    """
    if show + delete + (export is not None) > 1:
        raise typer.BadParameter("choose one of --list, --export and --delete")
    selection = Selection(frozenset(id_ or ()), topic, _before(before))
    with _database() as (settings, engine):
        with database.reading(engine) as connection:
            ids = dead_letters.select_ids(connection, selection)
        if show:
            _list(engine, ids)
        elif export is not None:
            _export(engine, ids, export)
        elif delete:
            _delete(engine, ids, dry_run=dry_run, yes=yes)
        elif dry_run:
            _rehearse(settings, engine, ids)
        else:
            _replay(settings, engine, ids)


def _before(text: str | None) -> int | None:
    try:
        return None if text is None else parse_moment(text, now_ms())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--before") from error


def _list(engine: database.Engine, ids: Sequence[int]) -> None:
    for stored in letters.read(engine, ids):
        typer.echo(letters.line(stored))
    typer.echo(f"{_letters(len(ids))}.")


def _export(engine: database.Engine, ids: Sequence[int], file: Path) -> None:
    if file == Path("-"):
        letters.export(engine, ids, sys.stdout)
        return
    try:
        with file.open("w", encoding="utf-8") as out:
            written = letters.export(engine, ids, out)
    except OSError as error:
        raise typer.BadParameter(f"{file} can't be written: {error.strerror}", param_hint="--export") from error
    typer.echo(f"{_letters(written)} written to {file}.")


def _delete(engine: database.Engine, ids: Sequence[int], *, dry_run: bool, yes: bool) -> None:
    if dry_run:
        typer.echo(f"{_letters(len(ids))} would be deleted.")
        return
    if ids and not yes:
        typer.confirm(f"Delete {_letters(len(ids))}? What they hold is gone then.", abort=True)
    typer.echo(f"{_letters(letters.delete(engine, ids))} deleted.")


def _rehearse(settings: Settings, engine: database.Engine, ids: Sequence[int]) -> None:
    """Say what is understood now; whether it is known already, only storing it tells."""
    would = 0
    for stored in letters.read(engine, ids):
        decoded = decode(stored.letter, settings.topic_root, settings.max_message_bytes, settings.retention_raw_days)
        problem = decoded if isinstance(decoded, str) else "; ".join(decoded.problems)
        if problem:
            typer.echo(_stays(stored.id, stored.letter.topic, problem))
        would += not problem
    typer.echo(f"{_letters(would)} of {len(ids)} would be stored, or found to be known. Nothing was changed.")


def _replay(settings: Settings, engine: database.Engine, ids: Sequence[int]) -> None:
    begin_logging("error")
    run = Replay(
        engine,
        f"{settings.mqtt_client_id}-replay",
        settings.topic_root,
        settings.max_message_bytes,
        raw_days=settings.retention_raw_days,
    )
    results: list[Replayed] = []
    try:
        for one in run.run(ids):
            results.append(one)
            if one.result == "stays":
                typer.echo(_stays(one.id, one.topic, one.problem))
    finally:
        count = Counter(one.result for one in results)
        gone = f" {count['gone']} were deleted meanwhile." if count["gone"] else ""
        typer.echo(f"{count['stored']} stored, {count['duplicate']} known already, {count['stays']} stay.{gone}")
    run.fold()
    raise typer.Exit(1 if count["stays"] else 0)


def _stays(letter_id: int, topic: str, problem: str) -> str:
    return f"{letter_id}  {shown(topic)}  stays: {shown(problem, 1000)}"


def _letters(count: int) -> str:
    return f"{count} dead letter{'' if count == 1 else 's'}"


@contextmanager
def _database() -> Iterator[tuple[Settings, database.Engine]]:
    """The settings and their database. Ends the program with one line where either is not to be had."""
    try:
        settings = settings_module.load()
        file = database.file_of(settings.database)
        if file is not None and not file.exists():
            refuse(f"There is no database {file} yet. Start a worker first, or set DATABASE_URL or DATA_DIR.")
        engine = database.create(settings.database, timeout_s=_PATIENCE_S)
    except (SettingsError, database.DatabaseAway) as error:
        refuse(str(error))
    try:
        yield settings, engine
    except DamagedChunk as error:
        refuse(f"{error}. Which parts are whole, tells: python -m db verify")
    except database.DatabaseError as error:
        refuse(f"The database can't be asked now: {error}. Nothing is lost by that; try again.")
    finally:
        engine.dispose()


def refuse(problem: str) -> NoReturn:
    """End the program with a line that says why, exit status 2."""
    typer.echo(problem, err=True)
    raise typer.Exit(2)
