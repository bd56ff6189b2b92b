"""Debian's Chromium, driven by Playwright, that may talk to this machine alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.parts.process import find_program

#: Generous, because nothing is timed by it: a busy machine may take long to draw the first page.
_TIMEOUT_MS = 20_000
_ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Whatever asks for another host gets no address, and the tests' machine is left alone.
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
]


class ForeignRequestError(AssertionError):
    """A page asked for something that is not on this machine."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """A running browser. Raises PartMissingError without Chromium.

    Playwright keeps an event loop open in this thread until the end, so asyncio.run() does not work meanwhile.
    """
    path = find_program("chromium", "chromium-browser", "google-chrome", package="chromium")
    with sync_playwright() as playwright:
        expect.set_options(timeout=_TIMEOUT_MS)
        browser = playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        yield browser
        browser.close()


class Pages:
    """Opens pages, each in a context of its own (cookies, storage), and records what they ask of other hosts."""

    def __init__(self, browser: Browser) -> None:
        self.foreign: list[str] = []
        self._browser = browser
        self._contexts: list[BrowserContext] = []

    def open(
        self,
        url: str = "about:blank",
        *,
        width: int = 1280,
        height: int = 800,
        scheme: Literal["light", "dark"] = "light",
        touch: bool = False,
        timezone: str = "UTC",
    ) -> Page:
        """A page of this size in CSS pixels at `url`, loaded as far as the `load` event."""
        context = self._browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            has_touch=touch,
            timezone_id=timezone,
            locale="en-GB",
        )
        self._contexts.append(context)
        context.set_default_timeout(_TIMEOUT_MS)
        context.on("request", lambda request: self._note(request.url))
        page = context.new_page()
        page.on("websocket", lambda socket: self._note(socket.url))
        page.goto(url)
        return page

    def close(self) -> None:
        """Close every page. Raises ForeignRequestError if one asked another host for anything."""
        for context in self._contexts:
            context.close()
        self._contexts.clear()
        if self.foreign:
            raise ForeignRequestError("pages asked other hosts for: " + ", ".join(sorted(set(self.foreign))))

    def _note(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.hostname != "127.0.0.1":
            self.foreign.append(url)
