"""Run in a container: creates a registry with the oldest schema, and one source in it."""

from __future__ import annotations

import os
from contextlib import closing

from alembic import command

from airflow_provider_partition_registry.store.sql.database.engine import Database
from airflow_provider_partition_registry.store.sql.schema import revisions

SOURCE = (
    "INSERT INTO partition_registry_source (name, owner, registered_at) "
    "VALUES ('shop.sales', 'sales-team@example.com', 1777777777000000)"
)

if __name__ == "__main__":
    with closing(Database(os.environ["PARTITION_REGISTRY_URL"], pool_size=1, timeout=30)) as database:
        database.write(
            lambda connection: command.upgrade(
                revisions.alembic_config(connection, database), revisions.REVISIONS[0]
            )
        )
        database.write(lambda connection: connection.exec_driver_sql(SOURCE))
        print(revisions.current(database))
