"""Access tokens of providers as well as sources, which can expire and be revoked.

What concerns only a provider is recorded as well, so an event need not be about a source.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from airflow_provider_partition_registry.store.sql.schema.table_locks import lock_tables

revision = "0002"
down_revision = "0001"

ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
PREFIX = "partition_registry_"
TOKEN = f"{PREFIX}access_token"


def upgrade() -> None:
    """Widen both tables; existing tokens and events stay as they are."""
    lock_tables(op.get_bind(), f"{PREFIX}provider", TOKEN, f"{PREFIX}event")
    with op.batch_alter_table(TOKEN) as batch:
        batch.alter_column("source_id", existing_type=ROW_ID, nullable=True)
        batch.add_column(sa.Column("provider_id", ROW_ID))
        batch.add_column(sa.Column("expires_at", sa.BigInteger))
        batch.add_column(sa.Column("revoked_at", sa.BigInteger))
        batch.create_foreign_key(f"fk_{TOKEN}_provider_id", f"{PREFIX}provider", ["provider_id"], ["id"])
        batch.create_check_constraint(
            op.f(f"ck_{TOKEN}_one_principal"), "(source_id IS NULL) <> (provider_id IS NULL)"
        )
        batch.create_index(f"ix_{TOKEN}_provider_id", ["provider_id"])
    with op.batch_alter_table(f"{PREFIX}event") as batch:
        batch.alter_column("source_id", existing_type=ROW_ID, nullable=True)
