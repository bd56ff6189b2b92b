"""What Mosquitto's configuration says of limits, persistence and logins. Pure, but for reading the files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from broker.doctor.finding import Finding, fine

#: What Mosquitto 2.0 does where the configuration is silent.
_DEFAULTS = {
    "max_queued_messages": "1000",
    "max_queued_bytes": "0",
    "max_inflight_messages": "20",
    "persistence": "false",
    "autosave_interval": "1800",
    "autosave_on_changes": "false",
    "allow_anonymous": "false",
}
_WINDOW = 200
_AUTOSAVE_S = 60


@dataclass(frozen=True, slots=True)
class Configuration:
    """Its lines in order, as (word, rest), those of included directories too."""

    lines: tuple[tuple[str, str], ...]

    def get(self, word: str) -> str:
        """The last value of a setting, else Mosquitto's default."""
        values = [rest for name, rest in self.lines if name == word]
        return values[-1] if values else _DEFAULTS.get(word, "")

    def number(self, word: str) -> int:
        """The last value of a setting as a number; 0 where it is none."""
        value = self.get(word)
        return int(value) if value.lstrip("-").isdigit() else 0


def read_configuration(file: Path) -> Configuration:
    """A mosquitto.conf with what it includes. Raises OSError."""
    lines: list[tuple[str, str]] = []
    for line in _lines(file.read_text(encoding="utf-8", errors="replace")):
        lines.append(line)
        if line[0] == "include_dir":
            for included in sorted(Path(line[1]).glob("*.conf")):
                lines += _lines(included.read_text(encoding="utf-8", errors="replace"))
    return Configuration(tuple(lines))


def check_configuration(found: Configuration) -> tuple[Finding, ...]:
    """Queue and window limits, persistence and autosave, logins."""
    return (*_queues(found), _window(found), _persistence(found), _logins(found))


def _queues(found: Configuration) -> Iterable[Finding]:
    messages, size = found.number("max_queued_messages"), found.number("max_queued_bytes")
    if messages:
        yield Finding(
            "queue",
            "problem",
            f"The broker keeps {messages:,} messages for a client that is away and drops the rest.",
            "They were acknowledged to the device and never reach us.",
            "Set max_queued_messages 0 and max_queued_bytes to a part of the memory (python -m broker init does).",
        )
    elif not size:
        yield Finding(
            "queue",
            "warning",
            "What waits for a client that is away is not limited.",
            "One that never comes back takes all memory in the end, and the broker with it.",
            "Set max_queued_bytes, such as 1073741824.",
        )
    else:
        yield fine("queue", f"For each client that is away up to {size >> 20:,} MiB are kept.")


def _window(found: Configuration) -> Finding:
    window = found.number("max_inflight_messages")
    if 0 < window < _WINDOW:
        return Finding(
            "window",
            "warning",
            f"Only {window} messages may be under way to a client at a time.",
            "The worker waits for the network then: a seventh of the rate.",
            "Set max_inflight_messages 2000.",
        )
    return fine("window", f"{window or 'Any number of'} messages may be under way to a client.")


def _persistence(found: Configuration) -> Finding:
    if found.get("persistence") != "true":
        return Finding(
            "persistence",
            "problem",
            "The broker keeps nothing on disk.",
            "A restart forgets sessions and all that waits, acknowledged or not.",
            "Set persistence true and autosave_interval 1.",
        )
    autosave = found.number("autosave_interval")
    by_changes = found.get("autosave_on_changes") == "true"
    if not by_changes and (autosave == 0 or autosave > _AUTOSAVE_S):
        return Finding(
            "persistence",
            "warning",
            f"A power cut takes what came in the last {autosave:,} s." if autosave else "It is saved at an end alone.",
            "It was acknowledged to the devices; only those that keep it can send it again.",
            "Set autosave_interval 1.",
        )
    return fine("persistence", f"Saved each {autosave} {'changes' if by_changes else 's'}.")


def _logins(found: Configuration) -> Finding:
    if found.get("allow_anonymous") == "true":
        return Finding(
            "anonymous",
            "problem",
            "The configuration lets everybody in without a login.",
            "Whoever reaches the port can read all and switch everything.",
            "Set allow_anonymous false.",
        )
    return fine("anonymous", "Nobody comes in without a login.")


def _lines(text: str) -> list[tuple[str, str]]:
    found = []
    for raw in text.splitlines():
        line = raw.strip()
        if line and not line.startswith("#"):
            word, _, rest = line.partition(" ")
            found.append((word, rest.strip()))
    return found
