"""The part of the contract behind the pages. Like the rest of it, see :mod:`~..store.contract`."""

from __future__ import annotations

from abc import ABC, abstractmethod

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import HistoryPage, Page
from airflow_provider_partition_registry.domain.viewing import SourceOverview, Timeline


class RegistryViewer(ABC):
    """What people look at. The cost of a call does not grow with a source's history."""

    @abstractmethod
    def get_overview(self, source_name: str) -> SourceOverview:
        """One source at a glance.

        :raises UnknownSourceError: no such source.
        """

    @abstractmethod
    def list_overviews(
        self, prefix: str | None = None, after: str | None = None, limit: int = 100
    ) -> Page[SourceOverview]:
        """Sources at a glance, in the order of their names.

        :param prefix: only sources whose names begin with this, case-sensitively.
        :param after: ``next`` of the page before.
        """

    @abstractmethod
    def timeline(self, source_name: str, interval: Interval, resolution: int = 400) -> Timeline:
        """A source over time, in no more detail than asked for.

        The cost is some index probes per slot, provider and class of lengths, and never depends on how many
        partitions the interval holds.

        :param resolution: the most partitions, and the most ready intervals, that are listed. Where there are more,
            the interval is cut into this many slots. Up to 1,000.
        :raises UnknownSourceError: no such source.
        """

    @abstractmethod
    def latest_events(self, source_name: str, before: int | None = None, limit: int = 100) -> HistoryPage:
        """The history of a source, the newest first. It says if older events were removed.

        :param before: ``next`` of the page before.
        :raises UnknownSourceError: no such source.
        """
