"""Every error as `application/problem+json` (RFC 9457), and how the OpenAPI document tells of it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from broker.logins import BadName, LoginError, LoginExists, NoLogin
from db.doors import BadField, Conflict, DoorsError, NotAllowed, SlowDown, WrongLogin
from db.engine import DatabaseAway
from db.history import DamagedChunk

log = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/problem+json"
#: What a 401 says is wanted.
CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="Smart Monitor"'}
#: For the OpenAPI document, of a route that asks the database.
AWAY: Final[dict[int | str, dict[str, Any]]] = {503: {"description": "The database is away"}}
#: When to ask again while the database is away, in seconds.
RETRY_AFTER_S: Final = 5


class FieldError(BaseModel):
    """What is wrong with one field: its name, and what is allowed."""

    field: str
    detail: str


class Problem(BaseModel):
    """An error. `type` is always `about:blank`: `status` and `title` say which, `detail` says what happened."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[FieldError] | None = None


class ProblemError(Exception):
    """Ends a request with this status and text."""

    def __init__(
        self,
        status: int,
        detail: str,
        errors: Iterable[FieldError] = (),
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = list(errors)
        self.headers = dict(headers or {})


def wrong_field(field: str, detail: str) -> ProblemError:
    """400: this field can't be used; `detail` says why and what is allowed."""
    return ProblemError(400, f"{field} {detail}", [FieldError(field=field, detail=detail)])


def unknown(what: str) -> ProblemError:
    """404: there is no such thing."""
    return ProblemError(404, f"There is no {what}.")


def away(cause: str) -> ProblemError:
    """503: the database can't answer now."""
    return ProblemError(503, f"The database is away: {cause.rstrip('.')}. Ask again in {RETRY_AFTER_S} seconds.")


def from_doors(error: DoorsError) -> ProblemError:
    """What `db.doors` refused, in its own words."""
    detail = str(error)
    match error:
        case SlowDown():
            return ProblemError(429, detail, headers={"Retry-After": str(error.seconds)})
        case WrongLogin():
            return ProblemError(401, detail, headers=CHALLENGE)
        case BadField():
            return ProblemError(422, detail, [FieldError(field=error.field, detail=detail)])
        case NotAllowed():
            return ProblemError(403, detail)
        case Conflict():
            return ProblemError(409, detail)
        case _:
            return ProblemError(404, detail)


def from_logins(error: LoginError) -> ProblemError:
    """What became of a login at the broker, in its own words. 503: the broker is away, or did not do it."""
    detail = str(error)
    match error:
        case BadName():
            return ProblemError(422, detail, [FieldError(field="device", detail=detail)])
        case LoginExists():
            return ProblemError(409, detail)
        case NoLogin():
            return ProblemError(404, detail)
        case _:
            return ProblemError(503, detail)


def install(app: FastAPI) -> None:
    """Answer every error of this application as a problem."""
    app.add_exception_handler(ProblemError, _refused)
    app.add_exception_handler(DoorsError, _kept_shut)
    app.add_exception_handler(LoginError, _no_login)
    app.add_exception_handler(DatabaseAway, _database_away)
    app.add_exception_handler(DamagedChunk, _damaged)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unforeseen)


def described(schema: dict[str, Any]) -> dict[str, Any]:
    """The OpenAPI document with our errors in place of FastAPI's own. Changes and returns `schema`; harmless twice."""
    schemas = schema.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for model in (FieldError, Problem):
        own = model.model_json_schema(ref_template="#/components/schemas/{model}")
        own.pop("$defs", None)
        schemas[model.__name__] = own
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for operations in schema.get("paths", {}).values():
        for operation in operations.values():
            for status, response in operation.get("responses", {}).items():
                if status.startswith(("4", "5")) and "content" not in response:
                    response["content"] = content
                elif status == "422":
                    operation["responses"][status] = {"description": "A parameter is wrong", "content": content}
    return schema


def answer(
    status: int, detail: str, errors: list[FieldError] | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """A problem as it goes out."""
    problem = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, errors=errors or None)
    return Response(problem.model_dump_json(exclude_none=True), status, headers, MEDIA_TYPE)


def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)  # noqa: S101 - it is registered for this class
    headers = {"Retry-After": str(RETRY_AFTER_S)} if error.status == 503 else {}
    return answer(error.status, error.detail, error.errors, headers | error.headers)


def _kept_shut(request: Request, error: Exception) -> Response:
    assert isinstance(error, DoorsError)  # noqa: S101 - it is registered for this class
    return _refused(request, from_doors(error))


def _no_login(request: Request, error: Exception) -> Response:
    assert isinstance(error, LoginError)  # noqa: S101 - it is registered for this class
    return _refused(request, from_logins(error))


def _database_away(request: Request, error: Exception) -> Response:
    return _refused(request, away(str(error)))


def _damaged(_request: Request, error: Exception) -> Response:
    return answer(
        500, f"Something in the database was changed: {error}. Other times can be read; python -m db verify names all."
    )


def _invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - it is registered for this class
    errors = [
        FieldError(field=".".join(str(part) for part in one["loc"][1:]), detail=_sentence(one["msg"]))
        for one in error.errors()
    ]
    return answer(422, "; ".join(f"{one.field}: {one.detail}" for one in errors), errors)


def _sentence(message: str) -> str:
    """Its text for people who don't know pydantic."""
    return message.replace("Input should", "should").replace("Field required", "is required")


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for this class
    detail = error.detail
    if error.status_code == 404:
        detail = f"There is nothing at {request.url.path}. What there is stands at {request.scope['root_path']}/docs."
    elif error.status_code == 405:
        detail = f"{request.method} is not possible at {request.url.path}."
    return answer(error.status_code, detail, headers=error.headers)


def _unforeseen(request: Request, error: Exception) -> Response:
    # Quoted: a path and an error may hold what a terminal would obey, and what looks like a line of its own.
    log.error("%s %a failed and was answered with 500: %a", request.method, request.url.path, str(error))
    return answer(500, "The server made a mistake. Its log says which; the worker goes on storing.")
