"""Coming in: passwords, the pages' logins, and the tickets by which a browser gets its cookie."""

from __future__ import annotations

from typing import Final

from db import engine as database
from db import sessions, throttle, token_families, tokens, users
from db.engine import Connection, RefusedRows
from db.gate import Gate
from db.rights import Actor, Origin, SlowDown, Unknown, WrongLogin, storable
from db.sessions import Session
from db.users import Credentials, User

_AGENT_LENGTH: Final = 255
_ADDRESS_LENGTH: Final = 64
_NOBODY: Final = "nobody"


class Logins(Gate):
    """The part of the doors at which people come in."""

    # Passwords

    def check_password(self, name: str, password: str, origin: Origin) -> User:
        """The user with this name and password. Each try is counted and, unless it comes too soon, recorded.

        Raises:
            WrongLogin: For a wrong name, a wrong password and a disabled user alike, and in the same time.
            SlowDown: After too many wrong ones; nothing was looked at.
            DatabaseAway: If nobody can be let in now.
        """
        place = throttle.place_of(origin.address)
        who = throttle.Subjects.of(self._subjects_key, users.key_of(name) or name[:100].lower(), place)
        found = self._admit(name, who, place)
        right = self._passwords.matches(found.stored if found is not None else None, password)
        if found is None or found.user.disabled or not right:
            shown = name if users.NAME.fullmatch(name) else "?"
            why = "no such user" if found is None else "the user is disabled" if right else "wrong password"
            self._record_alone(self._entry(_NOBODY, origin, "login", shown, "failed", why))
            raise WrongLogin
        return self._welcome(found, password, who, place, origin)

    def _admit(self, name: str, who: throttle.Subjects, place: str) -> Credentials | None:
        """Count a try as a wrong one, and find whose it would be. Raises SlowDown."""
        now = self._clock()

        def look(connection: Connection) -> tuple[Credentials | None, int]:
            found = users.credentials(connection, name, place, now - throttle.KNOWN_MS)
            known = found is not None and found.known_place
            return found, throttle.wait_ms(connection, self._throttle, who, now, known_place=known)

        found, wait = database.look_up(self._lookups, look)
        if not wait:
            known = found is not None and found.known_place
            wait = self._write(
                lambda connection: throttle.count(connection, self._throttle, who, now, known_place=known),
                again=lambda error: isinstance(error, RefusedRows),
            )
        if wait:
            raise SlowDown(-(-wait // 1000))
        self._prune(now)
        return found

    def _welcome(self, found: Credentials, password: str, who: throttle.Subjects, place: str, origin: Origin) -> User:
        now = self._clock()
        user = found.user
        renewed = self._passwords.hash(password) if self._passwords.outdated(found.stored) else None

        def welcome(connection: Connection) -> None:
            users.note_login(connection, user.id, now)
            if renewed is not None:
                users.hash_anew(connection, user.id, found.stored, renewed)
            throttle.note_place(connection, user.id, place, now)
            throttle.forgive(connection, self._throttle, who, now)
            self._record(connection, self._entry(user.name, origin, "login", user.name, "ok"))

        self._write(welcome)
        return user

    def _prune(self, now: int) -> None:
        if abs(now - self._pruned_at) > 60_000:
            self._pruned_at = now
            self._write(lambda connection: throttle.prune(connection, self._throttle, now))

    # The pages' logins

    def open_session(self, user: User, origin: Origin) -> tuple[str, Session]:
        """A login for a user whose password was right a moment ago: its token, shown this once, and the login.

        Raises:
            WrongLogin: If meanwhile the user was disabled or got another password.
            DatabaseAway: If it can't be stored.
        """
        token = tokens.draw(tokens.SESSION)
        now = self._clock()
        address, agent = storable(origin.address, _ADDRESS_LENGTH), storable(origin.agent, _AGENT_LENGTH)
        session = Session(0, user, now, now, now + self._session_ms, address, agent)

        def add(connection: Connection) -> int:
            if not users.unchanged(connection, user):
                raise WrongLogin
            return sessions.add(connection, session, tokens.digest(token, tokens.SESSION) or "")

        session_id = self._write(add)
        self._write(lambda connection: sessions.prune(connection, now))
        return token, Session(session_id, user, now, now, session.expires_at, address, agent)

    def session(self, token: str | None) -> Session | None:
        """The login of a token, None if it ended, expired, or its user is disabled. Raises DatabaseAway."""
        digest = tokens.digest(token, tokens.SESSION)
        if digest is None:
            return None
        return self._live(self._look_up(f"session {digest}", lambda c: sessions.by_digest(c, digest)))

    def session_by_id(self, session_id: int) -> Session | None:
        """The same, for a page that keeps no token."""
        return self._live(self._look_up(f"session id {session_id}", lambda c: sessions.by_id(c, session_id)))

    def _live(self, session: Session | None) -> Session | None:
        if session is None or session.user.disabled or session.expires_at <= self._clock():
            return None
        self._note_use(f"session {session.id}", session.seen_at, lambda c, now: sessions.touch(c, session.id, now))
        return session

    def end_session(self, session_id: int, actor: Actor) -> None:
        """End a login of one's own, or as an admin anybody's.

        Raises:
            Unknown: If there is none with this id that is theirs to end.
        """
        session = self._read(lambda connection: sessions.by_id(connection, session_id))
        own = session is not None and session.user.name.lower() == actor.name.lower()
        if session is None or not (own or actor.may("admin")):
            raise Unknown("There is no such login; it may have ended already.")
        subject, detail = session.user.name, f"of {session.address}"
        self._change(actor, "session.end", subject, lambda c: sessions.remove(c, session_id), detail=detail)

    def log_out(self, session_id: int, origin: Origin) -> None:
        """End a login from within it; harmless if it ended before."""
        session = self._read(lambda connection: sessions.by_id(connection, session_id))
        if session is not None:
            actor = Actor(session.user.name, session.user.role, origin)
            self._change(actor, "logout", session.user.name, lambda c: sessions.remove(c, session_id))

    def sessions(self, actor: Actor, of: str | None = None) -> list[Session]:
        """One's own logins, or as an admin those `of` another, last used first. Raises NotAllowed, Unknown."""
        user = self._whose(actor, of)
        return self._read(lambda connection: sessions.of_user(connection, user.id, self._clock()))

    def _whose(self, actor: Actor, of: str | None) -> User:
        """Whose things an actor asks for. Raises NotAllowed, Unknown."""
        name = actor.name if of is None else of
        if name.lower() != actor.name.lower():
            self._require(actor, "admin")
        user = self._read(lambda connection: users.find(connection, name))
        if user is None:
            raise Unknown(f"There is no user {storable(name, 64)}.")
        return user

    def _end_all(self, connection: Connection, user: User, keep_session: int | None = None) -> None:
        """End all that was opened with a password."""
        sessions.remove_of_user(connection, user.id, keep_session)
        token_families.remove_of_user(connection, user.id)

    # Tickets

    def issue_ticket(self, token: str) -> str:
        """A ticket for a login's token: good once, for 60 s, in this process."""
        return self._tickets.issue(token)

    def redeem_ticket(self, ticket: str) -> str | None:
        """The token that the ticket stands for, None if it was used, is too old, or was never issued."""
        return self._tickets.redeem(ticket)
