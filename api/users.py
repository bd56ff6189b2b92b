"""`/users/`: who may log in, and as what. For admins."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, Field

from api.auth import Admin
from api.current import TheRuntime
from api.problems import AWAY, unknown
from db import users
from db.doors import Doors, Role

router = APIRouter(tags=["users"])

_NO_SUCH: Final[dict[int | str, dict[str, Any]]] = {404: {"description": "No such user"}}

Name = Annotated[str, Path(max_length=200)]


class User(BaseModel):
    """A user. Times are UTC ms; `must_change`: the password was generated and its owner has not set another yet."""

    name: str
    role: Role
    disabled: bool
    created_at: int
    password_at: int
    last_login_at: int | None
    must_change: bool


class ShownUser(User):
    """A user, and the password that was generated for it, which can't be shown again; null if none was."""

    password: str | None = None


class NewUser(BaseModel):
    """A user to make. Without a password one is generated."""

    name: Annotated[str, Field(max_length=200)]
    role: Role
    password: Annotated[str | None, Field(max_length=1000)] = None


class Change(BaseModel):
    """What shall be different; what is left out stays."""

    role: Role | None = None
    disabled: bool | None = None
    reset_password: Annotated[bool, Field(description="Generate a password; ends all logins and tokens")] = False


@router.get("/users/", summary="All users", responses=AWAY)
def list_users(runtime: TheRuntime, _caller: Admin) -> list[User]:
    """By name."""
    return [_shown(user) for user in runtime.doors.users()]


@router.get("/users/{name}/", summary="One user", responses=AWAY | _NO_SUCH)
def show_user(runtime: TheRuntime, _caller: Admin, name: Name) -> User:
    """Names are compared by lower case."""
    return _shown(_known(runtime.doors, name))


@router.post(
    "/users/", summary="Make a user", status_code=201, responses=AWAY | {409: {"description": "The name is taken"}}
)
def make_user(runtime: TheRuntime, caller: Admin, response: Response, new: NewUser) -> ShownUser:
    """Without a password one is generated, and shown in this answer alone."""
    user, password = runtime.doors.create_user(caller.actor(), new.name, new.role, new.password)
    response.headers["Cache-Control"] = "no-store"
    return ShownUser(**_shown(user).model_dump(), password=password)


@router.patch("/users/{name}/", summary="Change a user", responses=AWAY | _NO_SUCH)
def change_user(runtime: TheRuntime, caller: Admin, response: Response, name: Name, change: Change) -> ShownUser:
    """With effect at once in this process, within 2 s in others. The last enabled admin stays one."""
    doors, actor = runtime.doors, caller.actor()
    user, password = _known(doors, name), None
    if change.role is not None and change.role != user.role:
        user = doors.set_role(actor, user.name, change.role)
    if change.disabled is not None and change.disabled != user.disabled:
        user = doors.set_disabled(actor, user.name, change.disabled)
    if change.reset_password:
        password = doors.reset_password(actor, user.name)
        user = _known(doors, user.name)
    response.headers["Cache-Control"] = "no-store"
    return ShownUser(**_shown(user).model_dump(), password=password)


def _known(doors: Doors, name: str) -> users.User:
    user = doors.user(name)
    if user is None:
        raise unknown(f"user {name!r}")
    return user


def _shown(user: users.User) -> User:
    return User(
        name=user.name,
        role=user.role,
        disabled=user.disabled,
        created_at=user.created_at,
        password_at=user.password_at,
        last_login_at=user.last_login_at,
        must_change=user.must_change,
    )
