"""What the commands of `python -m broker` share: the directory, and how they end badly."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer

from broker.access import NameRefused
from broker.certificates import CertificateError
from broker.creation import DirectoryError
from broker.directory import BrokerDirectory
from broker.dynamic_security import AdministrationError
from broker.mosquitto import NoMosquitto, StartFailed
from broker.provisioning import AccountExists, NoSuchAccount

DEFAULT: Final = Path("data/broker")

Dir = Annotated[Path, typer.Option("--dir", metavar="DIR", help="The broker's directory.")]
Json = Annotated[bool, typer.Option("--json", help="As JSON.")]

_EXPECTED: Final = (
    NameRefused,
    CertificateError,
    DirectoryError,
    AdministrationError,
    NoMosquitto,
    StartFailed,
    AccountExists,
    NoSuchAccount,
    OSError,
)


def opened(path: Path) -> BrokerDirectory:
    """The directory that is meant, by its whole name, so that what is printed works elsewhere too."""
    return BrokerDirectory(path).absolute()


@contextmanager
def plain_errors() -> Iterator[None]:
    """End the program with one line, exit status 2, where something is wrong."""
    try:
        yield
    except _EXPECTED as error:
        refuse(str(error))


def refuse(text: str) -> NoReturn:
    """End the program with a line that says why."""
    sys.stderr.write(f"{text}\n")
    raise typer.Exit(2)
