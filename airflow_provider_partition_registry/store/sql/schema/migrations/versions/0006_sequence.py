"""Positions from a sequence on PostgreSQL, where the events of each source are counted instead."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from airflow_provider_partition_registry.store.sql.schema.table_locks import lock_tables

revision = "0006"
down_revision = "0005"

PREFIX = "partition_registry_"
HISTORY = f"{PREFIX}history"
SEQUENCE = f"{PREFIX}event_position"


def upgrade() -> None:
    """Add what is needed. A registry that holds events goes on with its counter, which former versions need.

    See ``finishing.finish`` for what ends that.
    """
    lock_tables(op.get_bind(), f"{PREFIX}source", f"{PREFIX}provider", HISTORY)
    for table in ("source", "provider"):
        count = sa.Column("event_count", sa.BigInteger, nullable=False, server_default="0")
        op.add_column(f"{PREFIX}{table}", count)
    with op.batch_alter_table(HISTORY) as batch:
        batch.alter_column("last_position", existing_type=sa.BigInteger, nullable=True)
    if op.get_bind().dialect.name == "postgresql":
        # Whoever drops the events, or copies them with pg_dump --table, means the sequence as well.
        op.execute(f"CREATE SEQUENCE {SEQUENCE} AS BIGINT MINVALUE 0 START 1 OWNED BY {PREFIX}event.position")
        history = sa.table(HISTORY, sa.column("last_position"))
        event = sa.table(f"{PREFIX}event", sa.column("position"))
        # From here on every number up to ``last_value`` has been given out, also before there is any event.
        op.execute(sa.select(sa.func.setval(SEQUENCE, history.c.last_position)))
        has_events = sa.exists(sa.select(event.c.position))
        op.execute(sa.update(history).where(~has_events).values(last_position=None))
