"""Sizes of uploads beyond 2 GiB, where an integer has 32 bits."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """SQLite's integers have 64 bits whatever they are called."""
    if op.get_bind().dialect.name != "sqlite":
        op.alter_column("images", "size", type_=sa.BigInteger, existing_type=sa.Integer)


def downgrade() -> None:
    """As it was; fails where a larger size is stored."""
    if op.get_bind().dialect.name != "sqlite":
        op.alter_column("images", "size", type_=sa.Integer, existing_type=sa.BigInteger)
