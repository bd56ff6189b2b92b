"""Bridges of sites.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

from db.schema import Name

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "bridges",
        sa.Column("site", Name(64), nullable=False),
        sa.Column("up", sa.SmallInteger(), nullable=False, comment="1: it is connected"),
        sa.Column("since", sa.BigInteger(), nullable=False, comment="UTC ms from when on it has been so"),
        sa.PrimaryKeyConstraint("site", name=op.f("pk_bridges")),
        if_not_exists=True,
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
    )
