"""Finding those among many partitions that overlap an interval, without looking at all of them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta

from airflow_provider_partition_registry.domain.intervals import EARLIEST, Interval
from airflow_provider_partition_registry.domain.models import Partition


class Overlapping:
    """Partitions, of which those that overlap an interval are found by where they begin.

    They are kept apart by their lengths, so that one that is long does not make every look-up go back as far.
    """

    def __init__(self, partitions: Iterable[Partition]) -> None:
        by_length: defaultdict[int, list[Partition]] = defaultdict(list)
        for each in partitions:
            length = (each.interval.end - each.interval.start) // timedelta(microseconds=1)
            by_length[length.bit_length()].append(each)
        self._alike = [_OfAlikeLength(each) for each in by_length.values()]

    def find(self, interval: Interval) -> list[Partition]:
        """The ones that overlap the interval."""
        return [found for each in self._alike for found in each.find(interval)]


class _OfAlikeLength:
    """Partitions in order: those that overlap an interval begin no earlier than the longest one reaches."""

    def __init__(self, partitions: Iterable[Partition]) -> None:
        self._partitions = sorted(partitions, key=lambda each: each.interval.start)
        self._starts = [each.interval.start for each in self._partitions]
        self._longest = max(each.interval.end - each.interval.start for each in self._partitions)

    def find(self, interval: Interval) -> list[Partition]:
        begins_after = interval.start - min(self._longest, interval.start - EARLIEST)
        first = bisect_left(self._starts, begins_after)
        end = bisect_right(self._starts, interval.end)
        return [each for each in self._partitions[first:end] if each.interval.overlaps(interval)]
