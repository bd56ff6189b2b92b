"""The audit log as a table, and the address of its export. Pure; every word that is not ours is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from html import escape
from typing import Any, Final, Literal
from urllib.parse import urlencode

from db.audit import Recorded
from pages.parts.format import exact, moment
from pages.parts.tables import state, table
from pages.parts.words import html

#: What can be in the log, and how it is said.
ACTIONS: Final = {
    "login": "log in",
    "logout": "log out",
    "session.end": "end a login",
    "user.create": "create a user",
    "user.role": "change a role",
    "user.password": "set a password",
    "user.disable": "disable a user",
    "user.enable": "enable a user",
    "key.create": "make an API key",
    "key.revoke": "revoke an API key",
    "token.issue": "log in by API",
    "token.reuse": "use a dead token",
    "device_token.create": "make a device token",
    "device_token.revoke": "revoke a device token",
    "device_login.create": "make a login at the broker",
    "device_login.replace": "replace a password at the broker",
    "device_login.revoke": "revoke a login at the broker",
    "device_login.delete": "delete a login at the broker",
    "device.make": "make a device",
    "device.change": "change a device",
    "device.delete": "delete a device",
    "actuator.set": "add an actuator",
    "actuator.remove": "remove an actuator",
    "command.request": "ask an actuator",
    "command.confirmed": "a command was confirmed",
    "command.failed": "a command failed",
    "command.expired": "a command expired",
    "command.contradicted": "a command was contradicted",
    "command.cancelled": "a command was replaced",
    "dead_letters.delete": "delete dead letters",
    "dead_letters.replay": "replay dead letters",
    "readings.import": "import readings",
    "backup.make": "back up",
    "backup.restore": "restore a backup",
    "audit.export": "export the audit log",
    "audit.begin": "begin a new chain",
}
_EXPORT: Final = "api/audit/export.csv"
_SHAPES: Final[dict[str, Literal["online", "late", "silent", "trouble"]]] = {
    "asked": "silent",
    "ok": "online",
    "failed": "late",
    "refused": "late",
}
_COLUMNS: Final = ("When", "Who", "What", "To", "Result", "From", "Detail", "No.")


@dataclass(frozen=True, slots=True)
class Filter:
    """Which records; all conditions hold. `since` and `until` are days of the zone they are shown in, both included."""

    text: str = ""
    who: str = ""
    action: str | None = None
    since: date | None = None
    until: date | None = None

    def arguments(self, zone: tzinfo) -> dict[str, Any]:
        """As `Doors.audit` takes them, times in UTC ms, the end excluded."""
        return {
            "text": self.text.strip(),
            "actor": self.who.strip() or None,
            "action": self.action,
            "since": _midnight(self.since, zone),
            "until": _midnight(self.until and self.until + timedelta(days=1), zone),
        }

    def export(self, zone: tzinfo) -> str:
        """Address of the same records as CSV, relative to a page."""
        given = self.arguments(zone)
        names = {"text": "text", "actor": "actor", "action": "action", "since": "from", "until": "to"}
        query = {names[name]: value for name, value in given.items() if value not in (None, "")}
        return f"{_EXPORT}?{urlencode(query)}" if query else _EXPORT


def _midnight(day: date | None, zone: tzinfo) -> int | None:
    return None if day is None else round(datetime.combine(day, time(), zone).timestamp() * 1000)


def audit_html(records: Sequence[Recorded], now: int, zone: tzinfo) -> str:
    """The records as given. Times are UTC ms."""
    return table("Audit log", _COLUMNS, [_row(one, now, zone) for one in records], log=True)


def _row(recorded: Recorded, now: int, zone: tzinfo) -> tuple[str, ...]:
    entry = recorded.entry
    time_html = f'<span title="{escape(exact(entry.at, zone))}">{escape(moment(entry.at, now, zone))}</span>'
    return (
        time_html,
        html(entry.actor),
        html(ACTIONS.get(entry.action, entry.action)),
        html(entry.subject),
        state(_SHAPES.get(entry.result, "trouble"), entry.result),
        html(entry.address),
        html(entry.detail, 500),
        str(recorded.number),
    )


def export_html(address: str) -> str:
    """A link that looks like a button."""
    return f'<a class="sm-button" href="{escape(address)}" download="audit.csv">Export CSV</a>'
