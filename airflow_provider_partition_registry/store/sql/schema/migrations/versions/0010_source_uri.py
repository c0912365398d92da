"""The real address of a source's data."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from airflow_provider_partition_registry.store.sql.schema.table_locks import lock_tables

revision = "0010_since_0009"
down_revision = "0009"

SOURCE = "partition_registry_source"
ADDRESSED = f"ck_{SOURCE}_addressed"


def upgrade() -> None:
    """Nobody has told it yet. Former versions go on: they neither read nor write it."""
    lock_tables(op.get_bind(), SOURCE)
    if op.get_bind().dialect.name == "sqlite":
        _make_anew()
    else:
        op.execute(
            f"ALTER TABLE {SOURCE} ADD COLUMN uri TEXT, "
            f"ADD CONSTRAINT {ADDRESSED} CHECK (uri <> '') NOT VALID"
        )


def _make_anew() -> None:
    """Copy the table, as SQLite cannot add a constraint to an existing one. People's triggers on it are kept."""
    of_people = "SELECT sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ? ORDER BY name"
    triggers = op.get_bind().exec_driver_sql(of_people, (SOURCE,)).scalars().all()
    with op.batch_alter_table(SOURCE, recreate="always") as batch:
        batch.add_column(sa.Column("uri", sa.Text))
        batch.create_check_constraint(op.f(ADDRESSED), "uri <> ''")
    for trigger in triggers:
        op.get_bind().exec_driver_sql(trigger)
