from __future__ import annotations

from datetime import date
from html.parser import HTMLParser
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

from db.audit import Entry, Recorded
from db.keys import ApiKey
from db.sessions import Session
from db.users import User
from pages.parts.audit_table import ACTIONS, Filter, audit_html, export_html
from pages.parts.connect import curl_line
from pages.parts.people import keys_html, logins_html, users_html
from tests.pages.cases import ms

NOW = ms("2026-11-23T13:10:00Z")
ZONE = ZoneInfo("Europe/Berlin")
WORST = "<img src=x onerror=alert(1)>\"'><script>=1+1</script>\x1b[2J\u202e"


class Tags(HTMLParser):
    """Which elements a page would make of some HTML, and with which attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.acts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.acts += [value or "" for name, value in attrs if name == "data-act"]


def user(name: str, **changes: object) -> User:
    values = {"id": 1, "role": "viewer", "disabled": False, "created_at": NOW, "password_at": NOW}
    return User(**(values | {"name": name, "last_login_at": None, "must_change": False} | changes))  # type: ignore[arg-type]


def harmless(html: str) -> None:
    tags = Tags(html)
    assert not tags.names & {"script", "img", "iframe", "svg", "a"}
    assert not {name for name in tags.attributes if name.startswith("on") or name in ("href", "src")}
    assert "\x1b" not in html
    assert "\u202e" not in html


def test_words_of_others_are_text_in_every_table() -> None:
    session = Session(7, user(WORST), NOW, NOW, NOW, WORST, WORST)
    entry = Entry(NOW, WORST, WORST, WORST, WORST, "failed", WORST)

    harmless(users_html([user(WORST)], "ann", NOW, ZONE))
    harmless(logins_html([session], 1, NOW, ZONE))
    harmless(keys_html([ApiKey(1, user("ann"), WORST, WORST, NOW, None)], NOW, ZONE))
    harmless(audit_html([Recorded(1, entry, "")], NOW, ZONE))
    tags = Tags(export_html(Filter(text=WORST, who=WORST).export(ZONE)))
    assert tags.names == {"a"}


def test_nobody_is_offered_to_shut_themselves_out() -> None:
    users = [user("ann"), user("bob", id=2), user("cyd", id=3, disabled=True)]

    assert Tags(users_html(users, "ann", NOW, ZONE)).acts == [
        *("logins:1", "role:1"),
        *("logins:2", "role:2", "reset:2", "disable:2"),
        *("logins:3", "role:3", "reset:3", "enable:3"),
    ]


def test_the_login_of_this_page_has_no_button_to_end_it() -> None:
    sessions = [Session(number, user("ann"), NOW, NOW, NOW, "::1", "") for number in (1, 2)]

    assert Tags(logins_html(sessions, 1, NOW, ZONE)).acts == ["end:2"]


def test_days_are_those_of_the_zone_and_both_are_in() -> None:
    given = Filter(since=date(2026, 10, 25), until=date(2026, 10, 25)).arguments(ZONE)

    assert (given["since"], given["until"]) == (ms("2026-10-24T22:00:00Z"), ms("2026-10-25T23:00:00Z"))


def test_the_export_asks_for_what_is_shown() -> None:
    address = urlsplit(Filter("a&b=c", " ann ", "login", date(2026, 11, 23)).export(ZONE))

    assert address.path == "api/audit/export.csv"
    assert parse_qs(address.query) == {
        "text": ["a&b=c"],
        "actor": ["ann"],
        "action": ["login"],
        "from": [str(ms("2026-11-22T23:00:00Z"))],
    }
    assert Filter().export(ZONE) == "api/audit/export.csv"


def test_every_action_has_words() -> None:
    assert all(words == words.lower() or "API" in words for words in ACTIONS.values())


def test_the_line_to_try_a_key_is_for_this_server_and_safe_in_a_shell() -> None:
    assert curl_line("http://[::1]:8501/base/account?x=';rm -rf /", "sm_k_x") == (
        "curl -H 'Authorization: Bearer sm_k_x' 'http://[::1]:8501/base/api/devices/'"
    )
