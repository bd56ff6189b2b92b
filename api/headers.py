"""Headers by which a browser refuses what no page of ours needs, on every answer of the API and of the pages."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ALL: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "SAMEORIGIN",
}

#: The API answers with data. Whatever a browser takes it for, it runs nothing and is shown in no frame.
API: Final = _ALL | {
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
}


def for_pages(html: str) -> Mapping[str, str]:
    """Of Streamlit's pages, whose frame is `html`: they run its scripts and our own, and fetch nothing from elsewhere.

    Streamlit hands a component its script as a blob, which only a script that runs already can make.
    """
    policy = (
        "default-src 'self'",
        f"script-src 'self' {scripts_in(html)} blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'self'",
    )
    return _ALL | {"Content-Security-Policy": "; ".join(policy)}


def for_docs(html: str) -> Mapping[str, str]:
    """Of the page that shows the API's description. Swagger UI styles its parts as it goes."""
    policy = (
        "default-src 'self'",
        f"script-src 'self' {scripts_in(html)}",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
    return API | {"Content-Security-Policy": "; ".join(policy)}


def scripts_in(html: str) -> str:
    """The scripts that stand in a page, each by its hash, so that no other one runs that somebody gets into it."""
    hashes = (sha256(script.encode()).digest() for script in re.findall(r"<script>(.*?)</script>", html, re.DOTALL))
    return " ".join(f"'sha256-{b64encode(one).decode()}'" for one in hashes)


class SecurityHeaders:
    """Adds headers to each answer that has not set them itself.

    `own_redirects`: nothing here leads elsewhere, so a redirect names the path alone, and not the host and the scheme
    that the request claims to have come by: a token must not follow it to another host, or out of TLS.
    """

    def __init__(self, app: ASGIApp, headers: Mapping[str, str], *, own_redirects: bool = False) -> None:
        self._app = app
        self._headers = dict(headers)
        self._own_redirects = own_redirects

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and add them where an answer begins."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                if self._own_redirects and "location" in headers:
                    headers["location"] = urlsplit(headers["location"])._replace(scheme="", netloc="").geturl()
            await send(message)

        await self._app(scope, receive, add)
