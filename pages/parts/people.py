"""Users, their logins and their keys as tables. Pure; every word that is not ours is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from typing import Final

from db.keys import ApiKey
from db.sessions import Session
from db.users import Role, User
from pages.parts.agents import browser
from pages.parts.tables import button, state, table, when
from pages.parts.words import html

ROLE_WORDS: Final[dict[Role, str]] = {
    "viewer": "sees everything that is measured",
    "operator": "sees everything and controls devices",
    "admin": "sees and controls everything, manages users and dead letters",
}
A_ROLE: Final[dict[Role, str]] = {"viewer": "a viewer", "operator": "an operator", "admin": "an admin"}
_HERE: Final = '<span class="sm-dim">this one</span>'
_YOU: Final = ' <span class="sm-dim">you</span>'


def users_html(users: Sequence[User], me: str, now: int, zone: tzinfo) -> str:
    """All users, with what an administrator can do to each. Times are UTC ms."""
    columns = ("Name", "Role", "State", "Last login", "")
    rows = [
        (
            html(user.name) + (_YOU if user.name == me else ""),
            user.role,
            _standing(user),
            when(user.last_login_at, now, zone),
            _user_acts(user, me),
        )
        for user in users
    ]
    return table("Users", columns, rows)


def _standing(user: User) -> str:
    if user.disabled:
        return state("silent", "disabled")
    return state("late", "must set a password") if user.must_change else state("online", "can log in")


def _user_acts(user: User, me: str) -> str:
    acts = [
        button("Logins", f"of {user.name}", f"logins:{user.id}"),
        button("Change role", f"of {user.name}", f"role:{user.id}"),
    ]
    if user.name != me:  # of one's own there is My account, and nobody should shut the door behind themselves
        acts.append(button("Reset password", f"of {user.name}", f"reset:{user.id}"))
        acts.append(
            button("Enable", user.name, f"enable:{user.id}")
            if user.disabled
            else button("Disable", user.name, f"disable:{user.id}")
        )
    return "".join(acts)


def logins_html(sessions: Sequence[Session], here: int, now: int, zone: tzinfo) -> str:
    """Active logins with a way to end each; `here` is the one this page has."""
    rows = [
        (
            f'<span title="{html(one.agent, 500)}">{html(browser(one.agent))}</span>',
            html(one.address),
            when(one.created_at, now, zone),
            when(one.seen_at, now, zone),
            _HERE if one.id == here else button("End", f"the login from {one.address}", f"end:{one.id}"),
        )
        for one in sessions
    ]
    return table("Active logins", ("With", "From", "Since", "Last seen", ""), rows)


def keys_html(keys: Sequence[ApiKey], now: int, zone: tzinfo) -> str:
    """API keys with a way to revoke each."""
    rows = [
        (
            html(key.name),
            f"<code>{html(key.hint)}\N{HORIZONTAL ELLIPSIS}</code>",
            when(key.created_at, now, zone),
            when(key.used_at, now, zone),
            button("Revoke", f"the key {key.name}", f"revoke:{key.id}"),
        )
        for key in keys
    ]
    return table("API keys", ("Name", "Begins with", "Made", "Last used", ""), rows)
