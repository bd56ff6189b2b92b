"""The login that changes a broker's accounts, whether the broker runs or not."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from broker.creation import administrator, owner
from broker.directory import BrokerDirectory
from broker.dynamic_security import AdministrationAway, Administrator, ask
from broker.locking import locked
from broker.mosquitto import accepts, begin, end, find_plugin


@contextmanager
def administered(directory: BrokerDirectory) -> Iterator[Administrator]:
    """The login that changes accounts, at the broker that runs, else at one that runs for this alone.

    Raises DirectoryError, NoMosquitto, StartFailed, AdministrationError.
    """
    with locked(directory):
        running = administrator(directory)
        try:
            ask(running, [{"command": "getDefaultACLAccess"}])
        except AdministrationAway:
            if accepts(running.port):
                raise
        else:
            yield running
            return
        with _alone(directory, running) as alone:
            yield alone


@contextmanager
def _alone(directory: BrokerDirectory, login: Administrator) -> Iterator[Administrator]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    configuration = directory.path / "alone.conf"
    configuration.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous false\nplugin {find_plugin()}\n"
        f"plugin_opt_config_file {directory.absolute().dynamic_security}\nuser {owner(directory.path)}\n"
        "persistence false\nlog_dest stdout\nlog_type error\n",
        encoding="utf-8",
    )
    process = begin(configuration, port, quiet=True)
    try:
        yield replace(login, port=port)
    finally:
        end(process)
        configuration.unlink()
