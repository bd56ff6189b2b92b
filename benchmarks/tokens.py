"""What it costs to know who asks: a check, a password's hash, and 200 reads a second beside an ingest at half its rate.

The reads come from a process of its own, each at its due time; with a credential and without in turns, so that what
looking at the credential costs is a ratio within one run.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import httpx2
from starlette.requests import Request

from api import signed
from api.auth import COOKIE, identify
from benchmarks import contestants, parts, sustained
from benchmarks.contestants import Setting
from benchmarks.options import Options
from benchmarks.steady import Publishing
from benchmarks.tables import Table, count, percentile
from db import engine as database
from db import migrations
from db.doors import Actor, Doors, HashCost, Origin
from db.passwords import Passwords
from tests.parts.mariadb import MariaDB
from tests.parts.server import Server

_READS: Final = 200.0
_SECONDS: Final = 20.0
_CHECKS: Final = 5_000
_DEVICES: Final = 100
_BACKLOG: Final = 100_000
_QUICK_RATE: Final = 2_000.0
_PASSWORD: Final = "seven green bottles"  # noqa: S105 - of a server that lives for a minute
_ORIGIN: Final = Origin("127.0.0.1", "benchmark")
_ROOT_DIRECTORY: Final = Path(__file__).parents[1]


def run(options: Options) -> list[Table]:
    """Three tables: checks, hashing, reads beside ingest."""
    with parts.database_server() as server:
        return [
            _checks(server.fresh_database(), 200 if options.quick else _CHECKS),
            _hashing(2 if options.quick else 10),
            _reads(server, options),
        ]


# A check


def _checks(url: str, checks: int) -> Table:
    engine = database.create(url)
    migrations.apply(engine)
    kept = Doors(engine, b"a secret for a benchmark, 32 bytes", fresh_s=1.0)
    asking = Doors(engine, b"a secret for a benchmark, 32 bytes", fresh_s=0.0)
    requests = _requests(kept)
    rows = []
    for name, request in requests.items():
        usual = _timed(partial(identify, kept, request), checks)
        cold = _timed(partial(identify, asking, request), checks // 5)
        rows.append(
            (
                name,
                *(f"{percentile(usual, percent):.3f}" for percent in (50, 99)),
                "1",
                *(f"{percentile(cold, percent):.2f}" for percent in (50, 99)),
            )
        )
    for doors in (kept, asking):
        doors.close()
    engine.dispose()
    return Table(
        "Who asks: one check",
        ("credential", "p50 ms", "p99 ms", "at most", "asking the database: p50 ms", "p99 ms"),
        tuple(rows),
        ("MariaDB. What the database says of a credential holds for a second; the last two columns are without that.",),
    )


def _requests(doors: Doors) -> dict[str, Request]:
    """A request by each credential there is."""
    root = Actor("root", "admin", _ORIGIN)
    user, _ = doors.create_user(root, "reader", "viewer", _PASSWORD)
    family, _ = doors.open_family(user, _ORIGIN)
    _, key = doors.create_key(Actor("reader", "viewer", _ORIGIN), "benchmark")
    _, device = doors.create_device_token(root, "kitchen")
    session, _ = doors.open_session(user, _ORIGIN)
    bearers = {
        "access token (JWT)": signed.sign(doors.key("jwt"), "access", user.name, family),
        "API key": key,
        "device token": device,
    }
    found = {name: _request("authorization", f"Bearer {token}") for name, token in bearers.items()}
    return found | {"session cookie": _request("cookie", f"{COOKIE}={session}")}


def _request(header: str, value: str) -> Request:
    headers = [(header.encode(), value.encode())]
    return Request({"type": "http", "method": "GET", "path": "/", "headers": headers, "client": ("127.0.0.1", 1)})


def _timed(work: Callable[[], object], times: int) -> list[float]:
    """Ms of each time."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        took.append((time.perf_counter() - began) * 1000)
    return took


# A password


