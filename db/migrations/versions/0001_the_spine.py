"""The spine.

Revision ID: 0001
Revises: none

MySQL commits each table by itself, so a start that was killed in between must be able to go on from there.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from db.schema import Name

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:

    op.create_table(
        "account",
        sa.Column("worker", Name(length=128), nullable=False),
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False, comment="UTC days since 1970-01-01"),
        sa.Column("stored", sa.BigInteger(), nullable=False),
        sa.Column("duplicate", sa.BigInteger(), nullable=False),
        sa.Column("rejected", sa.BigInteger(), nullable=False),
        sa.Column("readings_stored", sa.BigInteger(), nullable=False),
        sa.Column("readings_duplicate", sa.BigInteger(), nullable=False),
        sa.Column("readings_rejected", sa.BigInteger(), nullable=False),
        sa.Column(
            "letters_removed",
            sa.BigInteger(),
            nullable=False,
            comment="dead letters that had to leave for newer ones",
        ),
        sa.PrimaryKeyConstraint("worker", "day", name=op.f("pk_account")),
        if_not_exists=True,
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "batches",
        sa.Column("worker", Name(length=128), nullable=False),
        sa.Column("token", sa.String(length=32), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("committed_at", sa.BigInteger(), nullable=False),
        sa.Column("stored", sa.BigInteger(), nullable=False),
        sa.Column("duplicate", sa.BigInteger(), nullable=False),
        sa.Column("rejected", sa.BigInteger(), nullable=False),
        sa.Column("readings_stored", sa.BigInteger(), nullable=False),
        sa.Column("readings_duplicate", sa.BigInteger(), nullable=False),
        sa.Column("readings_rejected", sa.BigInteger(), nullable=False),
        sa.Column(
            "seen",
            sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mariadb").with_variant(mysql.MEDIUMBLOB(), "mysql"),
            nullable=False,
            comment="msgpack: [[device_id, boot, first, last], ...]",
        ),
        sa.PrimaryKeyConstraint("worker", "token", "number", name=op.f("pk_batches")),
        if_not_exists=True,
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "dead_letters",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column(
            "payload",
            sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mariadb").with_variant(mysql.MEDIUMBLOB(), "mysql"),
            nullable=False,
            comment="its first 64 KiB",
        ),
        sa.Column("size", sa.BigInteger(), nullable=False, comment="bytes of the whole payload"),
        sa.Column("reason", sa.String(length=1000), nullable=False),
        sa.Column(
            "retained", sa.SmallInteger(), nullable=False, comment="1: the broker had it in store when we subscribed"
        ),
        sa.Column(
            "stored", sa.BigInteger(), nullable=False, comment="readings of the message that were stored all the same"
        ),
        sa.Column("duplicate", sa.BigInteger(), nullable=False, comment="readings of the message that were known"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dead_letters")),
        if_not_exists=True,
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
        sqlite_autoincrement=True,
    )
    op.create_table(
        "devices",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("name", Name(length=191), nullable=False),
        sa.Column("model", sa.String(length=128), nullable=True),
        sa.Column("firmware", sa.String(length=128), nullable=True),
        sa.Column(
            "online", sa.SmallInteger(), nullable=True, comment="its last status: 1 online, 0 offline, null never told"
        ),
        sa.Column("status_at", sa.BigInteger(), nullable=True, comment="UTC ms of that status"),
        sa.Column("last_seen", sa.BigInteger(), nullable=False, comment="UTC ms of its last message of any kind"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column(
            "boot",
            Name(length=64),
            nullable=True,
            comment="label of its present start, given by us because it sends none",
        ),
        sa.Column("boot_seq", sa.BigInteger(), nullable=True, comment="last sequence number under that label"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_devices")),
        sa.UniqueConstraint("name", name=op.f("uq_devices_name")),
        if_not_exists=True,
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "latest",
        sa.Column("series_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("ts", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("series_id", name=op.f("pk_latest")),
        if_not_exists=True,
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
        sqlite_with_rowid=False,
    )
    _index("ix_latest_received_at", "latest", "received_at")

    op.create_table(
        "readings",
        sa.Column("series_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("ts", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("series_id", "ts", name=op.f("pk_readings")),
        if_not_exists=True,
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "receipts",
        sa.Column("device_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("boot", Name(length=64), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column(
            "digest", sa.BigInteger(), nullable=False, comment="of the payload, tells a repetition from a restart"
        ),
        sa.PrimaryKeyConstraint("device_id", "boot", "seq", name=op.f("pk_receipts")),
        if_not_exists=True,
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
        sqlite_with_rowid=False,
    )
    _index("ix_receipts_received_at", "receipts", "received_at")

    op.create_table(
        "seen",
        sa.Column("device_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("boot", Name(length=64), nullable=False),
        sa.Column("first", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False, comment="UTC ms of the oldest batch in it"),
        sa.Column(
            "last_at", sa.BigInteger(), nullable=False, comment="UTC ms of the batch that brought its last number"
        ),
        sa.PrimaryKeyConstraint("device_id", "boot", "first", name=op.f("pk_seen")),
        if_not_exists=True,
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "leases",
        sa.Column("name", Name(length=32), nullable=False),
        sa.Column("worker", Name(length=128), nullable=False),
        sa.Column(
            "token", sa.String(length=32), nullable=False, comment="of the holder's start: the fence of what it writes"
        ),
        sa.Column("renewed_at", sa.BigInteger(), nullable=False, comment="UTC ms by the database's clock"),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
        if_not_exists=True,
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "workers",
        sa.Column("name", Name(length=128), nullable=False),
        sa.Column("token", sa.String(length=32), nullable=False, comment="of its present start"),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("heartbeat_at", sa.BigInteger(), nullable=False),
        sa.Column("stopped_at", sa.BigInteger(), nullable=True),
        sa.Column("waiting", sa.BigInteger(), nullable=False),
        sa.Column("waiting_readings", sa.BigInteger(), nullable=False),
        sa.Column(
            "lag_ms",
            sa.BigInteger(),
            nullable=True,
            comment="how far behind the newest message was when it was stored, null if unknown",
        ),
        sa.Column("broker_state", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_workers")),
        if_not_exists=True,
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "actuators",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("device_id", sa.Integer(), nullable=False),
        sa.Column("name", Name(length=64), nullable=False),
        sa.Column("minimum", sa.Double(), nullable=True),
        sa.Column("maximum", sa.Double(), nullable=True),
        sa.Column("step", sa.Double(), nullable=True),
        sa.Column("unit", sa.String(length=32), nullable=True),
        sa.Column(
            "state", sa.String(length=64), nullable=True, comment="as the device reported it last: ON, OFF or a number"
        ),
        sa.Column("state_at", sa.BigInteger(), nullable=True, comment="UTC ms when that report arrived"),
        sa.Column("command_id", sa.String(length=36), nullable=True, comment="the command that the report names"),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name=op.f("fk_actuators_device_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_actuators")),
        sa.UniqueConstraint("device_id", "name", name=op.f("uq_actuators_device_id_name")),
        if_not_exists=True,
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "series",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("device_id", sa.Integer(), nullable=False),
        sa.Column("metric", Name(length=128), nullable=False),
        sa.Column("unit", sa.String(length=32), nullable=True),
        sa.Column("name", sa.String(length=128), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name=op.f("fk_series_device_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_series")),
        sa.UniqueConstraint("device_id", "metric", name=op.f("uq_series_device_id_metric")),
        if_not_exists=True,
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
    )


def _index(name: str, table: str, column: str) -> None:
    if name not in {index["name"] for index in sa.inspect(op.get_bind()).get_indexes(table)}:
        op.create_index(name, table, [column])
