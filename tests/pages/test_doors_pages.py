"""Each page for each role as Streamlit runs it, without a browser, on a runtime of its own."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from db.doors import ROLES, Role
from runtime import Runtime, get_runtime
from tests.pages.test_pages import start
from tests.parts.doors import HERE, PASSWORD, ROOT, add_user
from tests.parts.eventually import eventually
from tests.parts.mariadb import MariaDB

ROOT_DIRECTORY = Path(__file__).parents[2]
# Streamlit's test runner leaves the event loops of its script threads open.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """What the runner left is collected here, where it is forgiven, and not in some other test."""
    yield
    gc.collect()


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch, part_directory: Path) -> Iterator[Runtime]:
    """A runtime with the embedded broker and a user of each role."""
    start(monkeypatch, part_directory)
    get_runtime.clear()
    runtime = get_runtime()
    eventually(lambda: runtime.health().can_store and runtime.doors.users())
    yield runtime
    get_runtime.clear()


def opened(runtime: Runtime, path: str, role: Role | None) -> AppTest:
    """The page at this path, for a user of this role or for nobody."""
    app = AppTest.from_file(str(ROOT_DIRECTORY / "pages" / "navigation.py"), default_timeout=30)
    if role is not None:
        user = runtime.doors.user(f"the-{role}") or add_user(runtime.doors, f"the-{role}", role)
        app.session_state["login"] = runtime.doors.open_session(user, HERE)[1].id
    app.run()
    return app.switch_page(path).run() if path != "live.py" else app


def text_of(app: AppTest) -> str:
    """All that stands on the page."""
    return "\n".join(
        str(getattr(element, "value", "")) + str(getattr(element.proto, "body", "")) for element in app.main
    )


def test_pages_of_admins_are_for_admins(running: Runtime) -> None:
    for path in ("users.py", "audit.py"):
        for role in ROLES:
            # By hand, as it were: nothing links there, and the page stands at its address all the same.
            app = opened(running, path if role == "admin" else "refused.py", role)
            assert not app.exception
            assert ("This page is for administrators" in text_of(app)) == (role != "admin")


def test_the_account_shows_what_is_its_own(running: Runtime) -> None:
    app = opened(running, "account.py", "viewer")

    assert not app.exception
    assert app.title[0].value == "My account"
    assert [one.label for one in app.text_input] == [
        "Name of a new key",
        "Present password",
        "New password",
        "New password once more",
    ]


@pytest.mark.parametrize(
    ("old", "new", "again", "said"),
    [
        ("wrong", "twelve drummers", "twelve drummers", "This is not your present password."),
        (PASSWORD, "twelve drummers", "twelve drummer", "The new password was typed in two ways."),
        (PASSWORD, "short", "short", "10"),
        ("", "twelve drummers", "twelve drummers", "Type your present password and the new one."),
    ],
)
def test_a_password_that_can_not_be_is_told(running: Runtime, old: str, new: str, again: str, said: str) -> None:
    app = opened(running, "account.py", "viewer")
    for field, value in zip(app.text_input[1:], (old, new, again), strict=True):
        field.set_value(value)

    next(one for one in app.button if one.label == "Change password").click().run()

    assert not app.exception
    assert 'role="alert"' in text_of(app)
    assert said in text_of(app).replace("&#x27;", "'")


def test_a_login_that_ended_leaves_nothing_of_it(running: Runtime) -> None:
    app = opened(running, "account.py", "operator")
    session_id = app.session_state["login"]
    app.session_state["shown once"] = "a secret"

    running.doors.end_session(session_id, ROOT)
    app.run()

    assert not app.exception
    assert "You are logged out." in text_of(app)
    assert "shown once" not in app.session_state


def test_a_database_that_is_away_lets_nobody_in_and_throws_nobody_out(
    monkeypatch: pytest.MonkeyPatch, part_directory: Path, own_mariadb: MariaDB
) -> None:
    start(monkeypatch, part_directory / "data", DATABASE_URL=own_mariadb.fresh_database())
    get_runtime.clear()
    runtime = get_runtime()
    eventually(lambda: runtime.health().can_store and runtime.doors.users())
    inside, outside = opened(runtime, "account.py", "viewer"), opened(runtime, "login.py", None)

    own_mariadb.kill()
    eventually(lambda: runtime.health().database.state != "connected")
    outside.text_input[0].set_value("the-viewer")
    outside.text_input[1].set_value(PASSWORD)
    outside.button[0].click()

    for app in (inside.run(), outside.run()):
        assert not app.exception
    assert inside.title[0].value == "My account"
    assert "The database is out of reach" in text_of(outside)
    get_runtime.clear()
