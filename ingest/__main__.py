"""The worker as its own process: `python -m ingest`. Beside it `audit` and `replay`, which need no broker."""

from __future__ import annotations

import logging
import os
import signal
import threading

import typer

import settings as settings_module
from db import engine as database
from db.gate import derived
from ingest import heap
from ingest.command_line import app, refuse
from ingest.snapshot import Board, Snapshot
from ingest.supervisor import Supervisor
from ingest.vitals import Vitals, now_ms
from ingest.worker import make_service
from settings import Settings, SettingsError, begin_logging, mask_password, secret_key

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
    for sentence in settings.without_effect():
        log.warning("%s", sentence)
    vitals = Vitals(str(address), mask_password(settings.database), embedded=False)
    board = Board(Snapshot(now_ms(), 0, {}))
    service = make_service(settings, engine, address, board, vitals, _audit_key(settings))
    asked_to_stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked_to_stop.set())
    heap.settle()
    service.start()
    supervisor = Supervisor.of(os.environ)
    supervisor.ready()
    supervisor.beat(service.health())
    while not asked_to_stop.wait(supervisor.beat_s):
        supervisor.beat(service.health())
    supervisor.stopping()
    service.stop()
    engine.dispose()


def _audit_key(settings: Settings) -> bytes | None:
    """Of the audit log; None where there is no secret, since one made here would be another. Raises SettingsError."""
    if settings.secret_key is None and not (settings.data_dir / "secret_key").exists():
        return None
    return derived(secret_key(settings), "audit")


if __name__ == "__main__":
    app(prog_name="python -m ingest")
