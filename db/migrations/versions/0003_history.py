"""History: sealed chunks, hours, and what was imported and removed.

Revision ID: 0003
Revises: 0002

MySQL commits each statement by itself, so a start that was killed in between must be able to go on from there.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:

    op.create_table(
        "chunks",
        sa.Column("series_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column(
            "start", sa.BigInteger(), autoincrement=False, nullable=False, comment="UTC ms from which on it holds all"
        ),
        sa.Column("until", sa.BigInteger(), nullable=False, comment="UTC ms before which it does"),
        sa.Column("first", sa.BigInteger(), nullable=False, comment="UTC ms of its first reading"),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column("last_value", sa.Double(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False, comment="readings in it"),
        sa.Column("lo", sa.Double(), nullable=False),
        sa.Column("hi", sa.Double(), nullable=False),
        sa.Column("total", sa.Double(), nullable=False),
        sa.Column(
            "interval_ms",
            sa.BigInteger(),
            nullable=True,
            comment="median of its last 100 distances, null for one reading",
        ),
        sa.Column(
            "minutes", _payload(), nullable=True, comment="its minutes packed, null where its readings are as quick"
        ),
        sa.Column("minutes_crc", sa.BigInteger(), nullable=True, comment="CRC-32 of them"),
        sa.Column(
            "raw",
            _payload(),
            nullable=True,
            comment="its readings as a Parquet file, null once they were past their time",
        ),
        sa.Column("raw_crc", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("series_id", "start", name=op.f("pk_chunks")),
        if_not_exists=True,
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
    )
    if "ix_chunks_until" not in {index["name"] for index in sa.inspect(op.get_bind()).get_indexes("chunks")}:
        op.create_index("ix_chunks_until", "chunks", ["until"])
    op.create_table(
        "hours",
        sa.Column("series_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("ts", sa.BigInteger(), autoincrement=False, nullable=False, comment="UTC ms of the hour's begin"),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("lo", sa.Double(), nullable=False),
        sa.Column("hi", sa.Double(), nullable=False),
        sa.Column("total", sa.Double(), nullable=False, comment="sum of its readings"),
        sa.PrimaryKeyConstraint("series_id", "ts", name=op.f("pk_hours")),
        if_not_exists=True,
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
        sqlite_with_rowid=False,
    )
    _add_count("readings_imported", None)
    _add_count("readings_removed", "past their time, or deleted")


def _payload() -> sa.types.TypeEngine[bytes]:
    return sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql").with_variant(mysql.MEDIUMBLOB(), "mariadb")


def _add_count(name: str, comment: str | None) -> None:
    if name not in {column["name"] for column in sa.inspect(op.get_bind()).get_columns("account")}:
        op.add_column("account", sa.Column(name, sa.BigInteger(), nullable=False, server_default="0", comment=comment))
