"""Memory at rest and under full load, and CPU a million messages: of the worker alone, and of the server with it."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from statistics import median
from typing import Final

from benchmarks import contestants, parts, processes, progress, publisher, telemetry
from benchmarks.options import Options
from benchmarks.tables import Table, count
from tests.parts.mariadb import MariaDB
from tests.parts.mosquitto import Mosquitto
from tests.parts.ports import accepts, free_port
from tests.parts.process import Process
from tests.parts.server import Server
from tests.parts.worker import WorkerProcess

_BACKLOG: Final = 300_000
_REST_S: Final = 3.0
#: Streamlit with one page and the libraries that our pages draw with, nothing of ours.
_BARE: Final = """
import sys
import altair, pandas, fastapi
from streamlit.starlette import App
app = App(sys.argv[1])
app.run(config={"server.address": "127.0.0.1", "server.port": int(sys.argv[2])})
"""


def run(options: Options) -> list[Table]:
    """One table; the median of the rounds."""
    messages = options.backlog(_BACKLOG, 3_000)
    rest_s = 0.5 if options.quick else _REST_S
    found: dict[str, list[_Memory]] = {"worker": [], "server": []}
    bare: list[float] = []
    with parts.database_server() as server:
        for _ in range(options.rounds):
            bare.append(_bare_streamlit(rest_s))
            found["worker"].append(_loaded(server, messages, rest_s, inside=False))
            found["server"].append(_loaded(server, messages, rest_s, inside=True))
    streamlit = median(bare)
    rows = [("Streamlit with the libraries of our pages, nothing of ours", count(streamlit), "", "", "")]
    for name, label in (("worker", "python -m ingest"), ("server", "python app.py, worker inside")):
        peak = median(one.peak_mb for one in found[name])
        rows.append(
            (
                label,
                count(median(one.rest_mb for one in found[name])),
                count(peak),
                count(peak - streamlit) if name == "server" else "",
                f"{median(one.cpu_s for one in found[name]) * 1e6 / messages:.0f}",
            )
        )
    return [
        Table(
            "Memory and CPU",
            ("process", "at rest, MB", "at most, MB", "above Streamlit's own (150)", "CPU s a million messages"),
            tuple(rows),
            (f"{options.rounds} rounds, a backlog of {count(messages)} messages, MariaDB; resident memory.",),
        )
    ]


@dataclass(frozen=True, slots=True)
class _Memory:
    """MB before the backlog and at most while it is stored, and CPU seconds that this took."""

    rest_mb: float
    peak_mb: float
    cpu_s: float


def _bare_streamlit(rest_s: float) -> float:
    with parts.directory() as directory:
        page, port = directory / "page.py", free_port()
        page.write_text("import streamlit as st\nst.write('nothing')\n")
        bare = Process([sys.executable, "-c", _BARE, str(page), str(port)], log=directory / "log", directory=directory)
        bare.start()
        try:
            bare.wait_until(lambda: accepts(port))
            time.sleep(rest_s)
            return processes.usage(bare.pid).rss_mb
        finally:
            bare.stop()


def _loaded(server: MariaDB, messages: int, rest_s: float, *, inside: bool) -> _Memory:
    """The process runs; then a publisher sends faster than it can store, until it has everything."""
    url = server.fresh_database()
    with parts.broker() as broker, parts.directory() as directory:
        settings = {"MQTT_URL": broker.url, "DATABASE_URL": url, "MQTT_CLIENT_ID": "bench"}
        if inside:
            web = Server(directory, settings)
            with web:
                web.process.wait_until(lambda: web.get("/api/health/").status_code == 200)
                return _under_load(web.process, broker, url, messages, rest_s)
        with WorkerProcess(directory, settings | {"DATA_DIR": str(directory)}) as worker:
            return _under_load(worker.process, broker, url, messages, rest_s)


def _under_load(process: Process, broker: Mosquitto, url: str, messages: int, rest_s: float) -> _Memory:
    time.sleep(rest_s)
    rest = processes.usage(process.pid)
    with contestants.stored(url, messages) as count_stored:
        sent = telemetry.messages(messages, contestants.DEVICES, telemetry.just_now())
        publisher.fill(broker.port, sent)
        progress.watch(count_stored, messages, time.monotonic())
    loaded = processes.usage(process.pid)
    return _Memory(rest.rss_mb, loaded.peak_mb, loaded.cpu_s - rest.cpu_s)
