"""Control: commands with their steps, the history of states, polling devices, places, and devices being deleted.

Revision ID: 0005
Revises: 0004

MySQL commits each statement by itself, so a start that was killed in between must be able to go on from there.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from db.schema import Name

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TABLE: dict[str, Any] = {"if_not_exists": True, "mysql_charset": "utf8mb4", "mysql_engine": "InnoDB"}


def upgrade() -> None:

    for column in (
        sa.Column("label", sa.String(128), nullable=True, comment="how people call it, null: by its name"),
        sa.Column("site", sa.String(64), nullable=True),
        sa.Column("area", sa.String(64), nullable=True),
        sa.Column("notes", sa.String(1000), nullable=True),
        sa.Column("hidden", sa.SmallInteger(), nullable=False, server_default="0", comment="1: pages leave it out"),
        sa.Column(
            "removed_at",
            sa.BigInteger(),
            nullable=True,
            comment="UTC ms when it was deleted; heard of after that, it is there again",
        ),
    ):
        _add(column)
    op.create_table(
        "states",
        sa.Column("actuator_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("ts", sa.BigInteger(), autoincrement=False, nullable=False, comment="UTC ms from when on it was so"),
        sa.Column("state", sa.String(64), nullable=False, comment="ON, OFF or a number"),
        sa.PrimaryKeyConstraint("actuator_id", "ts", name=op.f("pk_states")),
        sqlite_with_rowid=False,
        **_TABLE,
    )
    _index("states", "ts")
    op.create_table(
        "commands",
        sa.Column("number", _ROW_ID, autoincrement=True, nullable=False),
        sa.Column("id", Name(36), nullable=False, comment="as it goes over the wire"),
        sa.Column("device", Name(191), nullable=False, comment="by name: it outlives the device"),
        sa.Column("actuator", Name(64), nullable=False),
        sa.Column("state", sa.String(64), nullable=False, comment="ON, OFF or a number"),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("made_by", sa.String(191), nullable=False, comment="who asked"),
        sa.Column("address", sa.String(64), nullable=False, comment="from where"),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("deadline_at", sa.BigInteger(), nullable=False),
        sa.Column(
            "sent_at",
            sa.BigInteger(),
            nullable=True,
            comment="UTC ms from when on it may have gone out, noted before it does",
        ),
        sa.Column(
            "report",
            sa.String(64),
            nullable=True,
            comment="what the device said last that neither confirms nor ends it",
        ),
        sa.Column("report_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column(
            "settled", sa.SmallInteger(), nullable=False, comment="1: it has ended, and its end is in the audit log"
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_commands")),
        sa.UniqueConstraint("id", name=op.f("uq_commands_id")),
        sqlite_autoincrement=True,
        **_TABLE,
    )
    _index("commands", "settled", "deadline_at")
    _index("commands", "device", "actuator")
    _index("commands", "ended_at")
    op.create_table(
        "command_steps",
        sa.Column("number", _ROW_ID, autoincrement=True, nullable=False),
        sa.Column("command", sa.BigInteger(), nullable=False, comment="its number"),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("evidence", sa.String(500), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_command_steps")),
        sqlite_autoincrement=True,
        **_TABLE,
    )
    _index("command_steps", "command")
    op.create_table(
        "device_polls",
        sa.Column("device_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("polled_at", sa.BigInteger(), nullable=False, comment="UTC ms when it asked for commands last"),
        sa.Column("until", sa.BigInteger(), nullable=False, comment="UTC ms until which that request is answered"),
        sa.Column(
            "interval_ms",
            sa.BigInteger(),
            nullable=True,
            comment="between the end of a request and the next, null for the first",
        ),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name=op.f("fk_device_polls_device_id")),
        sa.PrimaryKeyConstraint("device_id", name=op.f("pk_device_polls")),
        **_TABLE,
    )
    op.create_table(
        "removals",
        sa.Column("device_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("made_by", sa.String(64), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("readings", sa.BigInteger(), nullable=False, comment="removed so far"),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name=op.f("fk_removals_device_id")),
        sa.PrimaryKeyConstraint("device_id", name=op.f("pk_removals")),
        **_TABLE,
    )


def _add(column: sa.Column[Any]) -> None:
    if column.name not in {known["name"] for known in sa.inspect(op.get_bind()).get_columns("devices")}:
        op.add_column("devices", column)


def _index(table: str, *columns: str) -> None:
    name = f"ix_{table}_{'_'.join(columns)}"
    if name not in {index["name"] for index in sa.inspect(op.get_bind()).get_indexes(table)}:
        op.create_index(name, table, list(columns))
