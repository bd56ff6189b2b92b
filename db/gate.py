"""What all of the doors stand on: the database, the secret and the keys that come of it, the clock, the audit log."""

from __future__ import annotations

import hashlib
import hmac
import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from db import audit
from db import engine as database
from db.audit import Entry, Result
from db.engine import Connection, DatabaseError, Engine
from db.fresh import Fresh
from db.passwords import HashCost, Passwords
from db.rights import Actor, NotAllowed, Origin, Role
from db.throttle import Throttle
from db.tickets import Tickets

log = logging.getLogger(__name__)
T = TypeVar("T")

_DAY_MS: Final = 86_400_000
#: The last use of a login, a key or a token is noted at most this often.
_NOTED_EVERY_MS: Final = 60_000
#: How the roles are called in a sentence.
_WHO: Final[dict[Role, str]] = {"viewer": "a viewer", "operator": "an operator", "admin": "an admin"}


def now_ms() -> int:
    """This machine's clock, UTC ms."""
    return time.time_ns() // 1_000_000


def derived(secret: bytes, purpose: str) -> bytes:
    """`Gate.key`, for who has the secret and no doors; `audit` is the purpose of the audit log's."""
    return hmac.new(secret, b"smart-monitor " + purpose.encode(), hashlib.sha256).digest()


class Gate:
    """Made once a process, used by all of its threads."""

    def __init__(
        self,
        engine: Engine,
        secret: bytes,
        *,
        session_days: int = 30,
        cost: HashCost | None = None,
        clock: Callable[[], int] = now_ms,
        fresh_s: float = 1.0,
        throttle: Throttle | None = None,
    ) -> None:
        self.secret = secret
        self._engine = engine
        self._lookups = database.lookups(engine)
        self._session_ms = session_days * _DAY_MS
        self._passwords = Passwords(cost or HashCost())
        self._clock = clock
        self._throttle = throttle or Throttle()
        self._fresh: Fresh[Any] = Fresh(fresh_s)
        self._audit_key = self.key("audit")
        self._subjects_key = self.key("login tries")
        self._tickets = Tickets()
        self._pruned_at = 0
        self._noted: dict[str, int] = {}
        self._noted_lock = threading.Lock()

    def key(self, purpose: str) -> bytes:
        """32 bytes for one purpose; whoever has them knows neither the secret nor the key for another purpose."""
        return derived(self.secret, purpose)

    def close(self) -> None:
        """Close the connections that are the doors' own."""
        if self._lookups is not self._engine:
            self._lookups.dispose()

    def _look_up(self, key: str, query: Callable[[Connection], T]) -> T:
        """The answer of a single statement, at most `fresh_s` old. Raises DatabaseAway."""
        answer: T = self._fresh.get(key, lambda: database.look_up(self._lookups, query))
        return answer

    def _read(self, what: Callable[[Connection], T]) -> T:
        """Raises DatabaseAway."""
        with database.reading(self._engine) as connection:
            return what(connection)

    def _write(self, what: Callable[[Connection], T], *, again: Callable[[BaseException], bool] | None = None) -> T:
        """Do `what` in one transaction; anew if it met another in a deadlock, or for an error that `again` says so of.

        Raises DatabaseAway, RefusedRows, and what `what` raises.
        """
        return database.write(self._engine, what, again=again)

    def _change(
        self,
        actor: Actor,
        action: str,
        subject: str,
        what: Callable[[Connection], T],
        *,
        needs: Role = "viewer",
        detail: str = "",
    ) -> T:
        """Do `what` and record it, in one transaction, if the actor has the role; from then on all see the change.

        Raises NotAllowed (recorded too), DatabaseAway, RefusedRows, and what `what` raises.
        """

        def recorded(connection: Connection) -> T:
            result = what(connection)
            self._record(connection, self._entry(actor.name, actor.origin, action, subject, "ok", detail))
            return result

        self._need(actor, needs, action, subject)
        try:
            return self._write(recorded)
        except NotAllowed as refusal:
            self._record_alone(self._entry(actor.name, actor.origin, action, subject, "refused", str(refusal)))
            raise
        finally:
            self._fresh.clear()

    def _need(self, actor: Actor, role: Role, action: str, subject: str) -> None:
        """Raises NotAllowed, and records it."""
        try:
            self._require(actor, role)
        except NotAllowed as refusal:
            self._record_alone(self._entry(actor.name, actor.origin, action, subject, "refused", str(refusal)))
            raise

    @staticmethod
    def _require(actor: Actor, role: Role) -> None:
        """Raises NotAllowed."""
        if not actor.may(role):
            raise NotAllowed(f"This needs {_WHO[role]}.")

    def _entry(self, actor: str, origin: Origin, action: str, subject: str, result: Result, detail: str = "") -> Entry:
        return Entry(self._clock(), actor, origin.address, action, subject, result, detail)

    def _record(self, connection: Connection, entry: Entry) -> None:
        audit.record(connection, self._audit_key, entry)

    def _record_alone(self, entry: Entry) -> None:
        """In a transaction of its own. Raises DatabaseAway."""
        self._write(lambda connection: self._record(connection, entry))

    def _note_use(self, key: str, last: int | None, write: Callable[[Connection, int], None]) -> None:
        """Note that something was used, at most once a minute and by one thread; harmless if that fails."""
        now = self._clock()
        if last is not None and abs(now - last) < _NOTED_EVERY_MS:
            return
        with self._noted_lock:
            if abs(now - self._noted.get(key, -_NOTED_EVERY_MS)) < _NOTED_EVERY_MS:
                return
            if len(self._noted) > 10_000:
                self._noted.clear()
            self._noted[key] = now
        try:
            self._write(lambda connection: write(connection, now))
        except DatabaseError as error:
            log.debug("The last use of a login could not be noted: %s", error)
