"""What a command takes from being asked for to being confirmed, and what boards by HTTP take to be stored.

The devices are a process of their own that answers at once (`benchmarks.answering`), so that what is measured is ours
and the broker's. A command is `POST /led_control/` and then `GET /commands/{id}/?wait=5`, over one connection that is
kept; what is timed is from the first byte of the one to the last of the other.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks import click, contestants, parts, progress, sustained
from benchmarks.commanding import HERE, Asker, admin, key, running
from benchmarks.contestants import Setting
from benchmarks.options import Options
from benchmarks.steady import Publishing
from benchmarks.tables import Table, count, percentile
from benchmarks.telemetry import device
from tests.parts.mariadb import MariaDB
from tests.parts.server import Server

_COMMANDS: Final = 300
_AT_ONCE: Final = 1_000
#: Who asks for them: a credential may ask 300 times a second in the long run, and 600 times at once.
_ASKERS: Final = 8
_TELEMETRY_DEVICES: Final = 100
_BACKLOG: Final = 100_000
_QUICK_RATE: Final = 2_000.0
_BOARDS: Final = 50
_BOARDS_RATE: Final = 500.0
_BOARDS_S: Final = 20.0


def run(options: Options) -> list[Table]:
    """Four tables: from the click to the page, by the API, a thousand at once, boards by HTTP."""
    commands = 20 if options.quick else _COMMANDS
    with parts.database_server() as server:
        alone = [_by_api(server, commands, off=off) for off in (False, True)]
        beside, note = _beside_ingest(server, options, commands)
        return [
            click.measure(server, 5 if options.quick else click.CLICKS),
            _api_table(alone, beside, note),
            _thousand(server, 50 if options.quick else _AT_ONCE),
            _boards(server, 2.0 if options.quick else _BOARDS_S),
        ]


# By the API


def _by_api(server: MariaDB, commands: int, *, off: bool) -> list[float]:
    with running(server, 1, off=off) as (web, _, _, _):
        return _confirmed(web, commands)


def _confirmed(web: Server, commands: int) -> list[float]:
    asker = Asker(web.url, key(admin(web), "benchmark"))
    for warm in range(4):
        asker.confirmed_ms(device(0), ("ON", "OFF")[warm % 2])
    took = [asker.confirmed_ms(device(0), ("ON", "OFF")[number % 2]) for number in range(commands)]
    asker.close()
    return took


def _beside_ingest(server: MariaDB, options: Options, commands: int) -> tuple[list[float], str]:
    """The same in a process that stores at half of what it sustains."""
    with parts.broker() as broker, parts.directory() as directory:
        setting = Setting(broker, server, directory, options.backlog(_BACKLOG, 3_000))
        backlog = contestants.in_the_web_process(setting).rate
    with running(server, 1) as (web, url, port, _):
        full = sustained.rate(url, port, 2 * setting.messages, backlog, _TELEMETRY_DEVICES)
        if options.quick:
            full = min(full, _QUICK_RATE)
        with Publishing(port, full / 2, _TELEMETRY_DEVICES) as publishing:
            took = _confirmed(web, commands)
        messages, seconds = publishing.sent
    return took, f"{count(messages / seconds)} messages/s of {count(full)} that it sustains"


def _api_table(alone: Sequence[Sequence[float]], beside: Sequence[float], how: str) -> Table:
    inside, off = alone
    rows = [
        _row("worker in the process", inside, "60"),
        _row("INGEST=off, worker beside it", off, "300"),
        _row("in the process, ingest at half its rate", beside, ""),
    ]
    ratio = percentile(beside, 95) / percentile(inside, 95)
    note = (
        f"{len(inside)} commands one after the other, MariaDB, each commit on the disk. Beside ingest, {how}, p95 is "
        f"{ratio:.1f} times that without (at most 3)."
    )
    return Table(
        "API command to confirmed", ("what", "p50 ms", "p95 ms", "longest", "p95 at most"), tuple(rows), (note,)
    )


def _row(what: str, took: Sequence[float], limit: str) -> tuple[str, ...]:
    shown = (f"{percentile(took, percent):.1f}" for percent in (50, 95))
    return (what, *shown, f"{max(took):.0f}", limit)


# A thousand at once


@dataclass(frozen=True, slots=True)
class _Thousand:
    """Seconds until all were queued, and until all were confirmed; each command's own ms; how often they came."""

    queued_s: float
    confirmed_s: float
    took_ms: list[float]
    counted: dict[str, int]


