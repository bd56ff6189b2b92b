"""Whether a request comes from a page of ours: a browser adds the login's cookie by itself, whoever's page asks.

Another port of the same machine is another origin but the same site, so SameSite=Strict alone does not say it.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send


def is_ours(headers: Headers) -> bool:
    """Whether the `Origin` is the `Host`. A proxy has to hand on `Host` as it came."""
    page = urlsplit(headers.get("origin", "")).netloc
    return bool(page) and page == headers.get("host")


class OwnSockets:
    """Lets pages of ours alone open a WebSocket: Streamlit would take any port of this machine for its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer 403. What names no origin is no browser, and may say what it likes anyway."""
        headers = Headers(scope=scope) if scope["type"] == "websocket" else Headers()
        if "origin" in headers and not is_ours(headers):
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
            return
        await self._app(scope, receive, send)
