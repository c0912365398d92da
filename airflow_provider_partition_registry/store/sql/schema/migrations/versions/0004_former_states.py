"""What a partition was before it was locked, so that its holder can release the lock."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from airflow_provider_partition_registry.store.sql.schema.table_locks import lock_tables

revision = "0004"
down_revision = "0003"

PARTITION = "partition_registry_partition"


def upgrade() -> None:
    """Add the columns. For partitions that are locked already the former state is unknown; they cannot be released."""
    lock_tables(op.get_bind(), PARTITION)
    op.add_column(PARTITION, sa.Column("former_state", sa.Text))
    op.add_column(PARTITION, sa.Column("former_changed_at", sa.BigInteger))
    op.add_column(PARTITION, sa.Column("former_published_at", sa.BigInteger))
    op.add_column(PARTITION, sa.Column("former_reason", sa.Text))
    op.add_column(PARTITION, sa.Column("released_by", sa.Text))
