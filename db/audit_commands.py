"""`python -m db audit`: look at the audit log, export it, verify it, and begin a new chain when the key was lost."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, TextIO

import typer

from db.audit import Recorded
from db.console import OTHER_KEY, Console, opened, refuse
from db.gate import now_ms
from db.terminal import clock, parse_moment, shown

app = typer.Typer(help="Who did what to what, from where, when, and how it ended.", no_args_is_help=True)

_MOMENT = "2026-11-23T10:00:00Z, UTC ms, or -7d."


@app.command()
def verify(
    head: Annotated[
        str | None, typer.Option(metavar="HASH", help="A head that was noted before: it must be in the log still.")
    ] = None,
) -> None:
    """Check that no entry was changed, moved, removed or put in.

    Exit status 0: all holds; 1: it does not, and the first entry that does not is named; 2: it could not be asked.
    """
    with opened(any_key=True) as console:
        if not console.doors.audit_key_fits():
            refuse(OTHER_KEY)
        verdict = console.doors.verify_audit(None if head is None else head.strip().lower())
    if verdict.problem is not None:
        typer.echo(verdict.problem)
        raise typer.Exit(1)
    if not verdict.entries:
        typer.echo("The audit log is empty.")
        return
    entries = "The one entry holds." if verdict.entries == 1 else f"All {verdict.entries:,} entries hold."
    typer.echo(f"{entries} Note the head outside this machine, for the next time:")
    typer.echo(f"python -m db audit verify --head {verdict.head}")


@app.command("list")
def list_entries(  # an option each
    text: Annotated[str, typer.Option(help="Stands in what was done, to whom, by whom or from where.")] = "",
    actor: Annotated[str | None, typer.Option(help="Who did it.")] = None,
    action: Annotated[str | None, typer.Option(help="What was done: login, or user. for all that begin so.")] = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help=_MOMENT)] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help=_MOMENT)] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 50,
) -> None:
    """The newest entries, newest first."""
    since_ms, until_ms = _moment(since, "--since"), _moment(until, "--until")
    with opened(any_key=True) as console:
        found = console.doors.audit(text=text, actor=actor, action=action, since=since_ms, until=until_ms, limit=limit)
    for recorded in found:
        typer.echo(_line(recorded))
    if not found:
        typer.echo("No entry is as asked for.")


@app.command()
def export(file: Annotated[Path, typer.Argument(metavar="FILE", help="- is stdout.")]) -> None:
    """Write the whole log as JSON lines, oldest first. The export itself is recorded."""
    with opened() as console:
        if file == Path("-"):
            _write(console, sys.stdout)
            return
        try:
            with file.open("w", encoding="utf-8") as out:
                written = _write(console, out)
        except OSError as error:
            refuse(f"{file} can't be written: {error.strerror}")
    typer.echo(f"{_entries(written)} written to {file}.")


@app.command()
def begin(yes: Annotated[bool, typer.Option("--yes", help="Without asking.")] = False) -> None:
    """Begin a new chain, because the SECRET_KEY of the one before was lost. This is recorded.

    Entries that are there stay, and can be verified no more; from now on nobody changes them unseen.
    """
    with opened(any_key=True) as console:
        if console.doors.audit_key_fits():
            refuse("The audit log was begun with the present SECRET_KEY. There is no reason to begin a new chain.")
        if not yes:
            typer.confirm("What was recorded so far can't be verified any more. Begin a new chain?", abort=True)
        before = console.doors.begin_audit_anew(console.actor)
    typer.echo(f"A new chain begins, after {_entries(before)} that can't be verified any more.")


def _entries(count: int) -> str:
    return "1 entry" if count == 1 else f"{count:,} entries"


def _write(console: Console, out: TextIO) -> int:
    written = console.doors.every_entry(lambda recorded: _write_line(recorded, out))
    console.doors.record(console.actor, "audit.export", "audit", detail=f"{written} entries")
    return written


def _write_line(recorded: Recorded, out: TextIO) -> None:
    document = {"number": recorded.number, **asdict(recorded.entry), "mac": recorded.mac}
    out.write(json.dumps(document) + "\n")  # in ASCII: stdout may be a terminal, and some take U+2028 for a new line


def _line(recorded: Recorded) -> str:
    entry = recorded.entry
    parts = [
        str(recorded.number),
        clock(entry.at),
        entry.actor,
        entry.address,
        entry.action,
        entry.subject,
        entry.result,
    ]
    return "  ".join(shown(part) for part in (*parts, entry.detail) if part)


def _moment(text: str | None, option: str) -> int | None:
    try:
        return None if text is None else parse_moment(text, now_ms())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error
