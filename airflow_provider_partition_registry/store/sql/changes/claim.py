"""A partition under its source's lock: what one writing call reads and changes inside its transaction.

The row lock on the source serialises its writers, so everything read after taking it is what the last writer committed,
and stays so until this transaction ends.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import bindparam, exists, insert, literal, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection
from sqlalchemy.sql.dml import Update

from airflow_provider_partition_registry.domain.errors import (
    NoGrantError,
    UnknownProviderError,
    UnknownSourceError,
)
from airflow_provider_partition_registry.domain.intervals import Interval, clip, difference
from airflow_provider_partition_registry.domain.locking import Change
from airflow_provider_partition_registry.domain.models import (
    BLOCKING_STATES,
    EventType,
    Partition,
    PartitionKey,
    PartitionState,
)
from airflow_provider_partition_registry.store.sql.changes import ready_intervals
from airflow_provider_partition_registry.store.sql.changes.history import write_event
from airflow_provider_partition_registry.store.sql.database.clock import TellTime
from airflow_provider_partition_registry.store.sql.database.types import to_microseconds
from airflow_provider_partition_registry.store.sql.database.values import Ahead
from airflow_provider_partition_registry.store.sql.schema.tables import (
    length_class,
    length_class_of,
    longest_of,
    partition,
    source,
)
from airflow_provider_partition_registry.store.sql.statements.readiness import (
    LOOK_AROUND,
    PUBLISHED_BY_OTHERS,
)
from airflow_provider_partition_registry.store.sql.statements.rows import (
    CHANGING_COLUMNS,
    from_partition,
    to_intervals,
    to_partition,
)

LOCK_SOURCE = (
    select(source.c.id).where(source.c.name == bindparam("source_name")).with_for_update(key_share=True)
)
_LOCK_SOURCE_AHEAD = f"{LOCK_SOURCE.compile(dialect=postgresql.dialect(paramstyle='format'))};\n"
UPDATE_PARTITION = (
    update(partition)
    .where(partition.c.id == bindparam("partition_id"))
    .values({name: bindparam(f"new_{name}", type_=partition.c[name].type) for name in CHANGING_COLUMNS})
)


def lock_source(connection: Connection, source_name: str) -> int:
    """Wait for the other writers of the source and keep them out until the transaction ends.

    :return: the source's id.
    :raises UnknownSourceError: no such source.
    """
    source_id = connection.execute(LOCK_SOURCE, {"source_name": source_name}).scalar()
    if source_id is None:
        raise UnknownSourceError(source_name)
    return int(source_id)


class Claim:
    """One partition, and the right to change it until the transaction ends.

    ``partition`` is None if it is not registered. ``neighbours`` are the source's other partitions, of any provider,
    that overlap it and are locked or failed.

    :param tell_time: takes the database's time and returns the time that counts.
    :raises UnknownSourceError: no such source.
    :raises UnknownProviderError: no such provider.
    """

    def __init__(
        self,
        connection: Connection,
        key: PartitionKey,
        tell_time: TellTime,
    ) -> None:
        self._connection = connection
        self.key = key
        found = self._lock_and_look_around()
        if not found["own"]:
            raise UnknownSourceError(key.source_name)
        (own,) = found["own"]
        if own.provider_id is None:
            raise UnknownProviderError(key.provider_name)
        self._source_id = own.source_id
        self._provider_ids = {row.provider_name: row.provider_id for row in (own, *found["neighbour"])}
        self._is_granted = own.granted is not None
        self.now = tell_time(own.now)
        self.partition = self._to_partition(own) if own.id is not None else None
        self.neighbours = [self._to_partition(row) for row in found["neighbour"] if row.id != own.id]
        self._ready_intervals = to_intervals(found["ready"])

    def require_grant(self) -> None:
        """Refuse a provider that may not write to the source (R10).

        :raises NoGrantError: it has no grant.
        """
        if not self._is_granted:
            raise NoGrantError(self.key.provider_name, self.key.source_name)

    def register(self, *, is_last: bool) -> Partition:
        """Register the partition.

        :param is_last: whether the transaction makes no other change, see :func:`~.history.write_event`.
        """
        length = length_class_of(self.key.interval)
        is_new = ~exists().where(
            length_class.c.source_id == self._source_id, length_class.c.length_class == length
        )
        self._connection.execute(
            insert(length_class).from_select(
                ["source_id", "length_class", "longest"],
                select(literal(self._source_id), literal(length), literal(longest_of(length))).where(is_new),
            )
        )
        registered = Partition(
            source_name=self.key.source_name,
            provider_name=self.key.provider_name,
            interval=self.key.interval,
            state=PartitionState.REGISTERED,
            generation=0,
            registered_at=self.now,
            changed_at=self.now,
        )
        result = self._connection.execute(
            insert(partition).values(
                source_id=self._source_id,
                provider_id=self._provider_ids[self.key.provider_name],
                interval_start=self.key.interval.start,
                interval_end=self.key.interval.end,
                length_class=length,
                registered_at=self.now,
                **from_partition(registered),
            )
        )
        primary_key: Any = result.inserted_primary_key
        self.partition = replace(registered, id=primary_key[0])
        self._write_event(Change(registered, EventType.PARTITION_REGISTERED), is_last=is_last)
        return self.partition

    def apply(self, change: Change, *, is_last: bool) -> None:
        """Make a change of this partition, or of a neighbour, and everything that follows from it.

        :param is_last: whether the transaction makes no other change, see :func:`~.history.write_event`.
        """
        after = change.partition
        if self.partition is not None and after.id == self.partition.id:
            self._update_ready_intervals(self.partition, after)
            self.partition = after
        new = {f"new_{name}": value for name, value in from_partition(after).items()}
        self._write_event(change, (UPDATE_PARTITION, {"partition_id": after.id, **new}), is_last=is_last)

    def _update_ready_intervals(self, before: Partition, after: Partition) -> None:
        if before.state in BLOCKING_STATES and after.state in BLOCKING_STATES:
            return
        ready_intervals.replace_inside(
            self._connection,
            self._source_id,
            self.key.interval,
            present=self._ready_intervals,
            ready=self._ready_inside(after),
        )

    def _ready_inside(self, after: Partition) -> tuple[Interval, ...]:
        """The ready parts of the interval once this partition stands as ``after`` (R1)."""
        if after.state in BLOCKING_STATES:
            return ()
        blocked = [each.interval for each in self.neighbours]
        if after.state is PartitionState.READY:
            return difference([self.key.interval], blocked)
        # The partition no longer covers or blocks anything: what do the others leave?
        row = (0, self._source_id, *_microseconds(self.key.interval), after.id)
        others = to_intervals(PUBLISHED_BY_OTHERS.run(self._connection, [row]))
        return difference(clip(others, self.key.interval), blocked)

    def _lock_and_look_around(self) -> dict[str, list[Any]]:
        """Take the source's lock, and look after that, in one message. On SQLite the transaction is the lock."""
        row = (self.key.source_name, self.key.provider_name, *_microseconds(self.key.interval))
        found: defaultdict[str, list[Any]] = defaultdict(list)
        for each in LOOK_AROUND.run(
            self._connection, [row], ahead=Ahead(_LOCK_SOURCE_AHEAD, (self.key.source_name,))
        ):
            found[each.kind].append(each)
        return found

    def _to_partition(self, row: Any) -> Partition:
        return to_partition(row, self.key.source_name, row.provider_name, self.now)

    def _write_event(
        self, change: Change, update: tuple[Update, Mapping[str, Any]] | None = None, *, is_last: bool
    ) -> None:
        after = change.partition
        write_event(
            self._connection,
            change.event,
            at=self.now,
            source_id=self._source_id,
            source_name=self.key.source_name,
            provider_id=self._provider_ids[after.provider_name],
            interval=after.interval,
            holder=change.holder.identity if change.holder else None,
            generation=after.generation or None,
            details=change.details,
            change=update,
            is_last=is_last,
        )


def _microseconds(interval: Interval) -> tuple[int, int]:
    return to_microseconds(interval.start), to_microseconds(interval.end)
