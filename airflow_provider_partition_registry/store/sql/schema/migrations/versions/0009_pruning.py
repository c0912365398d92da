"""What was removed from the history of each source, and when a service last pruned by itself."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from airflow_provider_partition_registry.store.sql.schema.table_locks import lock_tables

revision = "0009"
down_revision = "0008"

PREFIX = "partition_registry_"
PRUNING = f"{PREFIX}pruning"
SOURCE = f"{PREFIX}source"
HISTORY = f"{PREFIX}history"
ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
LARGEST_NUMBER = 2**63 - 1
EARLIEST, LATEST = -62_135_596_800_000_000, 253_402_300_799_999_999


def upgrade() -> None:
    """Nothing that exists is read or written differently, so former versions go on."""
    lock_tables(op.get_bind(), SOURCE, HISTORY)
    with op.batch_alter_table(HISTORY) as batch:
        batch.add_column(sa.Column("pruned_at", sa.BigInteger))
        batch.create_check_constraint(
            op.f(f"ck_{HISTORY}_instants"), f"pruned_at BETWEEN {EARLIEST} AND {LATEST}"
        )
    op.create_table(
        PRUNING,
        sa.Column("source_id", ROW_ID, nullable=False, autoincrement=False),
        sa.Column("event_count", sa.BigInteger, nullable=False),
        sa.Column("pruned_to", sa.BigInteger, nullable=False),
        sa.Column("pruned_before", sa.BigInteger, nullable=False),
        sa.Column("partitions_pruned_to", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("greatest_generation", sa.BigInteger, nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("source_id", name=op.f(f"pk_{PRUNING}")),
        sa.ForeignKeyConstraint(["source_id"], [f"{SOURCE}.id"], name=op.f(f"fk_{PRUNING}_source_id")),
        sa.CheckConstraint(
            f"event_count BETWEEN 1 AND {LARGEST_NUMBER} AND pruned_to BETWEEN 1 AND {LARGEST_NUMBER}",
            name=op.f(f"ck_{PRUNING}_events"),
        ),
        sa.CheckConstraint(
            f"partitions_pruned_to BETWEEN 0 AND pruned_to AND greatest_generation BETWEEN 0 AND {LARGEST_NUMBER} "
            f"AND (partitions_pruned_to > 0 OR greatest_generation = 0)",
            name=op.f(f"ck_{PRUNING}_partitions"),
        ),
        sa.CheckConstraint(
            f"pruned_before BETWEEN {EARLIEST} AND {LATEST}", name=op.f(f"ck_{PRUNING}_instants")
        ),
    )
    op.create_index(op.f(f"ix_{PRUNING}_pruned_to"), PRUNING, ["pruned_to"])
