"""`python -m db`: users and the audit log, from the server's terminal."""

from __future__ import annotations

import typer

from db import audit_commands, user_commands

app = typer.Typer(
    help="Users and the audit log.", add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False
)
app.add_typer(user_commands.app, name="users")
app.add_typer(audit_commands.app, name="audit")

if __name__ == "__main__":
    app(prog_name="python -m db")