def _thousand(server: MariaDB, number: int) -> Table:
    found = _at_once(server, number)
    if found.counted.get("applied") != number:
        raise RuntimeError(f"of {number} commands the devices applied {found.counted}")
    rows = (
        ("all queued", f"{found.queued_s:.2f} s", "stated"),
        ("all confirmed", f"{found.confirmed_s:.2f} s", "stated"),
        ("one command, from asking, p50", f"{percentile(found.took_ms, 50):.0f} ms", "stated"),
        ("one command, from asking, p95", f"{percentile(found.took_ms, 95):.0f} ms", "stated"),
        ("applied by the devices", count(found.counted["applied"]), count(number)),
        ("came more than once, with the same id", count(found.counted["delivered"] - number), "stated"),
    )
    note = f"{_ASKERS} scripts ask at once, a connection each; MariaDB, the worker in the process."
    return Table(
        f"{count(number)} commands to {count(number)} devices at once", ("what", "", "to reach"), rows, (note,)
    )


def _at_once(server: MariaDB, number: int) -> _Thousand:
    with running(server, number) as (web, url, _, answering):
        by = admin(web)
        askers = [Asker(web.url, key(by, f"asker {one}")) for one in range(_ASKERS)]
        with progress.counter(url, "SELECT COUNT(*) FROM commands WHERE status = 'confirmed'") as confirmed:
            began = time.monotonic()
            threads = [
                threading.Thread(target=_ask_all, args=(asker, range(one, number, _ASKERS)))
                for one, asker in enumerate(askers)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            queued_s = time.monotonic() - began
            while confirmed() < number and time.monotonic() - began < 60:
                time.sleep(0.01)
            confirmed_s = time.monotonic() - began
        told = by.ask("GET", f"/commands/?limit={min(number, 1000)}")
    if (ended := [one for one in told if one["status"] != "confirmed"]) or len(told) != number:
        raise RuntimeError(f"{len(ended)} of {len(told)} commands were not confirmed, such as {ended[:1]}")
    took = [float(one["steps"][-1]["at"] - one["made_at"]) for one in told]
    return _Thousand(queued_s, confirmed_s, took, answering.counted)


def _ask_all(asker: Asker, numbers: range) -> None:
    for number in numbers:
        asker.order(device(number), "ON")
    asker.close()


# Boards by HTTP


def _boards(server: MariaDB, seconds: float) -> Table:
    with running(server, 1) as (web, _, _, _):
        by = admin(web)
        tokens = [by.ask("POST", f"/devices/board-{n}/token/", None, 201)["token"] for n in range(_BOARDS)]
        before = _counts(web)
        command = [sys.executable, "-m", "benchmarks.boards", web.url, str(_BOARDS_RATE), str(seconds)]
        began = time.monotonic()
        done = subprocess.run(command, cwd=HERE, input="\n".join(tokens), capture_output=True, text=True, check=True)
        found = json.loads(done.stdout)
        took: list[float] = found["took_ms"]
        after = _counts(web)
        lasted = time.monotonic() - began
    if found["failed"]:
        raise RuntimeError(f"a reading was not stored: {found['failed']}")
    stored = after["stored"] - before["stored"]
    if stored != len(took) or after["waiting"]:
        raise RuntimeError(f"{len(took)} readings were answered, the account tells of {stored}")
    rows = (
        ("stored a second", f"{len(took) / seconds:.0f}", f"{_BOARDS_RATE:.0f}"),
        ("until stored, p50", f"{percentile(took, 50):.1f} ms", "stated"),
        ("until stored, p95", f"{percentile(took, 95):.1f} ms", "stated"),
        ("longest", f"{max(took):.0f} ms", "stated"),
        ("in the account", count(stored), count(len(took))),
    )
    note = f"{seconds:.0f} s ({lasted:.1f} until the last answer); from the moment each was due. MariaDB."
    title = f"Readings by HTTP: {_BOARDS} connections, {_BOARDS_RATE:.0f} a second"
    return Table(title, ("what", "", "to reach"), rows, (note,))


def _counts(web: Server) -> dict[str, int]:
    found: dict[str, int] = web.get("/api/health/").json()["ingest"]
    return found
