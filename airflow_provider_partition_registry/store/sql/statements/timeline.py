"""A source over time, at a cost that does not grow with its history.

Short lists are read whole. Otherwise the interval is cut into slots, and for each slot one probe of an index tells
whether anything is in it: the source's ready intervals, or a provider's partitions in some state.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby, pairwise
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import BigInteger, Integer, column, func, literal, select, table
from sqlalchemy.engine import Connection
from sqlalchemy.sql import FromClause, Select

from airflow_provider_partition_registry.domain.intervals import Interval, clip
from airflow_provider_partition_registry.domain.models import Partition, PartitionState
from airflow_provider_partition_registry.domain.viewing import LANES_AT_MOST, Lane, Mark, Stretch, Timeline
from airflow_provider_partition_registry.store.sql.database.clock import DatabaseNow, TellTime
from airflow_provider_partition_registry.store.sql.database.types import (
    UtcInstant,
    from_microseconds,
    to_microseconds,
)
from airflow_provider_partition_registry.store.sql.database.values import ValuesStatement
from airflow_provider_partition_registry.store.sql.schema.tables import (
    length_class,
    partition,
    provider,
    ready_interval,
)
from airflow_provider_partition_registry.store.sql.statements.lists import partitions_by_start
from airflow_provider_partition_registry.store.sql.statements.overlaps import (
    READY_STATES,
    STORED_BLOCKING_STATES,
    materialized,
    overlapping,
    reach,
    ready_intervals_of,
)
from airflow_provider_partition_registry.store.sql.statements.positions import as_of
from airflow_provider_partition_registry.store.sql.statements.rows import (
    PARTITION_COLUMNS,
    to_intervals,
    to_partition,
)

T = TypeVar("T")

slot = table(
    "slot",
    column("n", Integer),
    column("source_id", BigInteger),
    column("provider_id", BigInteger),
    column("interval_start", UtcInstant),
    column("interval_end", UtcInstant),
)


def _reached() -> Any:
    """The end of the ready interval that begins last before the slot or at its start."""
    return (
        select(ready_interval.c.interval_end)
        .where(
            ready_interval.c.source_id == slot.c.source_id,
            ready_interval.c.interval_start <= slot.c.interval_start,
        )
        .order_by(ready_interval.c.interval_start.desc())
        .limit(1)
        .scalar_subquery()
    )


def _next_start() -> Any:
    """The start of the next ready interval, if it lies inside the slot."""
    return (
        select(func.min(ready_interval.c.interval_start))
        .where(
            ready_interval.c.source_id == slot.c.source_id,
            ready_interval.c.interval_start > slot.c.interval_start,
            ready_interval.c.interval_start < slot.c.interval_end,
        )
        .scalar_subquery()
    )


READY_IN_SLOTS = ValuesStatement(
    slot,
    select(
        slot.c.n, _reached().label("reached"), _next_start().label("next_start"), slot.c.interval_end
    ).select_from(slot),
)


def _has_partitions_in(state: str) -> ValuesStatement:
    """Selects the numbers of the slots in which the provider has partitions in the state."""
    rows = materialized(
        select(
            *slot.c,
            length_class.c.length_class,
            (slot.c.interval_end + length_class.c.longest).label("ends_before"),
        ).select_from(slot.join(length_class, length_class.c.source_id == slot.c.source_id)),
        "reach",
    )
    # This looks up ends, where all other statements look up starts: of two indexes over starts PostgreSQL may use the
    # one without providers, and read everything that other providers have in a slot.
    one = (
        select(partition.c.id)
        .where(
            partition.c.source_id == rows.c.source_id,
            partition.c.provider_id == rows.c.provider_id,
            partition.c.state == state,
            partition.c.length_class == rows.c.length_class,
            partition.c.interval_end > rows.c.interval_start,
            partition.c.interval_end < rows.c.ends_before,
            partition.c.interval_start - rows.c.interval_end < 0,
        )
        .limit(1)
        .scalar_subquery()
    )
    # Not EXISTS: PostgreSQL might turn that into a join, where looking up slot by slot is better.
    return ValuesStatement(slot, select(rows.c.n).where(one.is_not(None)).distinct())


PARTITIONS_IN_SLOTS = {state: _has_partitions_in(state) for state in (*READY_STATES, *STORED_BLOCKING_STATES)}


class Window(NamedTuple):
    """The part of a source that is to be drawn."""

    source_id: int
    source_name: str
    interval: Interval
    resolution: int

    def row(self) -> FromClause:
        """The window as a table of one row, for use in other parts of a statement."""
        return select(
            literal(self.source_id, BigInteger()).label("source_id"),
            literal(self.interval.start, UtcInstant()).label("interval_start"),
            literal(self.interval.end, UtcInstant()).label("interval_end"),
        ).cte("asked")

    def slots(self) -> list[Interval]:
        """The interval, cut into about as many slots as the resolution says.

        Slots are aligned, so that a picture that is moved a little shows the same slots again.
        """
        start, end = to_microseconds(self.interval.start), to_microseconds(self.interval.end)
        width = -(-(end - start) // self.resolution)
        inner = [each * width for each in range(start // width + 1, -(-end // width))]
        edges = [self.interval.start, *map(from_microseconds, inner), self.interval.end]
        return [Interval(*each) for each in pairwise(edges)]


def draw(connection: Connection, window: Window, now: TellTime) -> Timeline:
    """Look up the timeline."""
    its_id = literal(window.source_id, BigInteger())
    position = connection.execute(select(as_of(its_id))).scalar_one()
    ready = _ready(connection, window)
    one_too_many = window.resolution + 1
    partitions = _listed(
        connection, window, partitions_by_start(its_id, window.interval, None, one_too_many), now
    )
    if partitions is not None:
        return Timeline(window.source_name, window.interval, position, ready, partitions)
    blockers = _listed(connection, window, _blockers(window), now)
    providers = connection.execute(_providers(window.source_id)).all()
    states = READY_STATES if blockers is not None else tuple(PARTITIONS_IN_SLOTS)
    return Timeline(
        window.source_name,
        window.interval,
        position,
        ready,
        blockers or (),
        lists_all=False,
        lists_blockers=blockers is not None,
        lanes=tuple(_lane(connection, window, each, states) for each in providers[:LANES_AT_MOST]),
        has_more_lanes=len(providers) > LANES_AT_MOST,
    )


def _ready(connection: Connection, window: Window) -> tuple[Stretch, ...]:
    row = window.row()
    few = (
        select(ready_interval.c.interval_start, ready_interval.c.interval_end)
        .select_from(row.join(ready_interval, ready_intervals_of(row)))
        .order_by(ready_interval.c.interval_start)
        .limit(window.resolution + 3)  # two of them may touch the interval without overlapping it
    )
    found = clip(to_intervals(connection.execute(few).all()), window.interval)
    if len(found) <= window.resolution:
        return tuple(Stretch(each, is_whole=True) for each in found)
    slots = window.slots()
    looks = READY_IN_SLOTS.run(connection, _rows(slots, window.source_id))
    is_whole = {row.n: _is_whole(row, slots[row.n].start) for row in looks}
    return tuple(
        Stretch(interval, whole)
        for interval, whole in _merged((slots[n], is_whole[n]) for n in range(len(slots)))
    )


def _is_whole(row: Any, start: datetime) -> bool | None:
    """Whether all of a slot is ready; None if nothing in it is."""
    if row.reached is not None and row.reached >= row.interval_end:
        return True
    is_touched = row.next_start is not None or (row.reached is not None and row.reached > start)
    return False if is_touched else None


def _listed(
    connection: Connection, window: Window, statement: Select, now: TellTime
) -> tuple[Partition, ...] | None:
    """The partitions in the order of their start, or None if there are more than the resolution."""
    rows = connection.execute(statement).all()
    if len(rows) > window.resolution:
        return None
    found = [to_partition(row, window.source_name, row.provider_name, now(row.now)) for row in rows]
    return tuple(sorted(found, key=lambda each: (each.interval, each.provider_name)))


def _blockers(window: Window) -> Select:
    found = overlapping(reach(window.row(), "reach"), STORED_BLOCKING_STATES)
    return (
        select(*PARTITION_COLUMNS, provider.c.name.label("provider_name"), DatabaseNow().label("now"))
        .select_from(found.join(provider, provider.c.id == partition.c.provider_id))
        .limit(window.resolution + 1)
    )


def _providers(source_id: int) -> Select:
    """The providers that have partitions of the source, by going from one to the next, never over all partitions."""
    mine = partition.c.source_id == source_id
    first = select(func.min(partition.c.provider_id).label("id")).where(mine)
    found = first.cte("found", recursive=True)
    following = (
        select(func.min(partition.c.provider_id))
        .where(mine, partition.c.provider_id > found.c.id)
        .scalar_subquery()
    )
    found = found.union_all(select(following).where(found.c.id.is_not(None)))
    return (
        select(provider.c.id, provider.c.name)
        .select_from(found.join(provider, provider.c.id == found.c.id))
        .order_by(provider.c.name)
        .limit(LANES_AT_MOST + 1)
    )


def _lane(connection: Connection, window: Window, its_provider: Any, states: Sequence[str]) -> Lane:
    slots = window.slots()
    rows = _rows(slots, window.source_id, its_provider.id)
    marks: list[Mark] = []
    for state in states:
        hits = {row.n for row in PARTITIONS_IN_SLOTS[state].run(connection, rows)}
        found = _merged((each, True if n in hits else None) for n, each in enumerate(slots))
        marks += [Mark(interval, PartitionState(state)) for interval, _ in found]
    return Lane(its_provider.name, tuple(marks))


def _rows(slots: Sequence[Interval], source_id: int, provider_id: int | None = None) -> list[Any]:
    return [
        (n, source_id, provider_id, to_microseconds(each.start), to_microseconds(each.end))
        for n, each in enumerate(slots)
    ]


def _merged(told: Iterable[tuple[Interval, T | None]]) -> Iterable[tuple[Interval, T]]:
    """Join neighbouring slots that have the same value, and leave out those whose value is None."""
    for what, group in groupby(told, key=lambda each: each[1]):
        slots = [interval for interval, _ in group]
        if what is not None:
            yield Interval(slots[0].start, slots[-1].end), what
