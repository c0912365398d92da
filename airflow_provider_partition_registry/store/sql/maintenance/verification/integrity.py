"""Checks by the database itself: the pages of a SQLite file, the constraints on each row, and the indexes."""

from __future__ import annotations

from sqlalchemy import exc
from sqlalchemy.engine import Connection

from airflow_provider_partition_registry.store.sql.database.failures import reason_of
from airflow_provider_partition_registry.store.sql.maintenance.verification.discrepancies import (
    SHOWN_AT_MOST,
    Discrepancy,
    DiscrepancyKind,
    discrepancy,
)
from airflow_provider_partition_registry.store.sql.schema.afterwards import (
    check_constraints,
    missing_indexes,
)
from airflow_provider_partition_registry.store.sql.schema.revisions import is_at_head
from airflow_provider_partition_registry.store.sql.schema.tables import check_name, conditions_of, metadata
from airflow_provider_partition_registry.store.sql.schema.violations import find_violations

SPOILS_THE_REST = frozenset({DiscrepancyKind.FILE_DAMAGED, DiscrepancyKind.CONSTRAINT_BROKEN})
"""If these are found, everything else that is read may be wrong as well."""

_BROKEN_IN_SQLITE = "CHECK constraint failed in "


def find_damage(connection: Connection) -> list[Discrepancy]:
    """Find damaged pages of a SQLite file, constraints that do not bind every row, and rows that break one.

    Rows that break a constraint are searched for only if the database says that there may be some: because a constraint
    is missing, was added without checking existing rows, or somebody told SQLite to ignore constraints.
    """
    told = _integrity(connection)
    damage = [each for each in told if not each.startswith(_BROKEN_IN_SQLITE)]
    if damage:
        what = "the file is damaged, as a copy is that was made while somebody wrote; SQLite says"
        return [discrepancy(DiscrepancyKind.FILE_DAMAGED, None, what, len(damage), damage)]
    not_in_force = _constraints_not_in_force(connection)
    if not (told or not_in_force):
        return []
    return _lacking(not_in_force) + _broken_rows(connection)


def find_missing_indexes(connection: Connection) -> list[Discrepancy]:
    """Find indexes that are not there, or not built to the end; answers are right without them, but slow."""
    if not is_at_head(connection):  # a newer schema may have others
        return []
    names = [str(index.name) for _, index in missing_indexes(connection)]
    if not names:
        return []
    what = "indexes that are gone, or not built to the end"
    return [discrepancy(DiscrepancyKind.INDEX_MISSING, None, what, len(names), names[:SHOWN_AT_MOST])]


def _lacking(constraints: list[str]) -> list[Discrepancy]:
    if not constraints:
        return []
    what = "constraints that are gone, or not valid until partition-registry db upgrade has validated them"
    kind = DiscrepancyKind.CONSTRAINT_NOT_IN_FORCE
    return [discrepancy(kind, None, what, len(constraints), constraints[:SHOWN_AT_MOST])]


def _integrity(connection: Connection) -> list[str]:
    if connection.dialect.name != "sqlite":
        return []
    try:
        told = connection.exec_driver_sql(f"PRAGMA integrity_check({SHOWN_AT_MOST})").scalars().all()
    except exc.OperationalError:
        raise
    except exc.DatabaseError as error:  # The damage keeps SQLite from looking any further.
        return [reason_of(error)]
    return [each for each in told if each != "ok"]


def _constraints_not_in_force(connection: Connection) -> list[str]:
    found = []
    for table in metadata.sorted_tables:
        are_valid = check_constraints(connection, table.name)
        wanted = [check_name(table.name, name) for name in conditions_of(table)]
        found += [name for name in wanted if not are_valid.get(name)]
    return found


def _broken_rows(connection: Connection) -> list[Discrepancy]:
    tables = metadata.sorted_tables
    found = find_violations(connection, {table.name: conditions_of(table) for table in tables})
    if not found.count:
        return []
    what = "rows that break constraints"
    shown = found.shown[:SHOWN_AT_MOST]
    return [discrepancy(DiscrepancyKind.CONSTRAINT_BROKEN, None, what, found.count, shown)]
