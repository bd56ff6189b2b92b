"""Puts results into docs/benchmarks.md, each benchmark's between its two marks; whatever stands around them stays."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from benchmarks.tables import Table
from tests.parts.process import find_program

DOCUMENT: Final = Path(__file__).parents[1] / "docs" / "benchmarks.md"
_PACKAGES: Final = ("mqtt5", "paho-mqtt", "msgspec", "sqlalchemy", "pymysql", "streamlit")


class NoPlaceError(Exception):
    """The document has no place for a benchmark. The text names the marks that are missing."""


def placed(document: str, name: str, section: str) -> str:
    """The document with `section` between the marks of benchmark `name`. Raises NoPlaceError."""
    begin, end = f"<!-- results of {name} -->", f"<!-- end of {name} -->"
    if begin not in document or end not in document:
        raise NoPlaceError(f"docs/benchmarks.md has no lines '{begin}' and '{end}'")
    before, rest = document.split(begin, 1)
    _, after = rest.split(end, 1)
    return f"{before}{begin}\n\n{section}\n\n{end}{after}"


def write(name: str, tables: Sequence[Table], command: str) -> None:
    """Write a benchmark's tables, with when, where and by which command. Raises NoPlaceError."""
    today = datetime.now(UTC).date().isoformat()
    about = f"{today}, `{command}`. {_machine()}. {_versions()}."
    section = "\n\n".join([about, *(table.markdown() for table in tables)])
    DOCUMENT.write_text(placed(DOCUMENT.read_text(encoding="utf-8"), name, section), encoding="utf-8")


def _machine() -> str:
    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores of {model[1] if model else platform.machine()}, {memory:.0f} GiB, all on one machine"
    )


def _versions() -> str:
    mosquitto = _first_line("mosquitto", "-h", package="mosquitto").removeprefix("mosquitto version ")
    mariadb = re.search(r"Ver (\S+?)-", _first_line("mariadbd", "--version", package="mariadb-server"))
    packages = ", ".join(f"{package} {version(package)}" for package in _PACKAGES)
    servers = f"Mosquitto {mosquitto}, MariaDB {mariadb[1] if mariadb else 'of unknown version'}"
    return f"Python {platform.python_version()}, {servers}, {packages}"


def _first_line(program: str, option: str, *, package: str) -> str:
    done = subprocess.run([find_program(program, package=package), option], capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).splitlines()[0]
