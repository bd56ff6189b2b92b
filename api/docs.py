"""The API's description: OpenAPI at `/openapi.json`, and a page to read and try it, all served from here."""

from __future__ import annotations

from importlib.resources import files
from typing import Any, Final

import fastapi_offline
from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

from api import problems

#: Relative to `/docs`, so that it holds under any prefix a proxy adds.
_FILES: Final = "docs_files"
_DESCRIPTION: Final = (
    "Times go out as UTC milliseconds. They come in as ISO 8601, as UTC milliseconds, as `now`, or back from now as "
    "`-15m`, `-1h`, `-7d`. Errors are `application/problem+json` (RFC 9457). Unknown query parameters are ignored."
)


class Api(FastAPI):
    """FastAPI whose documentation is served from this machine and names the errors it really answers with."""

    def __init__(self) -> None:
        super().__init__(
            title="Smart Monitor",
            version="1",
            description=_DESCRIPTION,
            docs_url=None,
            redoc_url=None,
        )
        # Swagger UI as files is all we take from that package.
        self.mount(f"/{_FILES}", StaticFiles(directory=str(files(fastapi_offline) / "static")), name=_FILES)
        self.add_api_route("/docs", _page, include_in_schema=False, response_class=HTMLResponse)

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document."""
        return problems.described(super().openapi())


async def _page() -> HTMLResponse:
    return get_swagger_ui_html(
        openapi_url="openapi.json",
        title="Smart Monitor: API",
        swagger_js_url=f"{_FILES}/swagger-ui-bundle.js",
        swagger_css_url=f"{_FILES}/swagger-ui.css",
        swagger_favicon_url=f"{_FILES}/favicon.png",
        # The validator is a service on the internet.
        swagger_ui_parameters={"validatorUrl": None},
    )