def _hashing(times: int) -> Table:
    cost = HashCost()
    passwords = Passwords(cost)
    stored = passwords.hash(_PASSWORD)
    rows = [
        (name, f"{percentile(took, 50):.0f}", f"{max(took):.0f}")
        for name, took in (
            ("a new hash", _timed(lambda: passwords.hash(_PASSWORD), times)),
            ("the right password", _timed(lambda: passwords.matches(stored, _PASSWORD), times)),
            ("a wrong one", _timed(lambda: passwords.matches(stored, "wrong"), times)),
            ("a name that does not exist", _timed(lambda: passwords.matches(None, _PASSWORD), times)),
        )
    ]
    note = f"argon2id, time {cost.time}, {cost.memory_kib // 1024} MiB, {cost.lanes} lane; at most two at once."
    return Table("What a login costs", ("work", "p50 ms", "longest ms"), tuple(rows), (note,))


# Reads beside ingest


def _reads(server: MariaDB, options: Options) -> Table:
    seconds = 2.0 if options.quick else _SECONDS
    with parts.broker() as broker, parts.directory() as directory:
        setting = Setting(broker, server, directory, options.backlog(_BACKLOG, 3_000))
        backlog = contestants.in_the_web_process(setting).rate
    url = server.fresh_database()
    took: dict[str, list[float]] = {}
    with parts.broker() as broker, parts.directory() as directory:
        settings = {"MQTT_URL": broker.url, "DATABASE_URL": url, "MQTT_CLIENT_ID": "bench"}
        with Server(directory, settings | {"ADMIN_PASSWORD": _PASSWORD}) as web:
            web.process.wait_until(lambda: _login(web) is not None)
            _, key = _credentials(web)
            full = sustained.rate(url, broker.port, 2 * setting.messages, backlog, _DEVICES)
            if options.quick:  # a few messages are gone before they could be timed
                full = min(full, _QUICK_RATE)
            print(f"  sustained: {count(full)} messages/s, from a backlog {count(backlog)}", file=sys.stderr)
            with Publishing(broker.port, full / 2, _DEVICES) as publishing:
                for _ in range(options.rounds):
                    access, _ = _login(web) or ("", "")
                    for name, credential in (("no credential", ""), ("access token", access), ("API key", key)):
                        took.setdefault(name, []).extend(_read(web.url, credential, seconds))
            sent = publishing.sent
    return _reads_table(took, full, sent, seconds * options.rounds)


def _reads_table(took: dict[str, list[float]], full: float, sent: tuple[int, float], seconds: float) -> Table:
    base = percentile(took["no credential"], 95)
    rows = tuple(
        (
            name,
            *(f"{percentile(ms, percent):.1f}" for percent in (50, 95, 99)),
            f"{max(ms):.0f}",
            f"{percentile(ms, 95) / base:.2f}",
        )
        for name, ms in took.items()
    )
    messages, published_s = sent
    note = (
        f"{seconds:.0f} s each, three kinds of reads in turn, from the moment each was due. MariaDB, the worker inside "
        f"the server, which sustains {count(full)} messages/s while they are published on the same machine; meanwhile "
        f"{count(messages / published_s)} a second were."
    )
    columns = ("with", "p50 ms", "p95 ms", "p99 ms", "longest", "p95 to that without")
    return Table(f"{_READS:.0f} reads a second while ingest runs at half its rate", columns, rows, (note,))


def _login(web: Server) -> tuple[str, str] | None:
    """Access and refresh token of the admin, None while there is none."""
    login = {"username": "admin", "password": _PASSWORD}
    answer = httpx2.post(f"{web.url}/api/token/", json=login, timeout=20, trust_env=False)
    return (answer.json()["access"], answer.json()["refresh"]) if answer.status_code == 200 else None


def _credentials(web: Server) -> tuple[str, str]:
    """An access token and an API key of the admin."""
    access, _ = _login(web) or ("", "")
    headers = {"Authorization": f"Bearer {access}"}
    made = httpx2.post(f"{web.url}/api/keys/", json={"name": "bench"}, headers=headers, timeout=20, trust_env=False)
    made.raise_for_status()
    return access, str(made.json()["key"])


def _read(url: str, credential: str, seconds: float) -> list[float]:
    command = [sys.executable, "-m", "benchmarks.reader", url, str(_READS), str(seconds)]
    done = subprocess.run(
        command, cwd=_ROOT_DIRECTORY, input=credential + "\n", capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    if found["failed"]:
        raise RuntimeError(f"a read failed: {found['failed']}")
    took: list[float] = found["took_ms"]
    return took
