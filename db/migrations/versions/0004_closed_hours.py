"""Hours that are over are folded before their day is sealed: their minutes, and what came late for them.

Revision ID: 0004
Revises: 0003

MySQL commits each statement by itself, so a start that was killed in between must be able to go on from there.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:

    op.create_table(
        "minutes",
        sa.Column("series_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("ts", sa.BigInteger(), autoincrement=False, nullable=False, comment="UTC ms of the hour's begin"),
        sa.Column("packed", _payload(), nullable=False, comment="minutes of an hour that is over and not sealed yet"),
        sa.Column("crc", sa.BigInteger(), nullable=False, comment="CRC-32 of them"),
        sa.PrimaryKeyConstraint("series_id", "ts", name=op.f("pk_minutes")),
        if_not_exists=True,
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "late",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column(
            "start", sa.BigInteger(), nullable=False, comment="UTC ms of the first hour that is named, of any series"
        ),
        sa.Column("until", sa.BigInteger(), nullable=False, comment="UTC ms of the end of the last"),
        sa.Column(
            "named", _payload(), nullable=False, comment="msgpack: [[series_id, start, until], ...], whole hours"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_late")),
        if_not_exists=True,
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
    )


def _payload() -> sa.types.TypeEngine[bytes]:
    return sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql").with_variant(mysql.MEDIUMBLOB(), "mariadb")
