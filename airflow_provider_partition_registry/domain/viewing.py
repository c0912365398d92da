"""What people look at: a source at a glance, and a source over time, both small however long its history."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.invalid_input import InvalidInputError
from airflow_provider_partition_registry.domain.models import Partition, PartitionState
from airflow_provider_partition_registry.domain.names import check_number
from airflow_provider_partition_registry.domain.principals import Source

COUNTED_AT_MOST = 100
"""So many locked, and so many failed partitions of a source are counted in an overview."""

LANES_AT_MOST = 30
"""So many providers of a source are drawn where their partitions are too many to be listed."""

FINEST_RESOLUTION = 1_000


@dataclass(frozen=True, slots=True)
class Blockage:
    """That a source has partitions in one of the blocking states.

    :param count: how many, up to :data:`COUNTED_AT_MOST`; that many means as many or more.
    :param since: since when the first of those counted is in this state.
    """

    state: PartitionState
    count: int
    since: datetime


@dataclass(frozen=True, slots=True)
class SourceOverview:
    """A source at a glance.

    :param extent: from where its first partition begins to where the one ends that begins last; None without any.
    :param last_ready: the last of its ready intervals (R1): it is ready up to the end of it, without a break since
        the start of it. None if nothing is ready.
    :param blockages: one per blocking state that partitions of it are in.
    """

    source: Source
    extent: Interval | None
    last_ready: Interval | None
    blockages: tuple[Blockage, ...]


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a timeline.

    :param is_whole: whether all of it is ready (R1), or only some of it: a closer look tells.
    """

    interval: Interval
    is_whole: bool


@dataclass(frozen=True, slots=True)
class Mark:
    """That a provider has partitions in a state somewhere in each part of an interval.

    :param state: as it is stored: ``LOCKED`` also of what has expired.
    """

    interval: Interval
    state: PartitionState


@dataclass(frozen=True, slots=True)
class Lane:
    """What one provider supplies, where its partitions are too many to be listed."""

    provider_name: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """A source over time, in no more detail than a screen shows.

    What does not exceed the resolution is told exactly; of what does, the interval is cut into so many slots and each
    slot looked at by itself.

    :param as_of: position of the whole history that the rest belongs to.
    :param ready: what is ready (R1), in order.
    :param partitions: those that overlap the interval, by start: all, or else those that block, or else none.
    :param lists_all: whether ``partitions`` are all of them.
    :param lists_blockers: whether all that block are among them.
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
    """Return ``resolution`` if it may say in how much detail a timeline is wanted.

    :raises InvalidInputError: it is no integer from 1 to 1,000.
    """
    if not 1 <= check_number("resolution", resolution) <= FINEST_RESOLUTION:
        raise InvalidInputError(f"A resolution is 1 to {FINEST_RESOLUTION}, not {resolution!r}.")
    return resolution
