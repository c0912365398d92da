"""Views for people: a source at a glance, and a source over time. Both stay small however long the history is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.invalid_input import InvalidInputError
from airflow_provider_partition_registry.domain.models import Partition, PartitionState
from airflow_provider_partition_registry.domain.names import check_number
from airflow_provider_partition_registry.domain.principals import Source

COUNTED_AT_MOST = 100
"""An overview counts at most so many locked, and at most so many failed partitions of a source."""

LANES_AT_MOST = 30
"""A timeline draws at most so many providers of a source if there are too many partitions to list."""

FINEST_RESOLUTION = 1_000


@dataclass(frozen=True, slots=True)
class Blockage:
    """Partitions of a source that are in one of the blocking states.

    :param count: how many; :data:`COUNTED_AT_MOST` means as many or more.
    :param since: since when the first of those counted has been in this state.
    """

    state: PartitionState
    count: int
    since: datetime


@dataclass(frozen=True, slots=True)
class SourceOverview:
    """A source at a glance.

    :param extent: from the start of its first partition to the latest end of any; None if it has no partitions.
    :param last_ready: the last of its maximal ready intervals (R1), all of which is ready without a gap; None if
        nothing is ready.
    :param blockages: one for each blocking state that any of its partitions is in.
    """

    source: Source
    extent: Interval | None
    last_ready: Interval | None
    blockages: tuple[Blockage, ...]


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a timeline in which something is ready.

    :param is_whole: whether all of it is ready (R1), or only some of it; a finer resolution shows which.
    """

    interval: Interval
    is_whole: bool


@dataclass(frozen=True, slots=True)
class Mark:
    """A part of a timeline in which a provider has partitions in a state.

    :param state: as stored: an expired lock counts as ``LOCKED``.
    """

    interval: Interval
    state: PartitionState


@dataclass(frozen=True, slots=True)
class Lane:
    """What one provider supplies, shown where there are too many partitions to list."""

    provider_name: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """A source over time, in no more detail than a screen can show.

    Whatever fits the resolution is listed exactly. Where there is more, the interval is cut into as many slots, and
    each slot is looked at by itself.

    :param as_of: position in the whole history that everything else here belongs to.
    :param ready: what is ready (R1), in order.
    :param partitions: those that overlap the interval, by start: all of them, or else only the blocking ones, or none.
    :param lists_all: whether ``partitions`` are all of them.
    :param lists_blockers: whether ``partitions`` contain all that block.
    :param lanes: what is not listed, per provider in the order of their names, at most :data:`LANES_AT_MOST`.
    :param has_more_lanes: whether there are more providers than that.
    """

    source_name: str
    interval: Interval
    as_of: int
    ready: tuple[Stretch, ...]
    partitions: tuple[Partition, ...]
    lists_all: bool = True
    lists_blockers: bool = True
    lanes: tuple[Lane, ...] = ()
    has_more_lanes: bool = False


def check_resolution(resolution: int) -> int:
    """Return ``resolution`` if it is a valid level of detail for a timeline.

    :raises InvalidInputError: it is no integer from 1 to 1,000.
    """
    if not 1 <= check_number("resolution", resolution) <= FINEST_RESOLUTION:
        raise InvalidInputError(f"A resolution is 1 to {FINEST_RESOLUTION}, not {resolution!r}.")
    return resolution
