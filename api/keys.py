"""`/keys/`: API keys for scripts. A key has its maker's role, and is shown once."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from api.auth import LOGIN, Caller, Owner, who
from api.current import Id, TheRuntime
from api.problems import AWAY, unknown
from db import keys
from db.doors import ApiKey
from db.engine import reading

router = APIRouter(tags=["keys"])

_NO_SUCH: Final[dict[int | str, dict[str, Any]]] = {404: {"description": "No such key, or another's"}}


class NewKey(BaseModel):
    """What a key is called, so that its owner knows later what it is for."""

    name: Annotated[str, Field(min_length=1, max_length=64)]


class Key(BaseModel):
    """A key as it is kept. `hint` is how it begins; times are UTC ms, `used_at` null where it never was."""

    id: int
    user: str
    name: str
    hint: str
    created_at: int
    used_at: int | None


class MadeKey(Key):
    """A new key. `key` is what the script sends; it is not kept and can't be shown again."""

    key: str


@router.get("/keys/", summary="Own API keys", responses=AWAY)
def list_keys(
    runtime: TheRuntime,
    caller: Owner,
    user: Annotated[str | None, Query(max_length=200, description="This user's, for admins; own without")] = None,
) -> list[Key]:
    """An admin may ask for another user's."""
    return [_shown(key) for key in runtime.doors.keys(caller.actor(), user or caller.name)]


@router.post("/keys/", summary="Make an API key", status_code=201, responses=AWAY)
def make_key(runtime: TheRuntime, caller: Annotated[Caller, who(LOGIN)], response: Response, new: NewKey) -> MadeKey:
    """Not with a key: one that leaks must not make others."""
    key, token = runtime.doors.create_key(caller.actor(), new.name)
    response.headers["Cache-Control"] = "no-store"
    return MadeKey(**_shown(key).model_dump(), key=token)


@router.get("/keys/{key_id}/", summary="One API key", responses=AWAY | _NO_SUCH)
def show_key(runtime: TheRuntime, caller: Owner, key_id: Id) -> Key:
    """One's own; an admin may see everybody's."""
    with reading(runtime.engine) as connection:
        key = keys.by_id(connection, key_id)
    if key is None or (key.user.name != caller.name and caller.role != "admin"):
        raise unknown(f"API key {key_id}")
    return _shown(key)


@router.delete("/keys/{key_id}/", summary="Revoke an API key", status_code=204, responses=AWAY | _NO_SUCH)
def revoke_key(runtime: TheRuntime, caller: Owner, key_id: Id) -> None:
    """At once in this process, within 2 s in others. One's own; an admin may revoke everybody's."""
    runtime.doors.revoke_key(caller.actor(), key_id)


def _shown(key: ApiKey) -> Key:
    return Key(
        id=key.id,
        user=key.user.name,
        name=key.name,
        hint=key.hint,
        created_at=key.created_at,
        used_at=key.used_at,
    )
