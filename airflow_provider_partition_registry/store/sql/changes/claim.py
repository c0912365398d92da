"""Partitions under their source's lock: what a writing call reads and changes inside its transaction.

The row lock on the source serialises its writers, so everything read after taking it is what the last writer committed,
and stays so until this transaction ends. Changes are made here, in memory; all of them are then written together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import zip_longest
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection

from airflow_provider_partition_registry.domain.became_ready import (
    FREEING_EVENTS,
    tell_of_blocked,
    tell_of_freed,
)
from airflow_provider_partition_registry.domain.errors import (
    NoGrantError,
    UnknownProviderError,
    UnknownSourceError,
)
from airflow_provider_partition_registry.domain.intervals import Interval, clip, union
from airflow_provider_partition_registry.domain.locking import Change
from airflow_provider_partition_registry.domain.models import (
    EventType,
    Partition,
    PartitionKey,
    PartitionState,
)
from airflow_provider_partition_registry.domain.overlapping import Overlapping
from airflow_provider_partition_registry.store.sql.changes.history import Line, finish_with_events
from airflow_provider_partition_registry.store.sql.changes.ready_intervals import (
    Effect,
    effect,
    ready_after,
    replace_inside,
)
from airflow_provider_partition_registry.store.sql.database.clock import TellTime
from airflow_provider_partition_registry.store.sql.database.message import Message
from airflow_provider_partition_registry.store.sql.database.types import ends_in_microseconds
from airflow_provider_partition_registry.store.sql.schema.tables import (
    length_class,
    length_class_of,
    longest_of,
    partition,
    source,
)
from airflow_provider_partition_registry.store.sql.statements.claims import LOOK_AROUND, PUBLISHED
from airflow_provider_partition_registry.store.sql.statements.rows import (
    CHANGING_COLUMNS,
    from_partition,
    to_intervals,
    to_partition,
)
from airflow_provider_partition_registry.store.sql.statements.upserts import upsert

LOCK_SOURCE = (
    select(source.c.id).where(source.c.name == bindparam("source_name")).with_for_update(key_share=True)
)
_LOCK_SOURCE_IN_MESSAGE = str(LOCK_SOURCE.compile(dialect=postgresql.dialect(paramstyle="format")))

SAVE_PARTITIONS = upsert(
    partition,
    key=("source_id", "interval_start", "interval_end", "provider_id"),
    changing=CHANGING_COLUMNS,
)
SAVE_LENGTH_CLASSES = upsert(length_class, key=("source_id", "length_class"), changing=("longest",))


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
    """Partitions of one provider and source, and the right to change them until the transaction ends.

    :param keys: the partitions, whether or not they are registered; at least one.
    :param looks_around: whether they may become ready or stop being so; otherwise it does not matter what is around.
    :param tell_time: takes the database's time and returns the time that counts.
    :raises UnknownSourceError: no such source.
    :raises UnknownProviderError: no such provider.
    """

    def __init__(
        self,
        connection: Connection,
        keys: Sequence[PartitionKey],
        tell_time: TellTime,
        *,
        looks_around: bool = True,
    ) -> None:
        self._connection = connection
        self._keys = keys
        self._source_name, self._provider_name = keys[0].source_name, keys[0].provider_name
        found = self._lock_and_look_around([each.interval for each in keys], looks_around)
        if not found["own"]:
            raise UnknownSourceError(self._source_name)
        own = found["own"][0]
        if own.provider_id is None:
            raise UnknownProviderError(self._provider_name)
        self.now = tell_time(own.now)
        self._source_id = own.source_id
        self._is_granted = own.granted is not None
        self._provider_ids = {row.provider_name: row.provider_id for row in (own, *found["neighbour"])}
        self._ids: dict[tuple[datetime, datetime], int] = {
            (row.interval_start, row.interval_end): row.id for row in found["own"]
        }
        self._longest = {row.longest for row in found["own"]}
        self.former_generation = own.former_generation or 0
        self._partitions = {
            row.id: to_partition(row, self._source_name, row.provider_name, self.now)
            for row in (*found["own"], *found["neighbour"])
            if row.state is not None
        }
        # One that overlaps several of the intervals is found with each of them.
        self._around = Overlapping(self._partitions[each] for each in {row.id for row in found["neighbour"]})
        self._ready_intervals = to_intervals(found["ready"])
        self._before: dict[int, Partition | None] = {}  # what has been changed, by id
        self._lines: list[Line] = []

    def require_grant(self) -> None:
        """Refuse a provider that may not write to the source (R10).

        :raises NoGrantError: it has no grant.
        """
        if not self._is_granted:
            raise NoGrantError(self._provider_name, self._source_name)

    def get(self, key: PartitionKey) -> Partition | None:
        """One of the partitions as it stands now; None if it is not registered."""
        found = self._partitions.get(self._id_of(key))
        # The id of a new one is another one's if the sequence lags behind; the database then refuses it.
        return found if found is not None and found.key == key else None

    def neighbours(self, key: PartitionKey) -> list[Partition]:
        """The source's other partitions, of any provider, that overlap one of these and were locked or failed."""
        overlapping = self._around.find(key.interval)
        return [self._partitions[each.id] for each in overlapping if each.id != self._id_of(key)]

    def register(self, key: PartitionKey) -> Partition:
        """Register one of the partitions."""
        registered = Partition(
            source_name=key.source_name,
            provider_name=key.provider_name,
            interval=key.interval,
            state=PartitionState.REGISTERED,
            generation=0,
            registered_at=self.now,
            changed_at=self.now,
            id=self._id_of(key),
        )
        self.apply(Change(registered, EventType.PARTITION_REGISTERED))
        return registered

    def apply(self, change: Change) -> None:
        """Change one of the partitions, or a neighbour."""
        after = change.partition
        self._before.setdefault(after.id, self._partitions.get(after.id))
        self._partitions[after.id] = after
        self._lines.append(
            Line(
                change.event,
                at=self.now,
                source_id=self._source_id,
                provider_id=self._provider_ids[after.provider_name],
                interval=after.interval,
                holder=change.holder.identity if change.holder else None,
                generation=after.generation or None,
                details=change.details,
            )
        )

    def write(self) -> list[Partition]:
        """Write all changes and everything that follows from them, in one message, and end the transaction.

        :return: the partitions as they stand afterwards, in the order of the keys.
        """
        if self._lines:
            message = Message(self._connection)
            self._save_partitions(message)
            message = self._update_ready_intervals(message)
            finish_with_events(message, self._lines, self._source_name)
        return [self._partitions[self._id_of(key)] for key in self._keys]

    def _save_partitions(self, message: Message) -> None:
        changed = [self._partitions[each] for each in self._before]
        rows = [
            from_partition(each, self._source_id, self._provider_ids[each.provider_name]) for each in changed
        ]
        SAVE_PARTITIONS.add_to(message, rows)
        classes = {length_class_of(each.interval) for each in changed}
        new = [each for each in sorted(classes) if longest_of(each) not in self._longest]
        SAVE_LENGTH_CLASSES.add_to(message, [(self._source_id, each, longest_of(each)) for each in new])

    def _update_ready_intervals(self, message: Message) -> Message:
        """Add what changes of them. Returns the message to go on with."""
        turned = [
            self._partitions[each]
            for each, before in self._before.items()
            if effect(before) is not effect(self._partitions[each])
        ]
        if not turned:
            return message
        uncovered = [each.interval for each in turned if effect(each) is None]
        published: list[Interval] = []
        if uncovered:
            # They no longer cover or block anything: what do the others leave?
            published = self._published_in(uncovered, message)
            message = Message(self._connection)
        ready = ready_after(turned, published, self._partitions.values())
        after = replace_inside(
            message, self._source_id, [each.interval for each in turned], self._ready_intervals, ready
        )
        self._tell_of(turned, after)
        return message

    def _tell_of(self, turned: Sequence[Partition], after: Sequence[Interval]) -> None:
        """Add to the events what became ready, or was ready until now."""
        blocked = union(each.interval for each in turned if effect(each) is Effect.BLOCKS)
        freed = union(each.interval for each in turned if effect(each) is not Effect.BLOCKS)
        for place in reversed(range(len(self._lines))):
            line = self._lines[place]
            assert line.interval is not None
            if line.type is EventType.LOCK:
                told = tell_of_blocked(blocked, self._ready_intervals)
            elif line.type in FREEING_EVENTS:
                told = tell_of_freed(freed, after, line.interval)
            else:
                continue
            self._lines[place] = replace(line, details={**line.details, **told})
            return

    def _published_in(self, intervals: Sequence[Interval], ahead: Message) -> list[Interval]:
        """What is published in the intervals, once the statements ahead have run."""
        rows = [(place, self._source_id, *ends_in_microseconds(each)) for place, each in enumerate(intervals)]
        found = PUBLISHED.run(self._connection, rows, ahead=ahead)
        return [part for row in found for part in clip(to_intervals([row]), intervals[row.n])]

    def _lock_and_look_around(
        self, intervals: Sequence[Interval], looks_around: bool
    ) -> dict[str, list[Any]]:
        """Take the source's lock, and look after that, in one message. On SQLite the transaction is the lock."""
        ahead = Message(self._connection)
        if ahead.dialect_name == "postgresql":
            ahead.add_frequent(_LOCK_SOURCE_IN_MESSAGE, (self._source_name,))
        around = union(intervals) if looks_around else ()
        rows = [
            (
                *(place, self._source_name, self._provider_name),
                *(*ends_in_microseconds(own), length_class_of(own)),
                *(ends_in_microseconds(near) if near else (None, None)),
            )
            for place, (own, near) in enumerate(zip_longest(intervals, around), 1)
        ]
        found: defaultdict[str, list[Any]] = defaultdict(list)
        for each in LOOK_AROUND.run(self._connection, rows, ahead=ahead):
            found[each.kind].append(each)
        return found

    def _id_of(self, key: PartitionKey) -> int:
        return self._ids[key.interval.start, key.interval.end]
