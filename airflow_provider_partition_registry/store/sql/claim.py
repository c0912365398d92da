"""A partition under its source's lock: what one writing call looks at and changes, inside its transaction.

The row lock on the source serialises its writers, so everything read after it is what the last writer committed,
and stays so until this transaction ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

from sqlalchemy import and_, bindparam, exists, insert, literal, select, update
from sqlalchemy.engine import Connection

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
    PartitionState,
    Question,
)
from airflow_provider_partition_registry.domain.names import check_name
from airflow_provider_partition_registry.store.sql import ready_intervals
from airflow_provider_partition_registry.store.sql.clock import DatabaseNow
from airflow_provider_partition_registry.store.sql.history import write_event
from airflow_provider_partition_registry.store.sql.questions import QuestionStatement
from airflow_provider_partition_registry.store.sql.rows import PARTITION_COLUMNS, from_partition, to_partition
from airflow_provider_partition_registry.store.sql.statements import CONTENTS, SURROUNDINGS
from airflow_provider_partition_registry.store.sql.tables import (
    grant,
    length_class,
    length_class_of,
    longest_of,
    partition,
    provider,
    source,
)

LOCK_SOURCE = (
    select(source.c.id).where(source.c.name == bindparam("source_name")).with_for_update(key_share=True)
)

_granted = and_(grant.c.provider_id == provider.c.id, grant.c.source_id == bindparam("source_id"))
_this_partition = and_(
    partition.c.provider_id == provider.c.id,
    partition.c.source_id == bindparam("source_id"),
    partition.c.interval_start == bindparam("interval_start", type_=partition.c.interval_start.type),
    partition.c.interval_end == bindparam("interval_end", type_=partition.c.interval_end.type),
)
LOOK_UP = (
    select(
        *PARTITION_COLUMNS,
        provider.c.id.label("provider_id"),
        grant.c.source_id.label("granted"),
        DatabaseNow().label("now"),
    )
    .select_from(provider.outerjoin(grant, _granted).outerjoin(partition, _this_partition))
    .where(provider.c.name == bindparam("provider_name"))
)
UPDATE_PARTITION = update(partition).where(partition.c.id == bindparam("partition_id"))


class _Found(NamedTuple):
    """What a statement found around an interval."""

    published: list[Interval]
    blockers: list[Partition]


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
    """One partition of one provider, and the right to change it until the transaction ends.

    ``partition`` is None if it is not registered.

    :param tell_time: given the database's time, tells what time it is.
    :raises UnknownSourceError: no such source.
    :raises UnknownProviderError: no such provider.
    """

    def __init__(
        self,
        connection: Connection,
        source_name: str,
        provider_name: str,
        interval: Interval,
        tell_time: Callable[[datetime | None], datetime],
    ) -> None:
        self._connection = connection
        self._question = Question(source_name, interval)
        self.provider_name = check_name("provider name", provider_name)
        self._source_id = lock_source(connection, source_name)
        row = self._look_up()
        if row is None:
            raise UnknownProviderError(provider_name)
        self._provider_id: int = row.provider_id
        self._is_granted = row.granted is not None
        self.now = tell_time(row.now)
        self.partition: Partition | None = None
        if row.id is not None:
            self.partition = to_partition(row, source_name, provider_name, self.now)

    @property
    def interval(self) -> Interval:
        """The interval of the partition."""
        return self._question.interval

    @property
    def source_name(self) -> str:
        """The source of the partition."""
        return self._question.source_name

    @cached_property
    def neighbours(self) -> list[Partition]:
        """The other partitions of the source, whoever's, that overlap this one and are locked or failed."""
        mine = self.partition.id if self.partition else None
        return [blocker for blocker in self._surroundings.blockers if blocker.id != mine]

    @cached_property
    def _surroundings(self) -> _Found:
        return self._find(SURROUNDINGS)

    def require_grant(self) -> None:
        """Refuse a provider that may not write to the source (R10).

        :raises NoGrantError: it has no grant.
        """
        if not self._is_granted:
            raise NoGrantError(self.provider_name, self.source_name)

    def register(self) -> Partition:
        """Make the partition known."""
        length = length_class_of(self.interval)
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
            source_name=self.source_name,
            provider_name=self.provider_name,
            interval=self.interval,
            state=PartitionState.REGISTERED,
            generation=0,
            registered_at=self.now,
            changed_at=self.now,
        )
        result = self._connection.execute(
            insert(partition).values(
                source_id=self._source_id,
                provider_id=self._provider_id,
                interval_start=self.interval.start,
                interval_end=self.interval.end,
                length_class=length,
                registered_at=self.now,
                **from_partition(registered),
            )
        )
        key: Any = result.inserted_primary_key
        self.partition = replace(registered, id=key[0])
        self._write_event(Change(registered, EventType.PARTITION_REGISTERED))
        return self.partition

    def apply(self, change: Change) -> None:
        """Make a change of this partition, or of a neighbour, and everything that follows from it."""
        after = change.partition
        self._connection.execute(UPDATE_PARTITION, {"partition_id": after.id, **from_partition(after)})
        if self.partition is not None and after.id == self.partition.id:
            self._update_ready_intervals(self.partition, after)
            self.partition = after
        self._write_event(change)

    def _update_ready_intervals(self, before: Partition, after: Partition) -> None:
        if before.state in BLOCKING_STATES and after.state in BLOCKING_STATES:
            return
        ready_intervals.replace_inside(
            self._connection,
            self._source_id,
            self.interval,
            present=self._surroundings.published,
            ready=self._ready_inside(after.state),
        )

    def _ready_inside(self, state: PartitionState) -> tuple[Interval, ...]:
        """Which instants of the interval are ready once this partition is in ``state`` (R1)."""
        if state in BLOCKING_STATES:
            return ()
        if state is PartitionState.READY:
            return difference([self.interval], _intervals(self.neighbours))
        contents = self._find(CONTENTS)  # It neither covers nor blocks any more: what do the others leave?
        return difference(clip(contents.published, self.interval), _intervals(contents.blockers))

    def _find(self, statement: QuestionStatement) -> _Found:
        rows = statement.ask(self._connection, [(0, self._question)])
        return _Found(
            [Interval(row.interval_start, row.interval_end) for row in rows if row.kind == "published"],
            [
                to_partition(row, self.source_name, row.provider_name, self.now)
                for row in rows
                if row.kind == "blocker"
            ],
        )

    def _look_up(self) -> Any:
        return self._connection.execute(
            LOOK_UP,
            {
                "source_id": self._source_id,
                "provider_name": self.provider_name,
                "interval_start": self.interval.start,
                "interval_end": self.interval.end,
            },
        ).first()

    def _write_event(self, change: Change) -> None:
        after = change.partition
        write_event(
            self._connection,
            change.event,
            at=self.now,
            source_id=self._source_id,
            source_name=self.source_name,
            provider_id=self._provider_id_of(after),
            interval=after.interval,
            holder=change.holder.identity if change.holder else None,
            generation=after.generation or None,
            details=change.details,
        )

    def _provider_id_of(self, changed: Partition) -> int:
        if changed.provider_name == self.provider_name:
            return self._provider_id
        statement = select(partition.c.provider_id).where(partition.c.id == changed.id)
        return int(self._connection.execute(statement).scalar_one())


def _intervals(partitions: Iterable[Partition]) -> list[Interval]:
    return [each.interval for each in partitions]
