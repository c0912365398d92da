"""The conditions that rows must fulfil, as the text of CHECK constraints that both databases understand.

Each follows from what a call can write (``domain/locking.py`` for partitions). A condition whose columns are NULL
counts as fulfilled, as always in SQL. Each is one line, since SQLAlchemy reads them from SQLite line by line.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum

from airflow_provider_partition_registry.domain.models import EventType
from airflow_provider_partition_registry.store.sql.database.types import to_microseconds

EARLIEST = to_microseconds(datetime.min.replace(tzinfo=UTC))
LATEST = to_microseconds(datetime.max.replace(tzinfo=UTC))
LARGEST_NUMBER = 2**63 - 1
LARGEST_LENGTH_CLASS = 20

PARTITION_EVENTS = (
    *(EventType.PARTITION_REGISTERED, EventType.LOCK, EventType.RENEW, EventType.UNLOCK, EventType.FAIL),
    *(EventType.RELEASE, EventType.FORCE_RELEASE, EventType.INVALIDATE, EventType.WITHDRAW),
)
TOKEN_EVENTS = (EventType.TOKEN_ROTATED, EventType.TOKEN_REVOKED)
OTHER_EVENTS = (
    *(EventType.SOURCE_REGISTERED, EventType.PROVIDER_REGISTERED),
    *(EventType.GRANTED, EventType.GRANT_REVOKED),
)
"""All event types: those about a partition, about the tokens of a source or a provider, and about a source."""


def counted_from(least: int, column: str) -> str:
    """The column holds a number from ``least`` on. The upper bound excludes text, which SQLite sorts above numbers."""
    return f"{column} BETWEEN {least} AND {LARGEST_NUMBER}"


def instants(*columns: str) -> str:
    """The columns hold instants within the calendar; the upper bound excludes text, see :func:`counted_from`."""
    return " AND ".join(f"{column} BETWEEN {EARLIEST} AND {LATEST}" for column in columns)


def _one_of(column: str, values: Iterable[StrEnum]) -> str:
    listed = ", ".join(f"'{each.value}'" for each in values)
    return f"{column} IN ({listed})"


def _no(*columns: str) -> str:
    return " AND ".join(f"{column} IS NULL" for column in columns)


def _all(*columns: str) -> str:
    return " AND ".join(f"{column} IS NOT NULL" for column in columns)


LOST_POSITIONS = f"1 <= last_before AND last_before < first_position AND first_position <= {LARGEST_NUMBER}"
PRUNED_EVENTS = f"{counted_from(1, 'event_count')} AND {counted_from(1, 'pruned_to')}"
PRUNED_PARTITIONS = (
    f"partitions_pruned_to BETWEEN 0 AND pruned_to AND {counted_from(0, 'greatest_generation')} "
    f"AND (partitions_pruned_to > 0 OR greatest_generation = 0)"
)
START_BEFORE_END = "interval_start < interval_end"

# Class n holds the lengths in [8 ** (n - 1), 8 ** n); see tables.length_class_of().
_LENGTH = "(interval_end - interval_start)"
CLASS_OF_LENGTH = f"{_LENGTH} >> (3 * length_class) = 0 AND {_LENGTH} >> (3 * (length_class - 1)) > 0"
LONGEST_OF_CLASS = (
    f"length_class BETWEEN 1 AND {LARGEST_LENGTH_CLASS} AND longest = CAST(1 AS BIGINT) << (3 * length_class)"
)

STATE = (
    "CASE state WHEN 'registered' THEN holder IS NULL AND published_at IS NULL "
    "WHEN 'locked' THEN holder IS NOT NULL AND published_at IS NULL AND reason IS NULL "
    "WHEN 'failed' THEN published_at IS NULL AND reason IS NOT NULL "
    "WHEN 'ready' THEN published_at IS NOT NULL ELSE FALSE END"
)
"""The stored states, and which columns each of them fills."""

WHOLE_LOCK = (
    f"CASE WHEN holder IS NULL THEN {_no('holder_details', 'locked_at', 'expires_at')} AND exclusive = FALSE "
    f"ELSE holder <> '' AND {_all('holder_details', 'locked_at')} AND exclusive IN (FALSE, TRUE) AND generation > 0 END"
)
"""Either there is a lock, present or finished, with everything that belongs to it, or none of its columns is filled."""

WHOLE_FORMER_STATE = (
    f"CASE WHEN former_state IS NULL THEN {_no('former_changed_at', 'former_published_at', 'former_reason')} "
    f"ELSE state = 'locked' AND former_state IN ('registered', 'failed', 'ready') AND former_changed_at IS NOT NULL "
    f"AND (former_state = 'ready') = (former_published_at IS NOT NULL) "
    f"AND (former_state <> 'failed' OR former_reason IS NOT NULL) END"
)
"""The former state is kept only while locked; locks from before it was kept have none."""

RELEASED_WITHOUT_LOCK = (
    "released_by IS NULL OR (released_by <> '' AND state <> 'locked' AND holder IS NULL AND generation > 0)"
)

ONE_PRINCIPAL = "(source_id IS NULL) <> (provider_id IS NULL)"
HASHED_SECRET = "length(secret_hash) = 64"  # noqa: S105 - no password

TYPE = (
    f"CASE WHEN {_one_of('type', PARTITION_EVENTS)} "
    f"THEN {_all('source_id', 'provider_id', 'interval_start', 'interval_end')} "
    f"WHEN {_one_of('type', TOKEN_EVENTS)} "
    f"THEN (source_id IS NULL) <> (provider_id IS NULL) AND {_no('interval_start', 'interval_end')} "
    f"WHEN {_one_of('type', OTHER_EVENTS)} "
    f"THEN source_id IS NOT NULL AND {_no('interval_start', 'interval_end')} ELSE FALSE END"
)
"""The event types, and what each of them is about. A new type needs a migration."""
