"""Users and what an admin does with them; a user's own password; the first admin; the audit log."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from db import audit, passwords, throttle, users
from db.audit import Recorded, Result, Verdict
from db.engine import Connection, DatabaseAway, DatabaseError, RefusedRows, snapshot
from db.logins import Logins
from db.rights import ROLES, Actor, BadField, Conflict, NotAllowed, Origin, Role, Unknown, storable
from db.users import User

log = logging.getLogger(__name__)

_FIRST: Final = "admin"
_START: Final = Origin("local")


class Membership(Logins):
    """The part of the doors at which it is said who may come in."""

    def users(self) -> list[User]:
        """All users, by name."""
        return self._read(users.every)

    def user(self, name: str) -> User | None:
        """The user of this name, in any case, as they were at most a moment ago."""
        return self._look_up(f"user {users.key_of(name)}", lambda connection: users.find(connection, name))

    def create_user(self, actor: Actor, name: str, role: Role, password: str | None = None) -> tuple[User, str | None]:
        """Make a user; without a password one is generated and returned, to be replaced at the first login.

        Raises:
            BadField: If name, role or password can't be used.
            Conflict: If the name is taken.
            NotAllowed: If the actor is no admin.
        """
        self._need(actor, "admin", "user.create", name)
        self._check_new(name, role)
        generated = None if password is not None else passwords.generate()
        stored = self._stored_password(password or generated or "", name, "password")

        def create(connection: Connection) -> User:
            if users.find(connection, name) is not None:
                raise Conflict(f"There is a user {name} already.")
            users.add(connection, name, role, stored, self._clock(), must_change=generated is not None)
            return _there(connection, name)

        try:
            user = self._change(actor, "user.create", name, create, needs="admin", detail=role)
        except RefusedRows as error:  # another made them at the same moment
            raise Conflict(f"There is a user {name} already.") from error
        return user, generated

    def set_role(self, actor: Actor, name: str, role: Role) -> User:
        """Give a user another role. Raises BadField, Unknown, NotAllowed (also for the last admin)."""
        self._need(actor, "admin", "user.role", name)
        _check_role(role)

        def change(connection: Connection) -> User:
            user = self._leaving_an_admin(connection, name, role == "admin")
            users.set_role(connection, user.id, role)
            return _there(connection, name)

        return self._change(actor, "user.role", name, change, needs="admin", detail=role)

    def set_disabled(self, actor: Actor, name: str, disabled: bool) -> User:
        """Shut a user out, with all they opened, or let them in again. Raises Unknown, NotAllowed (the last admin)."""

        def change(connection: Connection) -> User:
            user = self._leaving_an_admin(connection, name, not disabled)
            users.set_disabled(connection, user.id, disabled=disabled)
            if disabled:
                self._end_all(connection, user)
            return _there(connection, name)

        return self._change(actor, "user.disable" if disabled else "user.enable", name, change, needs="admin")

    def reset_password(self, actor: Actor, name: str) -> str:
        """Give a user a generated password, which is returned, and end all their logins. Raises Unknown, NotAllowed."""
        self._need(actor, "admin", "user.password", name)
        generated = passwords.generate()
        stored = self._passwords.hash(generated)

        def reset(connection: Connection) -> None:
            user = _there(connection, name, lock=True)
            users.set_password(connection, user, stored, self._clock(), must_change=True)
            self._end_all(connection, user)

        self._change(actor, "user.password", name, reset, needs="admin", detail="reset")
        return generated

    def change_password(self, actor: Actor, old: str, new: str, keep_session: int | None = None) -> None:
        """Change one's own password, and end all one's logins but `keep_session`.

        Raises:
            BadField: `old` is wrong, or `new` can't be used.
            SlowDown: After too many wrong old ones.
            Unknown: If the user is gone, or disabled.
        """
        place = throttle.place_of(actor.origin.address)
        who = throttle.Subjects.of(self._subjects_key, users.key_of(actor.name), place)
        found = self._admit(actor.name, who, place)
        if found is None or found.user.disabled:
            raise Unknown(f"There is no user {storable(actor.name, 64)}.")
        if not self._passwords.matches(found.stored, old):
            entry = self._entry(actor.name, actor.origin, "user.password", actor.name, "failed", "wrong password")
            self._record_alone(entry)
            raise BadField("old", "This is not your present password.")
        if old == new:
            raise BadField("new", "This is the password that you have.")
        stored = self._stored_password(new, found.user.name, "new")

        def change(connection: Connection) -> None:
            user = _there(connection, actor.name, lock=True)
            if user.password_at != found.user.password_at:
                raise BadField("old", "The password was changed a moment ago.")
            users.set_password(connection, user, stored, self._clock(), must_change=False)
            self._end_all(connection, user, keep_session)
            throttle.forgive(connection, self._throttle, who, self._clock())

        self._change(actor, "user.password", actor.name, change)

    def first_admin(self, password: str | None) -> str | None:
        """Make the user `admin` if there is no user at all: with this password, or a generated one.

        Returns:
            The password, if this call made the user; None if there were users.

        Raises:
            BadField: If the password can't be used.
            DatabaseAway: If the database is, or has no tables yet.
        """
        if self._read(users.any_at_all):
            return None
        generated = passwords.generate() if password is None else password
        stored = self._stored_password(generated, _FIRST, "password")

        def create(connection: Connection) -> bool:
            if users.any_at_all(connection):
                return False
            users.add(connection, _FIRST, "admin", stored, self._clock(), must_change=password is None)
            self._record(connection, self._entry("the server", _START, "user.create", _FIRST, "ok", "admin, the first"))
            return True

        try:
            return generated if self._write(create) else None
        except RefusedRows as error:
            if self._read(users.any_at_all):  # another server was as quick
                return None
            raise DatabaseAway("The first admin was refused, and nobody else made one. It is tried again.") from error
        finally:
            self._fresh.clear()

    def audit(self, **filters: Any) -> list[Recorded]:
        """Entries of the audit log, newest first: the filters are those of `db.audit.search`."""
        return self._read(lambda connection: audit.search(connection, **filters))

    def record(self, actor: Actor, action: str, subject: str, result: Result = "ok", detail: str = "") -> None:
        """Write to the audit log what is not in the doors' own hands. Raises DatabaseAway."""
        self._record_alone(self._entry(actor.name, actor.origin, action, subject, result, detail))

    def note(self, actor: Actor, action: str, subject: str, result: Result, detail: str = "") -> None:
        """Write to the audit log what was asked of somebody outside the database, and then what came of it.

        Raises DatabaseAway if it can't be written that it was `asked`: then nothing is to be asked. What came of it
        can't be undone any more; where that can't be written, the server's own log says it.
        """
        try:
            self.record(actor, action, subject, result, detail)
        except DatabaseError as error:
            if result == "asked":
                raise
            # Quoted: a device's name may hold what a terminal would obey.
            log.warning(
                "%s of %a was asked for, and then %s: the audit log lacks that (%a)",
                action,
                subject,
                result,
                str(error),
            )

    def verify_audit(self, head: str | None = None) -> Verdict:
        """Go through the whole audit log; `head`: a mac that was noted before. Raises DatabaseAway."""
        with snapshot(self._engine) as connection:
            return audit.verify(connection, self._audit_key, head)

    def every_entry(self, take: Callable[[Recorded], None]) -> int:
        """Give `take` all entries of the audit log of one moment, oldest first. Returns how many."""
        with snapshot(self._engine) as connection:
            count = 0
            for count, recorded in enumerate(audit.every(connection), 1):  # noqa: B007  # how many it were
                take(recorded)
            return count

    def audit_key_fits(self) -> bool:
        """Whether the audit log was begun with the present secret."""
        return self._read(lambda connection: audit.is_key(connection, self._audit_key))

    def begin_audit_anew(self, actor: Actor) -> int:
        """Begin a new chain in the audit log because the secret was lost. Returns how many entries were before."""
        self._require(actor, "admin")
        entry = self._entry(actor.name, actor.origin, audit.BEGIN, "audit", "ok")
        return self._write(lambda connection: audit.begin_anew(connection, self._audit_key, entry))

    def _check_new(self, name: str, role: Role) -> None:
        if not users.NAME.fullmatch(name):
            raise BadField("name", users.NAME_RULE)
        _check_role(role)

    def _stored_password(self, password: str, name: str, field: str) -> str:
        """What to store of a new password. Raises BadField."""
        problem = passwords.problem(password, name)
        if problem is not None:
            raise BadField(field, problem)
        return self._passwords.hash(password)

    @staticmethod
    def _leaving_an_admin(connection: Connection, name: str, stays: bool) -> User:
        """The user, locked. Raises Unknown; NotAllowed if without them no enabled admin is left."""
        admins = users.enabled_admins(connection)
        user = _there(connection, name, lock=True)
        if not stays and admins == [user.id]:
            raise NotAllowed(f"{user.name} is the last admin. Make another one first.")
        return user


def _there(connection: Connection, name: str, *, lock: bool = False) -> User:
    user = users.find(connection, name, lock=lock)
    if user is None:
        raise Unknown(f"There is no user {storable(name, 64)}.")
    return user


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise BadField("role", f"A role is one of {', '.join(ROLES)}.")
