"""What the command line did to a broker: a JSON object a line, in the directory's own audit.log."""

from __future__ import annotations

import getpass
import json
import os
from datetime import UTC, datetime

from broker.directory import BrokerDirectory


def record(directory: BrokerDirectory, what: str, about: str = "") -> None:
    """Note that somebody did it: when (UTC), who (behind sudo: who called it), what, to whom."""
    line = {
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "who": os.environ.get("SUDO_USER") or _typist(),
        "what": what,
        "about": about,
    }
    descriptor = os.open(directory.audit_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as log:
        log.write(json.dumps(line) + "\n")


def _typist() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.geteuid())  # a user without a name, as in a container
