"""A private MariaDB server."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import pymysql
from sqlalchemy import make_url

from tests.parts.ports import free_port
from tests.parts.process import Process, find_program

_USER, _PASSWORD = "monitor", "monitor-password"
# Small files and buffers start faster; commits are as durable as in production.
_SETTINGS = (
    "--innodb-buffer-pool-size=64M",
    "--innodb-log-file-size=16M",
    "--innodb-flush-log-at-trx-commit=1",
    "--character-set-server=utf8mb4",
    "--collation-server=utf8mb4_bin",
    "--skip-name-resolve",
    "--bind-address=127.0.0.1",
)


def install(template: Path) -> Path:
    """Fill `template` with a new server's system tables, unless another test process has done so; gives it back.

    Takes seconds, so a run does it once and every server starts from a copy.
    """
    template.parent.mkdir(parents=True, exist_ok=True)
    with template.with_suffix(".lock").open("w") as lock:
        flock(lock, LOCK_EX)
        if not template.exists():
            program = find_program("mariadb-install-db", package="mariadb-server")
            half_made = Path(tempfile.mkdtemp(dir=template.parent))
            command = [program, "--no-defaults", f"--datadir={half_made}", "--skip-test-db", *_SETTINGS]
            command += ["--auth-root-authentication-method=normal", *_as_root()]
            subprocess.run(command, check=True, capture_output=True)
            half_made.rename(template)
    return template


class MariaDB:
    """A server on 127.0.0.1 that keeps everything in `directory`, usable as a context manager.

    `template` is what install() made. `directory` needs a short path: its socket's may not exceed 107 bytes.
    Restarts keep the port and the data. `settings` are further options of mariadbd.
    """

    def __init__(self, directory: Path, template: Path, *, settings: Sequence[str] = ()) -> None:
        self.port = free_port()
        self._data = directory / "data"
        # Two servers that share a tmpdir break each other's temporary tables.
        temporary = directory / "tmp"
        temporary.mkdir()
        shutil.copytree(template, self._data)
        first_sql = directory / "init.sql"
        first_sql.write_text(
            f"CREATE USER IF NOT EXISTS '{_USER}'@'127.0.0.1' IDENTIFIED BY '{_PASSWORD}';\n"
            f"GRANT ALL ON *.* TO '{_USER}'@'127.0.0.1' WITH GRANT OPTION;\n"
        )
        command = [find_program("mariadbd", package="mariadb-server"), "--no-defaults", f"--datadir={self._data}"]
        command += [f"--tmpdir={temporary}", f"--socket={directory}/s", f"--pid-file={directory}/pid"]
        self._command = [*command, f"--port={self.port}", f"--init-file={first_sql}", *_SETTINGS, *_as_root()]
        self._log = directory / "mariadb.log"
        self.process = Process([*self._command, *settings], log=self._log)

    def start(self) -> None:
        """Start and wait until it answers. Raises PartFailedError, PartMissingError."""
        self.process.start()
        self.process.wait_until(self.answers)

    def stop(self) -> None:
        """End it in order."""
        self.process.stop()

    def kill(self) -> None:
        """SIGKILL: what was committed is there after the next start, nothing else."""
        self.process.kill()

    def restart(self) -> None:
        """Stop it if it runs, and start it again on the same port with the same data."""
        if self.process.running:
            self.stop()
        self.start()

    def restart_with(self, *settings: str) -> None:
        """Stop it, and start it with these further options instead of those it had."""
        self.stop()
        self.process = Process([*self._command, *settings], log=self._log)
        self.start()

    def freeze(self) -> None:
        """Connections stay open, nothing answers."""
        self.process.freeze()

    def thaw(self) -> None:
        """Let it go on after freeze()."""
        self.process.thaw()

    def answers(self) -> bool:
        """Whether it accepts a login now, within a second."""
        try:
            self._connect(read_timeout=1).close()
        except pymysql.err.OperationalError:
            return False
        return True

    def fresh_database(self) -> str:
        """Make an empty utf8mb4 database; its SQLAlchemy URL, good for DATABASE_URL."""
        name = f"t_{uuid4().hex}"
        with self._connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
        return f"mysql+pymysql://{_USER}:{_PASSWORD}@127.0.0.1:{self.port}/{name}"

    def plain_url(self, url: str) -> str:
        """The same database by a user who may do there what README grants, and no more: no administrator."""
        parsed = make_url(url)
        self.run("CREATE USER IF NOT EXISTS 'plain'@'127.0.0.1' IDENTIFIED BY 'plain-password'")
        self.run(f"GRANT ALL ON {parsed.database}.* TO 'plain'@'127.0.0.1'")
        return parsed.set(username="plain", password="plain-password").render_as_string(hide_password=False)

    def run(self, statement: str) -> tuple[tuple[Any, ...], ...]:
        """Run a statement as administrator, in a transaction of its own; its rows. Raises pymysql.err.Error."""
        with self._connect() as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            rows = cursor.fetchall()
            connection.commit()
            return rows

    def drop_database(self, url: str) -> None:
        """Throw a database away, with the connections that a test left in it, which would make it wait."""
        name = make_url(url).database
        with self._connect() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT id FROM information_schema.processlist WHERE db = %s", [name])
            for (connection_id,) in cursor.fetchall():
                cursor.execute(f"KILL {int(connection_id)}")
            cursor.execute(f"DROP DATABASE {name}")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.running:
            # Its files go next: an orderly end would only take longer.
            self.kill()

    def _connect(self, *, read_timeout: int = 20) -> pymysql.Connection[pymysql.cursors.Cursor]:
        return pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            user=_USER,
            password=_PASSWORD,
            connect_timeout=2,
            read_timeout=read_timeout,
        )


def _as_root() -> list[str]:
    return ["--user=root"] if os.geteuid() == 0 else []
