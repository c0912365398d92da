"""Removing what nobody can still ask for: old events, and partitions that others supersede.

The present never changes. The last event of each partition stays, which tells who brought it to its state and when; so
``changed_since`` and ``db verify`` go on as before, and so does ``as_of``, a source's last position. Events that are
about no partition stay, as they are few and tell who was granted what.

A partition is *superseded* if it is ready, and others cover all of it that were published when it was or later: no
answer to a reader depends on it (R1, R8).

All is removed source by source and in portions. Each is a transaction under the source's lock that takes no longer than
other writers' do, and a pause follows, so it may be stopped at any moment, or run twice at once.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import takewhile
from typing import Any

from sqlalchemy import BigInteger, and_, delete, func, insert, literal, or_, select, tuple_, update
from sqlalchemy.engine import Connection

from airflow_provider_partition_registry.domain.errors import InvalidInputError
from airflow_provider_partition_registry.domain.intervals import Interval, difference, format_to_the_second
from airflow_provider_partition_registry.domain.models import PartitionState
from airflow_provider_partition_registry.store.sql.changes.claim import lock_source
from airflow_provider_partition_registry.store.sql.database.clock import DatabaseNow
from airflow_provider_partition_registry.store.sql.database.engine import Database
from airflow_provider_partition_registry.store.sql.database.types import to_microseconds
from airflow_provider_partition_registry.store.sql.schema import revisions
from airflow_provider_partition_registry.store.sql.schema.tables import (
    event,
    history,
    length_class,
    partition,
    pruning,
    source,
)
from airflow_provider_partition_registry.store.sql.statements.positions import as_of, settled_position
from airflow_provider_partition_registry.store.sql.statements.superseded import (
    COVERING,
    events_beside_partitions,
    is_unused,
)

LOOKED_AT = 2_000  # events in one statement
REMOVED_AT_ONCE = 250  # events in one transaction
LONGEST_PAUSE = 1.0  # seconds; otherwise a pause is as long as what it follows


@dataclass(frozen=True, slots=True)
class Portion:
    """What was removed in one go, or would be."""

    source_name: str
    event_count: int
    partition_count: int


def prune(database: Database, before: datetime, *, removes: bool = True) -> Iterator[Portion]:
    """Remove events that happened before an instant and have been superseded, and superseded partitions with theirs.

    :param before: what a source's first event at or after this instant, and all later ones, tell is left alone.
    :param removes: False to find out what would be removed.
    :raises SchemaError: the database holds no registry, or one of another version.
    """
    revisions.require(database)
    # No further: who follows all sources from where this ended would miss what has yet to be committed before it.
    end = database.read(settled_position)
    sources = select(source.c.id, source.c.name).order_by(source.c.name)
    for row in database.read(lambda connection: connection.execute(sources).all()):
        yield from _Pruning(database, row.id, row.name, before, end).portions(removes=removes)


def take_turn(database: Database, every: timedelta) -> datetime | None:
    """Take the next turn to prune, if it is due. Of all who try, one gets it.

    :param every: how long after a turn the next one is due.
    :return: the present instant; None if it is not the caller's turn.
    """

    def take(connection: Connection) -> datetime | None:
        now = _now(connection)
        is_due = or_(
            history.c.pruned_at.is_(None), history.c.pruned_at <= now - every, history.c.pruned_at > now
        )
        taken = connection.execute(update(history).where(is_due).values(pruned_at=now)).rowcount
        return now if taken else None

    revisions.require(database)
    return database.write(take)


def return_turn(database: Database) -> None:
    """Let the next one who tries have the turn at once."""
    database.write(lambda connection: connection.execute(update(history).values(pruned_at=None)))


def _now(connection: Connection) -> datetime:
    return connection.execute(select(DatabaseNow())).scalar() or datetime.now(UTC)


def require_past(database: Database, before: datetime) -> None:
    """Refuse an instant that has not come yet, or of which nobody knows where on earth it is meant.

    :raises InvalidInputError: it is in the future, or naive.
    """
    if before.tzinfo is None:
        raise InvalidInputError(f"The instant {before} has no time zone. Give one, such as {before}+00:00.")
    now = database.read(_now)
    if before > now:
        raise InvalidInputError(
            f"It is {format_to_the_second(now)}: what happens until {format_to_the_second(before)} cannot be pruned "
            f"yet."
        )


@dataclass(frozen=True, slots=True)
class _Pruning:
    """The pruning of one source.

    :param end: the last position that may be removed.
    """

    database: Database
    source_id: int
    source_name: str
    before: datetime
    end: int

    def portions(self, *, removes: bool) -> Iterator[Portion]:
        """Look through the history from its beginning, as any event may have been superseded since the last time."""
        after, gone = 0, set[int]()
        while True:
            with _pause_as_long():
                found = self.database.read(partial(self._look, after=after))
                old = list(takewhile(lambda row: row.at < self.before, found))
                covered = self.database.read(partial(self._superseded_partitions, rows=old, gone=gone))
            events = [row.position for row in old if row.is_superseded]
            if removes:
                yield from self._remove(self._remove_events, events)
                yield from self._remove(self._remove_partitions, [row.position for row in covered])
            else:
                gone.update(row.id for row in covered)
                yield Portion(self.source_name, len(events) + len(covered), len(covered))
            if len(old) < LOOKED_AT:
                return
            after = old[-1].position

    def _look(self, connection: Connection, *, after: int) -> list[Any]:
        its_own = and_(
            # As a pair, so that the index by source and position is used from this place on.
            tuple_(event.c.source_id, event.c.position) > tuple_(literal(self.source_id), literal(after)),
            event.c.source_id <= self.source_id,
            event.c.position <= self.end,
        )
        return list(connection.execute(events_beside_partitions(its_own, LOOKED_AT)).all())

    def _superseded_partitions(
        self, connection: Connection, *, rows: Sequence[Any], gone: Collection[int] = ()
    ) -> list[Any]:
        """The rows that are the last events of superseded partitions.

        :param gone: the ids of partitions that cover nothing any more.
        """
        candidates = self._last_events_of_ready_partitions(connection, rows)
        others = self._published_over(connection, candidates)
        gone, superseded = set(gone), []
        for row in candidates:
            published = [interval for its_id, interval in others[row.id] if its_id not in gone]
            if not difference([Interval(row.interval_start, row.interval_end)], published):
                superseded.append(row)
                gone.add(row.id)
        return superseded

    def _last_events_of_ready_partitions(self, connection: Connection, rows: Sequence[Any]) -> list[Any]:
        """The rows of partitions that may be superseded.

        The source's last position stays, as it is its ``as_of``; and so does the registry's newest partition, as SQLite
        would give its id to the next one, and lists go on after an id.
        """
        ready = [
            row for row in rows if row.state == PartitionState.READY.value and row.is_superseded is False
        ]
        if not ready:
            return []
        last_position = as_of(literal(self.source_id, BigInteger()))
        newest = select(func.max(partition.c.id)).scalar_subquery()
        stays: Any = connection.execute(select(last_position.label("position"), newest.label("id"))).one()
        return [row for row in ready if row.position < stays.position and row.id < stays.id]

    def _published_over(
        self, connection: Connection, rows: Sequence[Any]
    ) -> dict[int, list[tuple[int, Interval]]]:
        """Per partition: the ids and intervals of those that may supersede it."""
        found: dict[int, list[tuple[int, Interval]]] = defaultdict(list)
        given = [
            (
                *(row.id, self.source_id),
                *map(to_microseconds, (row.interval_start, row.interval_end, row.published_at, self.before)),
            )
            for row in rows
        ]
        for each in COVERING.run(connection, given) if given else ():
            found[each.of_id].append((each.id, Interval(each.interval_start, each.interval_end)))
        return found

    def _remove(self, work: Callable[..., Portion], positions: Sequence[int]) -> Iterator[Portion]:
        for first in range(0, len(positions), REMOVED_AT_ONCE):
            with _pause_as_long():
                chosen = positions[first : first + REMOVED_AT_ONCE]
                portion = self.database.write(partial(work, positions=chosen))
            yield portion

    def _remove_events(self, connection: Connection, *, positions: Sequence[int]) -> Portion:
        """Remove superseded events, which no change makes the last ones again."""
        lock_source(connection, self.source_name)
        count = connection.execute(delete(event).where(event.c.position.in_(positions))).rowcount
        if count:
            self._note(connection, event_count=count, pruned_to=max(positions))
        return Portion(self.source_name, count, 0)

    def _remove_partitions(self, connection: Connection, *, positions: Sequence[int]) -> Portion:
        """Remove partitions with their last events, which are at these positions, if they are superseded still."""
        lock_source(connection, self.source_name)
        rows = connection.execute(
            events_beside_partitions(event.c.position.in_(positions), len(positions))
        ).all()
        gone = self._superseded_partitions(connection, rows=rows)
        if gone:
            pruned_to = max(row.position for row in gone)
            connection.execute(delete(event).where(event.c.position.in_([row.position for row in gone])))
            connection.execute(delete(partition).where(partition.c.id.in_([row.id for row in gone])))
            connection.execute(delete(length_class).where(is_unused(self.source_id)))
            self._note(
                connection,
                event_count=len(gone),
                pruned_to=pruned_to,
                partitions_pruned_to=pruned_to,
                greatest_generation=max(row.generation for row in gone),
            )
        return Portion(self.source_name, len(gone), len(gone))

    def _note(
        self, connection: Connection, *, event_count: int, pruned_to: int, **of_partitions: int
    ) -> None:
        """Note what was removed, under the source's lock."""
        reached = {"pruned_to": pruned_to, "pruned_before": self.before, **of_partitions}
        its_own = pruning.c.source_id == self.source_id
        noted = connection.execute(select(pruning).where(its_own)).first()
        if noted is None:
            values = {"source_id": self.source_id, "event_count": event_count, **reached}
            connection.execute(insert(pruning).values(**values))
        else:
            further = {name: max(value, getattr(noted, name)) for name, value in reached.items()}
            count = noted.event_count + event_count
            connection.execute(update(pruning).where(its_own).values(event_count=count, **further))


@contextmanager
def _pause_as_long() -> Iterator[None]:
    """Do nothing afterwards for as long as it took, so that the registry and its disk are for others half the time."""
    begun = time.monotonic()
    yield
    time.sleep(min(time.monotonic() - begun, LONGEST_PAUSE))
