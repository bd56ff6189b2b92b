"""streamlit-authenticator's login form on our users and our sessions.

The form is its own. Its check of passwords, which knows bcrypt and a dictionary, is replaced by `runtime.doors`, and
its cookie, which scripts can read and nobody can end, by ours.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import streamlit as st

from db.doors import DoorsError
from db.engine import DatabaseAway
from db.users import User
from pages.parts.authenticator import Authenticate, AuthenticationController, AuthenticationModel
from pages.parts.login import begin_login
from pages.parts.origin import origin
from runtime import get_runtime

KEY: Final = "log_in"
_SCRIPT: Final = Path(__file__).with_name("login_form.js")
_FIELDS: Final = {"Form name": "Log in", "Username": "Name", "Password": "Password", "Login": "Log in"}
_EMPTY: Final = "Type your name and your password."
_AWAY: Final = (
    "The database is out of reach, so nobody can log in just now. Nothing is wrong with your password; the server "
    "keeps trying. Try again in a moment."
)


class _Check(AuthenticationModel):  # type: ignore[misc]  # it comes without types
    """The widget's model, asking `doors` in place of its dictionary. One is made for each run of the form."""

    def __init__(self) -> None:
        super().__init__({"usernames": {}}, auto_hash=False)
        self.problem: str | None = None
        self.user: User | None = None

    def check_credentials(self, username: str, password: str) -> bool:
        """Whether `doors` lets them in; if not, `problem` is the sentence that says why."""
        try:
            self.user = get_runtime().doors.check_password(username, password, origin())
        except DoorsError as refused:
            self.problem = str(refused)
        except DatabaseAway:
            self.problem = _AWAY
        if self.user is None:
            return False
        self.credentials["usernames"][username] = {"name": self.user.name, "roles": [self.user.role]}
        return True


class _Controller(AuthenticationController):  # type: ignore[misc]  # it comes without types
    """Takes what was typed as it is: the widget's own strips blanks off the password."""

    def __init__(self, model: _Check) -> None:
        self.authentication_model = model

    def login(self, username: str | None = None, password: str | None = None, *_: Any, **__: Any) -> bool | None:
        """True if they are let in, False if not, None if something was left empty."""
        name = (username or "").strip()
        if not name or not password:
            self.authentication_model.problem = _EMPTY
            return None
        done: bool | None = self.authentication_model.login(name, password)
        return done


class _Cookies:
    """In place of the widget's cookie: the guard has read ours before the form is shown."""

    def __init__(self, model: _Check) -> None:
        self._model = model

    def get_cookie(self) -> None:
        """Nobody is logged in where the form is shown."""

    def set_cookie(self) -> None:
        """Begin the login."""
        if self._model.user is not None:
            try:
                begin_login(self._model.user)
            except DatabaseAway:
                self._model.problem = _AWAY


class _Widget(Authenticate):  # type: ignore[misc]  # it comes without types
    """The form with our parts in it. Its own constructor would bring its cookie, so it is not called."""

    def __init__(self) -> None:
        self.model = _Check()
        self.path = None
        self.secret_key = ""
        self.attrs = {"login_sleep_time": 0}
        self.authentication_controller = _Controller(self.model)
        self.cookie_controller = _Cookies(self.model)


def show_form() -> str | None:
    """The form. Returns what went wrong with the try that was just made, None if none was made.

    After a right one the page is built anew, and whoever asked for it gets what they asked for.
    """
    widget = _Widget()
    # What the widget noted of a login that has ended since, and that it would take for one that stands.
    st.session_state["authentication_status"] = None
    widget.login(location="main", fields=_FIELDS, key=KEY)
    with st.container(key="sm_form_help"):
        _component()(key="login_form")
    if widget.model.user is not None and widget.model.problem is None:
        st.rerun()
    return widget.model.problem


def _component() -> Any:
    return st.components.v2.component("login_form", js=_SCRIPT.read_text(encoding="utf-8"))
