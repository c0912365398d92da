"""What the web service needs of the database behind it, beyond the contract. See :mod:`~..store.contract`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from airflow_provider_partition_registry.domain.models import Event, GrainEvent
from airflow_provider_partition_registry.store.contract.writing import RegistryStore

if TYPE_CHECKING:
    from airflow_provider_partition_registry.domain.grain_events import GrainFilter


class RegistryDatabase(RegistryStore):
    """A registry whose database is accessed directly."""

    @abstractmethod
    def session_key(self, token_id: str) -> bytes | None:
        """The key that authenticates a session begun with this token; None if the token is not valid.

        Nothing that the registry answers reveals it.
        """

    @abstractmethod
    def is_settled(self) -> bool:
        """Whether the history of all sources can be read to its end (R9).

        If not, somebody has yet to commit an event that comes before committed ones of other sources. Those can be read
        by :meth:`~.RegistryReader.events` of their source.
        """

    @abstractmethod
    def grains_made_ready(self, event: Event, wanted: GrainFilter, begin: datetime) -> Iterator[GrainEvent]:
        """The grains of which :meth:`~.RegistryReader.grain_events` tells because of an event, in order.

        They are found as they are taken.

        :param begin: leave out those that begin before.
        """

    @abstractmethod
    def latest_positions(self, source_names: Collection[str]) -> dict[str, int]:
        """The position of the last event of each of some sources, by source; 0 if it has none.

        One statement, however many sources. Sources that do not exist are left out.
        """
