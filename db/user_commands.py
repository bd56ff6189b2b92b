"""`python -m db users`: for whoever has the server's terminal, and for the day on which no admin can log in."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer

from db.console import opened
from db.terminal import clock
from db.users import User

app = typer.Typer(help="Who may come in, and as what.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME")]


class RoleName(StrEnum):
    """The roles, as they are typed."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


@app.command("list")
def list_users() -> None:
    """All users: name, role, whether disabled, last login."""
    with opened(any_key=True) as console:
        users = console.doors.users()
    width = max([4, *(len(user.name) for user in users)])
    typer.echo(f"{'name':<{width}}  {'role':<8}  {'state':<8}  {'last login':<20}  password")
    for user in users:
        typer.echo(_line(user, width))


def _line(user: User, width: int) -> str:
    state = "disabled" if user.disabled else "enabled"
    last = "never" if user.last_login_at is None else clock(user.last_login_at)
    password = "to be changed" if user.must_change else f"since {clock(user.password_at)}"
    return f"{user.name:<{width}}  {user.role:<8}  {state:<8}  {last:<20}  {password}"


@app.command()
def add(
    name: Name,
    role: Annotated[RoleName, typer.Option(help="What they may do.")] = RoleName.VIEWER,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from stdin instead of making one.")
    ] = False,
) -> None:
    """Make a user. The password is generated, shown once, and to be changed at the first login."""
    password = sys.stdin.readline().rstrip("\r\n") if password_stdin else None
    with opened() as console:
        user, generated = console.doors.create_user(console.actor, name, role.value, password)
    typer.echo(f"{user.name} may log in as {user.role}.")
    _say(generated)


@app.command()
def role(name: Name, role: Annotated[RoleName, typer.Argument(metavar="ROLE")]) -> None:
    """Give a user another role: viewer, operator or admin."""
    with opened() as console:
        user = console.doors.set_role(console.actor, name, role.value)
    typer.echo(f"{user.name} is {user.role} now.")


@app.command()
def reset(name: Name) -> None:
    """Give a user a new password, shown once, and end all their logins."""
    with opened() as console:
        generated = console.doors.reset_password(console.actor, name)
    typer.echo(f"All logins of {name} are ended.")
    _say(generated)


@app.command()
def disable(name: Name) -> None:
    """Shut a user out; what they have open ends within 2 seconds."""
    with opened() as console:
        user = console.doors.set_disabled(console.actor, name, True)
    typer.echo(f"{user.name} is disabled.")


@app.command()
def enable(name: Name) -> None:
    """Let a user in again."""
    with opened() as console:
        user = console.doors.set_disabled(console.actor, name, False)
    typer.echo(f"{user.name} is enabled.")


def _say(generated: str | None) -> None:
    if generated is not None:
        typer.echo(f"The password is {generated} and is shown this once; it is to be changed at the next login.")
