"""What is asked of devices to be sent again.

Revision ID: 0009
Revises: 0008

The index on `seen` finds what is missing since a while, whatever has been seen in all the years before. MySQL commits
each statement by itself, so a start that was killed in between must be able to go on from there.
"""

import sqlalchemy as sa
from alembic import op

from db.schema import Name, RowId

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "resends",
        sa.Column("device_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("boot", Name(64), nullable=False),
        sa.Column("first", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column(
            "noticed_at",
            sa.BigInteger(),
            nullable=False,
            comment="UTC ms of the batch that brought the number after it",
        ),
        sa.Column("tries", sa.Integer(), nullable=False, comment="how often it was asked for"),
        sa.Column("asked_at", sa.BigInteger(), comment="UTC ms when it was last"),
        sa.Column(
            "next_at",
            sa.BigInteger(),
            comment="UTC ms from when on to ask for it; null: another one is in turn, or it ended",
        ),
        sa.Column("outcome", sa.String(16), comment="repaired, gone or unanswered; null: it is waited for"),
        sa.Column("ended_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("device_id", "boot", "first", name=op.f("pk_resends")),
        if_not_exists=True,
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "resend_gone",
        sa.Column("id", RowId, autoincrement=True, nullable=False),
        sa.Column("device_id", sa.Integer(), nullable=False),
        sa.Column("boot", Name(64), nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column(
            "at", sa.BigInteger(), nullable=False, comment="UTC ms when the device said that it has these no longer"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_resend_gone")),
        if_not_exists=True,
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
    )
    inspector = sa.inspect(op.get_bind())
    for table, column in (("resends", "next_at"), ("seen", "seen_at")):
        name = f"ix_{table}_{column}"
        if name not in {index["name"] for index in inspector.get_indexes(table)}:
            op.create_index(name, table, [column])
