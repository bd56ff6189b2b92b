"""Stored messages a second from a backlog, against those who only receive and those who store otherwise."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks import contestants, parts
from benchmarks.contestants import Contestant, NotObtainable, Run, Setting
from benchmarks.options import Options
from benchmarks.peers import InstallError
from benchmarks.tables import Table, count, percentile, spread
from tests.parts.process import PartFailedError

_BACKLOG: Final = 300_000
_QUICK: Final = 3_000

OURS: Final = "python -m ingest, MariaDB"
_WHO: Final[Mapping[str, Contestant]] = {
    OURS: contestants.worker,
    "paho, MQTT 3.1.1, counts": contestants.paho_311,
    "paho, MQTT 5, counts": contestants.paho_5,
    "mosquitto_sub >/dev/null": contestants.mosquitto_sub,
    "python -m ingest, SQLite": contestants.sqlite,
    "python -m ingest, MQTT_PROTOCOL=3.1.1": contestants.worker_311,
    "two workers, MQTT_SHARE_GROUP": contestants.two_workers,
    "thread in app.py, 20 viewers": contestants.in_the_web_process,
    "Django ORM, an insert a message": contestants.django,
    "Node-RED, MySQL node": contestants.node_red,
}
#: Telegraf is a Go program that neither Debian nor PyPI nor npm offers. Home Assistant (2024.3.3, the last for Python
#: 3.11) makes its MQTT client without a persistent session: what was published while it was away never reaches it.
_NOT_HERE: Final = {
    "Telegraf": "in no registry here",
    "Home Assistant's recorder": "keeps no session, gets no backlog",
}
#: Who, against whom, at least how many times.
_RATIOS: Final = (
    (OURS, "paho, MQTT 3.1.1, counts", "2.0"),
    (OURS, "paho, MQTT 5, counts", ""),
    (OURS, "mosquitto_sub >/dev/null", "0.6"),
    (OURS, "Django ORM, an insert a message", "40"),
    (OURS, "Node-RED, MySQL node", "10"),
    ("python -m ingest, MQTT_PROTOCOL=3.1.1", "paho, MQTT 3.1.1, counts", "0.6"),
    ("python -m ingest, SQLite", OURS, "0.6"),
    ("thread in app.py, 20 viewers", OURS, "0.6"),
    ("two workers, MQTT_SHARE_GROUP", OURS, "stated"),
)


@dataclass(slots=True)
class _Results:
    """Runs by contestant, in the order of the rounds, and why some have none."""

    runs: dict[str, list[Run]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def ratios(self, one: str, other: str) -> list[float]:
        """Of each round."""
        pairs = zip(self.runs.get(one, []), self.runs.get(other, []), strict=False)
        return [mine.rate / theirs.rate for mine, theirs in pairs]


def run(options: Options) -> list[Table]:
    """Every contestant in each round, one after the other, so that a slow minute hits all alike."""
    messages = options.backlog(_BACKLOG, _QUICK)
    found = _Results()
    with parts.database_template() as template:
        for number in range(options.rounds):
            for name, contestant in _WHO.items():
                if name not in found.missing:
                    _measure(found, name, contestant, template, messages, number)
    return [_ratio_table(found, messages, options.rounds), _rate_table(found), *_web_table(found)]


def _measure(found: _Results, name: str, contestant: Contestant, template: Path, messages: int, number: int) -> None:
    try:
        # A server for each: what another left it to write would slow it down.
        with parts.broker() as broker, parts.directory() as directory, parts.database_server(template) as server:
            result = contestant(Setting(broker, server, directory, messages))
    except (NotObtainable, InstallError, PartFailedError) as reason:
        # One that fails must not cost what the others took an hour to measure.
        found.missing[name] = "failed" if isinstance(reason, PartFailedError) else str(reason)
        print(f"  round {number + 1}: {name}: {reason}", file=sys.stderr)
        return
    found.runs.setdefault(name, []).append(result)
    print(f"  round {number + 1}: {name}: {count(result.rate)} messages/s", file=sys.stderr)


def _ratio_table(found: _Results, messages: int, rounds: int) -> Table:
    rows = []
    for one, other, least in _RATIOS:
        ratios = found.ratios(one, other)
        missing = found.missing.get(one) or found.missing.get(other) or ""
        rows.append((f"{one} : {other}", spread(ratios) if ratios else missing, least))
    rows += [(f"{OURS} : {name}", reason, "") for name, reason in _NOT_HERE.items()]
    return Table(
        "Stored messages a second, as ratios",
        ("what : against", "times, median (lowest-highest)", "at least"),
        tuple(rows),
        (
            f"{rounds} rounds, in each everybody once, a backlog of {count(messages)} messages of QoS 1 and two "
            "metrics from a Mosquitto of its own (a fifteenth for Django, a sixth for Node-RED).",
        ),
    )


def _rate_table(found: _Results) -> Table:
    rows = []
    for name, runs in found.runs.items():
        rows.append(
            (
                name,
                count(median(one.rate for one in runs)),
                _us([one.own_cpu_s / one.messages for one in runs]),
                _us([one.broker_cpu_s / one.messages for one in runs]),
                _us([one.database_cpu_s / one.messages for one in runs]),
                count(median(one.peak_mb for one in runs)) if runs[0].peak_mb else "",
                count(median(one.batch for one in runs)) if runs[0].batch else "",
            )
        )
    return Table(
        "Who took how much",
        ("who", "messages/s", "own CPU, µs a message", "Mosquitto", "MariaDB", "peak MB", "messages a transaction"),
        tuple(rows),
        ("CPU over the whole run, the start of the process included.",),
    )


def _us(seconds: Sequence[float]) -> str:
    middle = 1e6 * median(seconds)
    return f"{middle:.1f}" if middle else ""


def _web_table(found: _Results) -> list[Table]:
    runs = [one.requests for one in found.runs.get("thread in app.py, 20 viewers", []) if one.requests is not None]
    took = {name: [ms for one in runs for ms in one[name]] for name in (runs[0] if runs else ())}
    rows = [
        (name, count(len(ms)), f"{percentile(ms, 50):.1f}", f"{percentile(ms, 95):.1f}", f"{max(ms):.1f}")
        for name, ms in took.items()
        if ms
    ]
    if not rows:
        return []
    return [
        Table(
            "The pages meanwhile, in ms",
            ("request to the server that stores at full speed, with 20 viewers", "asked", "p50", "p95", "longest"),
            tuple(rows),
        )
    ]
