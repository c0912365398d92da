"""CHECK constraints: the database refuses rows that no call could write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from alembic import context, op

from airflow_provider_partition_registry.domain.errors import SchemaBlockedError
from airflow_provider_partition_registry.store.sql.schema.table_locks import lock_tables
from airflow_provider_partition_registry.store.sql.schema.violations import find_violations

revision = "0005"
down_revision = "0004"

PREFIX = "partition_registry_"


def _instants(*columns: str) -> str:
    return " AND ".join(f"{column} BETWEEN -62135596800000000 AND 253402300799999999" for column in columns)


START_BEFORE_END = "interval_start < interval_end"

# In the order in which writers use the tables, as they are locked in it.
CONSTRAINTS: Mapping[str, Mapping[str, str]] = {
    f"{PREFIX}source": {
        "named": "name <> '' AND owner <> ''",
        "instants": _instants("registered_at"),
    },
    f"{PREFIX}provider": {
        "named": "name <> ''",
        "instants": _instants("registered_at"),
    },
    f"{PREFIX}grant": {
        "instants": _instants("granted_at"),
    },
    f"{PREFIX}access_token": {
        "hashed_secret": "length(secret_hash) = 64",
        "instants": _instants("created_at", "expires_at", "revoked_at"),
    },
    f"{PREFIX}length_class": {
        "longest_of_class": (
            "length_class BETWEEN 1 AND 20 AND longest = CAST(1 AS BIGINT) << (3 * length_class)"
        ),
    },
    f"{PREFIX}partition": {
        "start_before_end": START_BEFORE_END,
        "class_of_length": (
            "(interval_end - interval_start) >> (3 * length_class) = 0 "
            "AND (interval_end - interval_start) >> (3 * (length_class - 1)) > 0"
        ),
        "state": (
            "CASE state WHEN 'registered' THEN holder IS NULL AND published_at IS NULL "
            "WHEN 'locked' THEN holder IS NOT NULL AND published_at IS NULL AND reason IS NULL "
            "WHEN 'failed' THEN published_at IS NULL AND reason IS NOT NULL "
            "WHEN 'ready' THEN published_at IS NOT NULL ELSE FALSE END"
        ),
        "generation": "generation BETWEEN 0 AND 9223372036854775807",
        "whole_lock": (
            "CASE WHEN holder IS NULL "
            "THEN holder_details IS NULL AND locked_at IS NULL AND expires_at IS NULL AND exclusive = FALSE "
            "ELSE holder <> '' AND holder_details IS NOT NULL AND locked_at IS NOT NULL "
            "AND exclusive IN (FALSE, TRUE) AND generation > 0 END"
        ),
        "whole_former_state": (
            "CASE WHEN former_state IS NULL "
            "THEN former_changed_at IS NULL AND former_published_at IS NULL AND former_reason IS NULL "
            "ELSE state = 'locked' AND former_state IN ('registered', 'failed', 'ready') "
            "AND former_changed_at IS NOT NULL AND (former_state = 'ready') = (former_published_at IS NOT NULL) "
            "AND (former_state <> 'failed' OR former_reason IS NOT NULL) END"
        ),
        "released_without_lock": (
            "released_by IS NULL "
            "OR (released_by <> '' AND state <> 'locked' AND holder IS NULL AND generation > 0)"
        ),
        "instants": _instants(
            *("interval_start", "interval_end", "registered_at", "changed_at", "published_at"),
            *("locked_at", "expires_at", "former_changed_at", "former_published_at"),
        ),
    },
    f"{PREFIX}ready_interval": {
        "start_before_end": START_BEFORE_END,
        "instants": _instants("interval_start", "interval_end"),
    },
    f"{PREFIX}history": {
        "one_row": "id = 1",
        "last_position": "last_position BETWEEN 0 AND 9223372036854775807",
    },
    f"{PREFIX}event": {
        "position": "position BETWEEN 1 AND 9223372036854775807",
        "type": (
            "CASE WHEN type IN ('PARTITION_REGISTERED', 'LOCK', 'RENEW', 'UNLOCK', 'FAIL', 'RELEASE', "
            "'FORCE_RELEASE', 'INVALIDATE', 'WITHDRAW') "
            "THEN source_id IS NOT NULL AND provider_id IS NOT NULL "
            "AND interval_start IS NOT NULL AND interval_end IS NOT NULL "
            "WHEN type IN ('TOKEN_ROTATED', 'TOKEN_REVOKED') "
            "THEN (source_id IS NULL) <> (provider_id IS NULL) AND interval_start IS NULL AND interval_end IS NULL "
            "WHEN type IN ('SOURCE_REGISTERED', 'PROVIDER_REGISTERED', 'GRANTED', 'GRANT_REVOKED') "
            "THEN source_id IS NOT NULL AND interval_start IS NULL AND interval_end IS NULL ELSE FALSE END"
        ),
        "start_before_end": START_BEFORE_END,
        "generation": "generation BETWEEN 1 AND 9223372036854775807",
        "instants": _instants("at", "interval_start", "interval_end"),
    },
}


def upgrade() -> None:
    """Add the constraints. If rows break them, say which, and leave everything as it is.

    SQLite copies all tables, which takes a while with a million partitions; writers wait for it, readers do not. On
    PostgreSQL nobody waits: after the commit, ``afterwards.validate_constraints`` has the database check all rows once
    more.
    """
    _require_rows_that_fit()
    lock_tables(op.get_bind(), *CONSTRAINTS)
    add = _make_anew if op.get_bind().dialect.name == "sqlite" else _add
    for table, conditions in CONSTRAINTS.items():
        add(table, conditions)


def _require_rows_that_fit() -> None:
    found = find_violations(op.get_bind(), CONSTRAINTS)
    if found.count:
        database = context.config.attributes["database"]
        raise SchemaBlockedError(database, revision, found.count, found.shown)


def _add(table: str, conditions: Mapping[str, str]) -> None:
    added = ", ".join(
        f"ADD CONSTRAINT {_name(table, name)} CHECK ({condition}) NOT VALID"
        for name, condition in conditions.items()
    )
    op.execute(f"ALTER TABLE {table} {added}")


def _make_anew(table: str, conditions: Mapping[str, str]) -> None:
    """Copy the table, as SQLite cannot add a constraint to an existing one. People's triggers on it are kept."""
    triggers = _triggers_of(table)
    with op.batch_alter_table(table, recreate="always") as batch:
        for name, condition in conditions.items():
            batch.create_check_constraint(op.f(_name(table, name)), condition)
    for trigger in triggers:
        op.get_bind().exec_driver_sql(trigger)


def _triggers_of(table: str) -> Sequence[str]:
    statement = "SELECT sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ? ORDER BY name"
    return op.get_bind().exec_driver_sql(statement, (table,)).scalars().all()


def _name(table: str, name: str) -> str:
    return f"ck_{table}_{name}"
