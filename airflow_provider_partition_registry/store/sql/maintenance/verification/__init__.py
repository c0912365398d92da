"""Verification that derived data follows from the partitions, and the partitions from the history.

The database's constraints say what a row may hold; verification asks the database whether they hold. Derived data is
computed from the partitions alone, in a different way from the code that maintains the derived tables, and inside the
database, so that a million partitions need not be sent anywhere. Verifying sees one moment and holds up nobody;
repairing takes the lock of one source at a time.
"""

from __future__ import annotations

from functools import partial

from sqlalchemy import select
from sqlalchemy.engine import Connection

from airflow_provider_partition_registry.domain.errors import SchemaDamagedError
from airflow_provider_partition_registry.store.sql.database.engine import Database
from airflow_provider_partition_registry.store.sql.maintenance.verification import checks, integrity, past
from airflow_provider_partition_registry.store.sql.maintenance.verification.discrepancies import (
    Discrepancy,
    DiscrepancyKind,
    discrepancy,
)
from airflow_provider_partition_registry.store.sql.maintenance.verification.recomputation import (
    compare_ready_intervals,
)
from airflow_provider_partition_registry.store.sql.maintenance.verification.repairs import (
    rebuild_dropped_tables,
    repair_history,
    repair_source,
)
from airflow_provider_partition_registry.store.sql.schema import afterwards, revisions
from airflow_provider_partition_registry.store.sql.schema.tables import source

__all__ = ["Discrepancy", "DiscrepancyKind", "repair", "verify"]


def verify(database: Database) -> list[Discrepancy]:
    """Compare derived data with what the partitions say, as of one moment; no writer has to wait for it.

    :return: what is wrong; empty if nothing is.
    :raises SchemaError: the database holds no registry, one of another version, or one that lacks some of its tables.
    """
    revisions.require(
        database
    )  # revisions.check() would create a SQLite registry and call the empty one sound
    return database.snapshot(_verify, is_unlimited=True)


def repair(database: Database) -> list[Discrepancy]:
    """Recompute whatever is wrong and follows from other rows, one transaction per source.

    :return: what was wrong and has been repaired. What cannot be repaired stays, and :func:`verify` goes on
        reporting it.
    :raises SchemaError: the database holds no registry, one of another version, or one that lacks tables which do
        not follow from others.
    """
    rebuilt = _rebuild_dropped_tables(database)
    wrong = [each for each in verify(database) if each.is_repairable]
    if any(each.kind is DiscrepancyKind.INDEX_MISSING for each in wrong):
        afterwards.build_indexes(database)
    for source_name in sorted({each.source_name for each in wrong if each.source_name is not None}):
        database.write(partial(repair_source, source_name=source_name), is_unlimited=True)
    if any(each.kind is DiscrepancyKind.HISTORY_COUNTER for each in wrong):
        database.write(repair_history, is_unlimited=True)
    return rebuilt + wrong


def _rebuild_dropped_tables(database: Database) -> list[Discrepancy]:
    try:
        revisions.require(database, is_own=True)
    except SchemaDamagedError as error:
        if not error.is_repairable:
            raise
        names = database.write(rebuild_dropped_tables, is_unlimited=True)
        return [
            discrepancy(DiscrepancyKind.TABLE_MISSING, None, "tables that were dropped", len(names), names)
        ]
    return []


def _verify(connection: Connection) -> list[Discrepancy]:
    damage = integrity.find_damage(connection)
    if any(each.kind in integrity.SPOILS_THE_REST for each in damage):
        return damage
    found = [
        *damage,
        *integrity.find_missing_indexes(connection),
        *checks.find_dangling_references(connection),
        *past.check_history(connection),
        *(each for check in (*checks.CHECKS, *past.CHECKS) for each in check.run(connection)),
    ]
    for row in connection.execute(select(source.c.id, source.c.name).order_by(source.c.name)).all():
        found += compare_ready_intervals(connection, row.id, row.name)
    return found
