"""Which devices are asked now to send again, by whom it would be heard: the dispatcher's part of it.

Nobody is asked while it would be rash: the broker or a worker was away or is behind, so that what is missing may be
under way; the device is offline, or nobody knows, so that it would hear it when it is old.
"""

from __future__ import annotations

import logging
import time
from typing import Final

import msgspec

from db import resends, workers
from db.engine import Connection
from db.resends import Named, Resend
from ingest.command_sender import Answer
from ingest.dialects import topics
from ingest.health import BrokerHealth
from ingest.resend_plan import ResendSettings
from ingest.snapshot import Snapshot

log = logging.getLogger(__name__)

#: What the broker's acknowledgement of a request is known by; a command's id is never this.
REQUEST: Final = "resend"
#: A worker that was not heard of for longer holds nothing back.
_ALIVE_MS: Final = 10_000


class Asking:
    """One thread asks it, about once a second."""

    def __init__(self, settings: ResendSettings, topic_root: str) -> None:
        self._settings, self._root = settings, topic_root
        self._look_at = 0.0
        self._refused = False

    def is_time(self) -> bool:
        """Whether to look again."""
        return time.monotonic() >= self._look_at

    def choose(self, connection: Connection, board: Snapshot, broker: BrokerHealth, now: int) -> list[Named]:
        """Ranges to be asked for at `now` (UTC ms). Raises DatabaseAway."""
        began = time.monotonic()
        chosen: list[Named] = []
        if broker.state == "connected" and now - broker.since >= self._settings.calm_s * 1000:
            due = resends.due(connection, now)
            if due and self._is_calm(connection):
                chosen = self._some([one for one in due if self._hears(one.device, board)])
        ended = time.monotonic()
        self._look_at = ended + max(self._settings.look_s, 10 * (ended - began))
        return chosen

    def note(self, connection: Connection, chosen: list[Named], now: int) -> list[Named]:
        """Note that these go out, in a transaction that only the keeper can commit; those that may."""
        asked = [(one.range, self._settings.next_at(one.range.tries + 1, now)) for one in chosen]
        may = set(resends.note_asked(connection, asked, now))
        return [one for one in chosen if one.range in may]

    def topic(self, device: str) -> str:
        """Where a device is asked. Raises UnknownTopic."""
        return topics.resend(device, self._root)

    def expires_in_s(self, asked: Resend) -> float:
        """How long a request is worth something: until the next one."""
        return self._settings.wait_ms(asked.tries + 1) / 1000

    def without(self, answers: list[Answer]) -> list[Answer]:
        """What the broker said of others than requests. That it refuses one is told once."""
        refused = next((one.refused for one in answers if one.token == REQUEST and one.refused is not None), None)
        if refused is not None and not self._refused:
            self._refused = True
            log.warning("The broker takes no requests to send again: %s. See the rights of this worker there.", refused)
        return [one for one in answers if one.token != REQUEST]

    def _is_calm(self, connection: Connection) -> bool:
        """Whether every worker keeps up with its queue."""
        behind_ms = self._settings.behind_s * 1000
        alive = [one for one in workers.every(connection) if not one.stopped and one.age_ms < _ALIVE_MS]
        return all(
            one.heartbeat.broker_state == "connected" and (one.heartbeat.lag_ms or 0) <= behind_ms for one in alive
        )

    def _hears(self, device: str, board: Snapshot) -> bool:
        known = board.devices.get(device)
        if known is None or known.presence not in ("online", "late"):
            return False
        try:
            self.topic(device)
        except topics.UnknownTopic:  # it came under another TOPIC_ROOT
            return False
        return True

    def _some(self, due: list[Named]) -> list[Named]:
        chosen: list[Named] = []
        numbers = 0
        for one in due[: self._settings.asked_at_once]:
            numbers += one.range.count
            if chosen and numbers > self._settings.numbers_a_look:
                break
            chosen.append(one)
        return chosen


def payload(asked: Resend) -> bytes:
    """What a device is sent. CONTRACT, "MQTT: native topics"."""
    return msgspec.json.encode({"boot": asked.boot, "from": asked.first, "to": asked.last})
