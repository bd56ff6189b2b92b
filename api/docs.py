"""The API's description: OpenAPI at `/openapi.json`, and a page to read and try it, all served from here."""

from __future__ import annotations

from importlib.resources import files
from typing import Any, Final

import fastapi_offline
from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from starlette.types import ASGIApp

from api import headers, problems
from api.auth import COOKIE, OPEN, Who, statements, who

#: Relative to `/docs`, so that it holds under any prefix a proxy adds.
_FILES: Final = "docs_files"
_DESCRIPTION: Final = (
    "Times go out as UTC milliseconds. They come in as ISO 8601, as UTC milliseconds, as `now`, or back from now as "
    "`-15m`, `-1h`, `-7d`. Errors are `application/problem+json` (RFC 9457). Unknown query parameters are ignored.\n\n"
    "Each route says who may call it. Credentials are `Authorization: Bearer …` with an access token from `/token/`, "
    "an API key or a device token. The pages use a cookie, with which changes are only possible from a page of this "
    "server: with the cookie of a login on the pages you can try every route here."
)
_BEARER: Final = "bearer"
_COOKIE: Final = "cookie"
_SCHEMES: Final = {
    _BEARER: {
        "type": "http",
        "scheme": "bearer",
        "description": "An access token, an API key (`sm_k_…`) or a device token (`sm_d_…`)",
    },
    _COOKIE: {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": "A login on the pages"},
}


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
        self.add_api_route(
            "/docs", _page, dependencies=[who(OPEN)], include_in_schema=False, response_class=HTMLResponse
        )

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document."""
        if self.openapi_schema is None:
            self._guarded(super().openapi())
        return problems.described(super().openapi())

    def build_middleware_stack(self) -> ASGIApp:
        """Around all else, so that the answer to an error nobody foresaw has the headers too."""
        return headers.SecurityHeaders(super().build_middleware_stack(), headers.API, own_redirects=True)

    def _guarded(self, schema: dict[str, Any]) -> None:
        """Write into the document who may call what."""
        schema.setdefault("components", {})["securitySchemes"] = _SCHEMES
        for path, methods, statement in statements(self.routes):
            operations = schema["paths"].get(path.replace(":path}", "}"), {})
            for method in methods & {name.upper() for name in operations}:
                if statement is not None:
                    _state(operations[method.lower()], statement)


def _state(operation: dict[str, Any], statement: Who) -> None:
    text = ", and ".join(one.text for one in statement.allowed)
    operation["description"] = f"{operation.get('description', '')}\n\nFor {text}.".strip()
    if statement.is_open:
        return
    kinds = {kind for one in statement.allowed for kind in one.kinds}
    operation["security"] = [{_BEARER: []}] if kinds & {"jwt", "key", "device"} else []
    operation["security"] += [{_COOKIE: []}] if "session" in kinds else []
    if statement.may_be_open:
        operation["security"].append({})
    responses = operation["responses"]
    responses.setdefault("401", {"description": "No credentials, or bad ones"})
    responses.setdefault("403", {"description": "Not for this caller"})


def _made() -> HTMLResponse:
    page = get_swagger_ui_html(
        openapi_url="openapi.json",
        title="Smart Monitor: API",
        swagger_js_url=f"{_FILES}/swagger-ui-bundle.js",
        swagger_css_url=f"{_FILES}/swagger-ui.css",
        swagger_favicon_url=f"{_FILES}/favicon.png",
        # The validator is a service on the internet.
        swagger_ui_parameters={"validatorUrl": None},
    )
    page.headers.update(headers.for_docs(bytes(page.body).decode()))
    return page


_PAGE: Final = _made()


async def _page() -> HTMLResponse:
    return _PAGE
