"""Commands of a device that go on, and ends to be recorded, are found in an index, however many others there are.

Revision ID: 0006
Revises: 0005

MySQL commits each statement by itself, so a start that was killed in between must be able to go on from there.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_NEW: tuple[tuple[str, ...], ...] = (("device", "settled"), ("settled", "ended_at"))
_FORMER: tuple[tuple[str, ...], ...] = (("device", "actuator"), ("ended_at",))


def upgrade() -> None:
    known = {index["name"] for index in sa.inspect(op.get_bind()).get_indexes("commands")}
    for columns in _NEW:
        if _name(columns) not in known:
            op.create_index(_name(columns), "commands", list(columns))
    for columns in _FORMER:
        if _name(columns) in known:
            op.drop_index(_name(columns), "commands")


def _name(columns: tuple[str, ...]) -> str:
    return f"ix_commands_{'_'.join(columns)}"
