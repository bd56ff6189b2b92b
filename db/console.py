"""What the commands of `python -m db` share: the doors on the settings' database, who types, and how it ends badly."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, NoReturn

import typer

import settings as settings_module
from db import audit, migrations
from db import engine as database
from db.doors import Actor, Doors, DoorsError, Origin
from settings import Settings, SettingsError

#: Longest silence of the database, in seconds: the whole audit log is read.
_PATIENCE_S: Final = 600.0
OTHER_KEY: Final = (
    "SECRET_KEY is not the one that the audit log was begun with. Set the server's own, or DATA_DIR to its folder; "
    "if it was lost, type: python -m db audit begin"
)


@dataclass(frozen=True, slots=True)
class Console:
    """The doors, and whoever sits at the terminal: who can read the settings may do all."""

    doors: Doors
    actor: Actor
    settings: Settings
    engine: database.Engine


@contextmanager
def opened(*, any_key: bool = False) -> Iterator[Console]:
    """The doors of the settings' database. Ends the program with one line where something is not to be had.

    `any_key`: it does not matter whether SECRET_KEY is that of the audit log.
    """
    settings, engine = _settings_and_engine()
    try:
        file = database.file_of(settings.database)
        if file is not None and not file.exists():
            refuse(f"There is no database {file} yet. Start the server first, or set DATABASE_URL or DATA_DIR.")
        migrations.apply(engine)
        doors = Doors(engine, _secret(settings, engine, any_key=any_key))
        if not any_key and not doors.audit_key_fits():
            refuse(OTHER_KEY)
        yield Console(doors, Actor(_typist(), "admin", Origin("local")), settings, engine)
        doors.close()
    except (SettingsError, DoorsError) as error:
        refuse(str(error))
    except database.DatabaseError as error:
        refuse(f"The database can't be asked now: {error}. Nothing was changed; try again.")
    finally:
        engine.dispose()


@contextmanager
def bare_database() -> Iterator[database.Engine]:
    """The settings' database as it is, which may have no table yet. Ends the program as `opened` does."""
    _, engine = _settings_and_engine()
    try:
        yield engine
    except database.DatabaseError as error:
        refuse(f"The database can't be asked now: {error}. Begin again when it is back.")
    finally:
        engine.dispose()


def _settings_and_engine() -> tuple[Settings, database.Engine]:
    try:
        settings = settings_module.load()
        return settings, database.create(settings.database, timeout_s=_PATIENCE_S)
    except (SettingsError, database.DatabaseAway) as error:
        refuse(str(error))


def refuse(problem: str) -> NoReturn:
    """End the program with a line that says why, exit status 2."""
    typer.echo(problem, err=True)
    raise typer.Exit(2)


def _secret(settings: Settings, engine: database.Engine, *, any_key: bool) -> bytes:
    """The server's secret; none is made beside a database that has had one. Raises SettingsError."""
    there = settings.secret_key is not None or (settings.data_dir / "secret_key").exists()
    if not there and not any_key:
        with database.reading(engine) as connection:
            if not audit.is_key(connection, b""):
                refuse(OTHER_KEY)
    return settings_module.secret_key(settings)


def _typist() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "command line"
