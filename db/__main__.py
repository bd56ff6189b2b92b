"""`python -m db`: users, the audit log, sealed readings, backups and imports, from the server's terminal."""

from __future__ import annotations

import typer

from db import audit_commands, history_commands, move_commands, user_commands

app = typer.Typer(
    help="Users, the audit log, sealed readings, backups and imports.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(user_commands.app, name="users")
app.add_typer(audit_commands.app, name="audit")
for command in (history_commands.seal, history_commands.unseal, history_commands.verify):
    app.command()(command)
app.command("backup")(move_commands.make_backup)
app.command("restore")(move_commands.do_restore)
app.command("import")(move_commands.do_import)

if __name__ == "__main__":
    app(prog_name="python -m db")
