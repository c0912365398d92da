"""Where the history lives, and what was lost of it when a backup was restored."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from airflow_provider_partition_registry.store.sql.schema.table_locks import lock_tables

revision = "0007"
down_revision = "0006"

PREFIX = "partition_registry_"
LARGEST_NUMBER = 2**63 - 1
EARLIEST, LATEST = -62_135_596_800_000_000, 253_402_300_799_999_999


def upgrade() -> None:
    """The home is noted by the first writer."""
    lock_tables(op.get_bind(), f"{PREFIX}history")
    op.add_column(f"{PREFIX}history", sa.Column("home", sa.Text))
    op.create_table(
        f"{PREFIX}restoration",
        sa.Column("first_position", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("last_before", sa.BigInteger, nullable=False),
        sa.Column("noticed_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("first_position", name=op.f(f"pk_{PREFIX}restoration")),
        sa.CheckConstraint(
            f"1 <= last_before AND last_before < first_position AND first_position <= {LARGEST_NUMBER}",
            name=op.f(f"ck_{PREFIX}restoration_lost_positions"),
        ),
        sa.CheckConstraint(
            f"noticed_at BETWEEN {EARLIEST} AND {LATEST}", name=op.f(f"ck_{PREFIX}restoration_instants")
        ),
    )
