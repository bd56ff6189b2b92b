"""Command line of the benchmarks: `python -m benchmarks [names...]`, or `make bench ARGS="ingest --quick"`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from importlib import import_module
from typing import Annotated, Final

import typer

from benchmarks import document
from benchmarks.options import Options
from benchmarks.tables import Table

#: Module by name; each has `run(options) -> list[Table]`. In the order of docs/benchmarks.md.
NAMES: Final = (
    "stages",
    "ingest",
    "latency",
    "growth",
    "memory",
    "snapshot",
    "live",
    "tokens",
    "history",
    "history_page",
    "control",
    "boards_link",
)
#: Runnable threads over the last minute above which somebody else is at work.
_QUIET: Final = 0.5

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def bench(
    names: Annotated[list[str] | None, typer.Argument(help=f"Of {', '.join(NAMES)}; all if none is named.")] = None,
    messages: Annotated[int | None, typer.Option(min=1, help="Of a backlog, instead of each benchmark's own.")] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Runs of each side, interleaved.")] = 3,
    quick: Annotated[
        bool, typer.Option("--quick", help="Small: shows that it works, its numbers mean little.")
    ] = False,
    full: Annotated[bool, typer.Option("--full", help="Also what takes an hour and 10 GB of disk.")] = False,
    write: Annotated[bool, typer.Option("--write", help="Put the tables into docs/benchmarks.md.")] = False,
) -> None:
    """Measure, and print tables of ratios."""
    unknown = sorted(set(names or ()) - set(NAMES))
    if unknown:
        raise typer.BadParameter(f"{', '.join(unknown)}: unknown; there are {', '.join(NAMES)}")
    options = Options(messages, quick, full, repeats)
    load = os.getloadavg()[0]
    if load > _QUIET:
        typer.echo(f"Others use this machine (load {load:.1f}): times, and some ratios, mean little now.", err=True)
    for name in names or NAMES:
        began = time.monotonic()
        typer.echo(f"{name} …", err=True)
        run: Callable[[Options], list[Table]] = import_module(f"benchmarks.{name}").run
        tables = run(options)
        for table in tables:
            typer.echo(f"\n{table.terminal()}")
        if write:
            document.write(name, tables, _command(name, options))
        typer.echo(f"{name}: {time.monotonic() - began:.0f} s\n", err=True)


def _command(name: str, options: Options) -> str:
    """What to type to get the same again."""
    asked = [name]
    if options.messages is not None:
        asked += ["--messages", str(options.messages)]
    if options.repeats != Options().repeats:
        asked += ["--repeats", str(options.repeats)]
    asked += [f"--{flag}" for flag in ("quick", "full") if getattr(options, flag)]
    return f'make bench ARGS="{" ".join(asked)}"'


if __name__ == "__main__":
    app(prog_name="python -m benchmarks")
