"""What a Streamlit server says to a page, held back for a while: as where either is slow."""

from __future__ import annotations

from playwright.sync_api import Page, WebSocketRoute

from tests.parts.eventually import eventually


class HeldWire:
    """Between a page that is not yet open and its server. What the page says goes through at once."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._route: WebSocketRoute | None = None
        self._held: list[str | bytes] | None = None
        self._said = self._answered = 0
        page.route_web_socket("**/_stcore/stream", self._open)

    def _open(self, route: WebSocketRoute) -> None:
        server = route.connect_to_server()

        def say(message: str | bytes) -> None:
            self._said += 1
            server.send(message)

        def hear(message: str | bytes) -> None:
            if self._held is None:
                route.send(message)
            else:
                self._held.append(message)

        self._route = route
        route.on_message(say)
        server.on_message(hear)

    def hold(self) -> None:
        """From now on the page hears nothing."""
        self._held, self._said, self._answered = [], 0, 0

    def await_answer(self) -> None:
        """Wait until the page has said something since the last time, and the server has answered."""

        def answered() -> bool:
            self._page.wait_for_timeout(50)  # lets Playwright hear of what the two say
            return self._said > 0 and len(self._held or ()) > self._answered

        eventually(answered, what="an answer of the server")
        self._said, self._answered = 0, len(self._held or ())

    def release(self) -> None:
        """Let the page hear all of it, in order, and what comes after."""
        held, self._held = self._held, None
        assert self._route is not None
        for message in held or ():
            self._route.send(message)
