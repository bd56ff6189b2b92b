"""The worker as its own process: `python -m ingest`. Beside it `audit` and `replay`, which need no broker."""

from __future__ import annotations

import logging
import signal
import threading

import typer

import settings as settings_module
from db import engine as database
from ingest import heap
from ingest.command_line import app, refuse
from ingest.snapshot import Board, Snapshot
from ingest.vitals import Vitals, now_ms
from ingest.worker import make_service
from settings import SettingsError, begin_logging, mask_password

log = logging.getLogger(__name__)


@app.callback(invoke_without_command=True)
def worker(context: typer.Context) -> None:
    """Receive, store, acknowledge, until Ctrl-C or SIGTERM. Needs MQTT_URL."""
    if context.invoked_subcommand is not None:
        return
    try:
        work()
    except (SettingsError, database.DatabaseAway) as error:
        refuse(str(error))


def work() -> None:
    """Run until a signal. Raises SettingsError, DatabaseAway if it can't begin."""
    settings = settings_module.load()
    address = settings.broker
    if address is None:
        raise SettingsError("MQTT_URL: not set; the worker alone needs a broker to connect to")
    begin_logging(settings.log_level)
    engine = database.create(settings.database)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    for name in settings.without_effect():
        log.warning("%s is set and has no effect yet in this version.", name)
    vitals = Vitals(str(address), mask_password(settings.database), embedded=False)
    service = make_service(settings, engine, address, Board(Snapshot(now_ms(), 0, {})), vitals)
    asked_to_stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked_to_stop.set())
    heap.settle()
    service.start()
    asked_to_stop.wait()
    service.stop()
    engine.dispose()


if __name__ == "__main__":
    app(prog_name="python -m ingest")
