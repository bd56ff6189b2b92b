"""The doors: users, their logins, keys and tokens, and the audit log.

Revision ID: 0002
Revises: 0001

MySQL commits each table by itself, so a start that was killed in between must be able to go on from there.
"""

import sqlalchemy as sa
from alembic import op

from db.schema import Name

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:

    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False, comment="of the last entry"),
        sa.Column("mac", Name(length=64), nullable=False, comment="of the last entry"),
        sa.Column(
            "key_mark",
            Name(length=64),
            nullable=False,
            comment="tells whether a key is the chain's, empty before the first",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_head")),
        if_not_exists=True,
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "audit_log",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=191), nullable=False),
        sa.Column("result", sa.String(length=8), nullable=False),
        sa.Column("detail", sa.String(length=1000), nullable=False),
        sa.Column("mac", Name(length=64), nullable=False, comment="HMAC over this row and the mac before, in hex"),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_audit_log")),
        if_not_exists=True,
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "login_tries",
        sa.Column("subject", Name(length=64), nullable=False, comment="HMAC of a name, an address, or both"),
        sa.Column("wrong", sa.Integer(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column(
            "wait_until", sa.BigInteger(), nullable=False, comment="UTC ms before which no further try is let in"
        ),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_login_tries")),
        if_not_exists=True,
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
    )
    _index("ix_login_tries_last_at", "login_tries", "last_at")
    op.create_table(
        "users",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False, comment="as it was written"),
        sa.Column("name_key", Name(length=64), nullable=False, comment="in lower case, as it is compared"),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("password", sa.String(length=255), nullable=False, comment="argon2id"),
        sa.Column("password_at", sa.BigInteger(), nullable=False),
        sa.Column("must_change", sa.SmallInteger(), nullable=False, comment="1: it was given, and is to be replaced"),
        sa.Column("disabled", sa.SmallInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("last_login_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("name_key", name=op.f("uq_users_name_key")),
        if_not_exists=True,
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("digest", Name(length=64), nullable=False, comment="SHA-256 of the token, in hex"),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("hint", sa.String(length=16), nullable=False, comment="its first characters"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_api_keys_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("digest", name=op.f("uq_api_keys_digest")),
        if_not_exists=True,
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
        sqlite_autoincrement=True,
    )
    op.create_table(
        "device_tokens",
        sa.Column("device_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("digest", Name(length=64), nullable=False, comment="SHA-256 of the token, in hex"),
        sa.Column("hint", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name=op.f("fk_device_tokens_device_id")),
        sa.PrimaryKeyConstraint("device_id", name=op.f("pk_device_tokens")),
        sa.UniqueConstraint("digest", name=op.f("uq_device_tokens_digest")),
        if_not_exists=True,
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "login_places",
        sa.Column("user_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("address", Name(length=64), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False, comment="UTC ms of the last right login from there"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_login_places_user_id")),
        sa.PrimaryKeyConstraint("user_id", "address", name=op.f("pk_login_places")),
        if_not_exists=True,
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "sessions",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("digest", Name(length=64), nullable=False, comment="SHA-256 of the token, in hex"),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("agent", sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_sessions_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
        sa.UniqueConstraint("digest", name=op.f("uq_sessions_digest")),
        if_not_exists=True,
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
        sqlite_autoincrement=True,
    )
    _index("ix_sessions_expires_at", "sessions", "expires_at")
    op.create_table(
        "token_families",
        sa.Column("id", Name(length=43), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("jti", Name(length=43), nullable=False, comment="of the refresh token that is valid now"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_token_families_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_token_families")),
        if_not_exists=True,
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
    )
    _index("ix_token_families_expires_at", "token_families", "expires_at")
    _begin_chain()


def _index(name: str, table: str, column: str) -> None:
    if name not in {index["name"] for index in sa.inspect(op.get_bind()).get_indexes(table)}:
        op.create_index(name, table, [column])


def _begin_chain() -> None:
    # The one row that whoever writes to the audit log locks.
    connection = op.get_bind()
    if connection.scalar(sa.text("SELECT COUNT(*) FROM audit_head")) == 0:
        connection.execute(sa.text("INSERT INTO audit_head (id, number, mac, key_mark) VALUES (1, 0, '', '')"))
