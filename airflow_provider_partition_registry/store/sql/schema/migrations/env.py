"""Lets Alembic run our migrations over the connection and in the transaction of ``revisions.upgrade``."""

from __future__ import annotations

from alembic import context

from airflow_provider_partition_registry.store.sql.schema.tables import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,
)
context.run_migrations()
