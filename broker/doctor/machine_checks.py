"""What the machine does to its broker: its clock, who it runs as, who can read its secrets."""

from __future__ import annotations

import ctypes
import os
import stat
from pathlib import Path
from typing import Final

from broker.doctor.finding import Finding, fine

#: Source: <sys/timex.h>.
_STA_UNSYNC: Final = 0x0040
_TIME_ERROR: Final = 5


class _Timex(ctypes.Structure):
    """The head of `struct timex`, with room for the rest. Source: adjtimex(2)."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 256),
    )


def check_clock() -> Finding:
    """Whether this machine's clock is kept right by the network. Asks the kernel and changes nothing."""
    adjtimex = getattr(ctypes.CDLL(None, use_errno=True), "adjtimex", None)
    if adjtimex is None:
        return Finding("clock", "unknown", "Whether this machine's clock is right can't be told here.")
    asked = _Timex()
    state = adjtimex(ctypes.byref(asked))
    if state < 0:
        return Finding(
            "clock", "unknown", f"The kernel does not tell of its clock ({os.strerror(ctypes.get_errno())})."
        )
    if state == _TIME_ERROR or asked.status & _STA_UNSYNC:
        return Finding(
            "clock",
            "warning",
            "Nothing keeps this machine's clock right.",
            "Readings without a time get it from here, certificates and logins expire by it.",
            "Install a time service: apt-get install systemd-timesyncd (or chrony).",
        )
    return fine("clock", "This machine's clock follows a time server.")


def check_directory(path: Path, owner: str) -> tuple[Finding, ...]:
    """Who the broker runs as, and whether others can read what is secret."""
    findings = []
    if owner == "root":
        findings.append(
            Finding(
                "user",
                "warning",
                "The broker runs as root.",
                "A fault in it is a fault in the whole machine.",
                "Make it a user of its own and give it the directory (docs/deploy.md).",
            )
        )
    open_files = [file for file in sorted(path.rglob("*")) if _is_secret(file) and _readable_by_others(file)]
    if open_files:
        names = ", ".join(str(file.relative_to(path)) for file in open_files)
        findings.append(
            Finding(
                "secrets",
                "problem",
                f"Others on this machine can read {names}.",
                "They hold passwords or keys.",
                f"chmod 600 {' '.join(str(file) for file in open_files)}",
            )
        )
    return tuple(findings) or (fine("secrets", f"The broker runs as {owner}, and its secrets are its own."),)


def _is_secret(file: Path) -> bool:
    return (
        file.suffix == ".key" or file.name in {"server.env", "dynamic-security.json"} or file.parent.name == "bridges"
    )


def _readable_by_others(file: Path) -> bool:
    return file.is_file() and bool(file.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))
