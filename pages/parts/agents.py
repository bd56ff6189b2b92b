"""What a login was made with, in words a person knows: "Firefox on Windows". Pure."""

from __future__ import annotations

from typing import Final

from pages.parts.words import plain

#: What a browser calls itself, the more special before what it claims to be as well.
_BROWSERS: Final = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Vivaldi/", "Vivaldi"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("HeadlessChrome/", "Chromium without a window"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS: Final = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)
_UNKNOWN: Final = "Unknown browser"
_SHOWN: Final = 60


def browser(agent: str) -> str:
    """Browser and system by the User-Agent header, which anyone can make up; its first characters if it is odd."""
    name = next((name for mark, name in _BROWSERS if mark in agent), None)
    system = next((name for mark, name in _SYSTEMS if mark in agent), None)
    if name and agent.startswith("Mozilla/"):
        return f"{name} on {system}" if system else name
    return plain(agent.strip(), _SHOWN) or _UNKNOWN
