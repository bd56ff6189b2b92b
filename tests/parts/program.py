"""`python -m db` as its user types it, inside the test's own process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from db.__main__ import app

#: Takes arguments, and options of CliRunner.invoke such as `input`.
Run = Callable[..., Result]


def database_program(monkeypatch: pytest.MonkeyPatch, folder: Path, database_url: str) -> Run:
    """Runs the program on that database, in a folder without `.env`, which is its DATA_DIR too."""
    monkeypatch.chdir(folder)
    for name, value in {"DATABASE_URL": database_url, "DATA_DIR": str(folder), "COLUMNS": "200"}.items():
        monkeypatch.setenv(name, value)
    for name in ("SECRET_KEY", "SEAL_AFTER_DAYS"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: object, **options: Any) -> Result:
        return CliRunner().invoke(app, [str(one) for one in arguments], **options)

    return run
