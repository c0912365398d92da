"""Reading from a standby where it may answer, and else from its primary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy.engine import Connection

from airflow_provider_partition_registry.domain.errors import StoreUnavailableError
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import (
    Event,
    GrainPage,
    HistoryPage,
    LockCounts,
    Page,
    Partition,
    PartitionKey,
)
from airflow_provider_partition_registry.domain.principals import AccessToken, Principal, Provider, Source
from airflow_provider_partition_registry.domain.questions import Answer, Question, check_questions
from airflow_provider_partition_registry.domain.viewing import SourceOverview, Timeline
from airflow_provider_partition_registry.store.contract import Listener, RegistryReader
from airflow_provider_partition_registry.store.sql.querying import Clock
from airflow_provider_partition_registry.store.sql.reader import SqlRegistryReader
from airflow_provider_partition_registry.store.sql.standby.standby import NotProvenError, Standby

if TYPE_CHECKING:
    from airflow_provider_partition_registry.domain.grains import Grain

T = TypeVar("T")
Tell = Callable[[str], object]
"""Is told who has answered: ``standby`` or ``primary``."""


class StandbyReader(SqlRegistryReader):
    """Reads from a standby only.

    Every call may raise :class:`~.standby.NotProvenError`.

    :param max_age: of what it reads, in seconds.
    """

    def __init__(self, standby: Standby, max_age: float, clock: Clock | None) -> None:
        super().__init__(standby.database, clock)
        self._standby = standby
        self._max_age = max_age

    # Its schema is not looked up: where a heartbeat is, the schema is the one that the primary had then.
    def _read(self, work: Callable[[Connection], T]) -> T:
        return self._standby.read(work, self._max_age)

    def _read_together(self, work: Callable[[Connection], T]) -> T:
        return self._standby.read(work, self._max_age)


class AgedReader(RegistryReader):
    """Lets the standby answer what may be answered as of a moment ago, and the primary everything else.

    :param primary: which also answers where the standby does not.
    :param tell: is told who has answered what the standby may answer.
    """

    def __init__(self, primary: RegistryReader, standby: StandbyReader, tell: Tell | None = None) -> None:
        self._primary = primary
        self._standby = standby
        self._tell = tell or (lambda _who: None)

    def check_readiness_many(self, questions: Sequence[Question], *, explain: bool = True) -> list[Answer]:
        def ask(reader: RegistryReader) -> list[Answer]:
            return reader.check_readiness_many(questions, explain=explain)

        if any(each.published_after is not None for each in check_questions(questions)):
            return ask(
                self._primary
            )  # What lies in the future proves nothing (R8), and a standby's clock is another.
        return self._ask(ask)

    def get_source(self, source_name: str) -> Source:
        return self._ask(lambda reader: reader.get_source(source_name))

    def list_sources(self, after: str | None = None, limit: int = 100) -> Page[Source]:
        return self._ask(lambda reader: reader.list_sources(after, limit))

    def get_provider(self, provider_name: str) -> Provider:
        return self._ask(lambda reader: reader.get_provider(provider_name))

    def list_providers(
        self, source_name: str | None = None, after: str | None = None, limit: int = 100
    ) -> Page[Provider]:
        return self._ask(lambda reader: reader.list_providers(source_name, after, limit))

    def get_partition(self, key: PartitionKey) -> Partition:
        return self._ask(lambda reader: reader.get_partition(key))

    def list_partitions(
        self,
        source_name: str,
        interval: Interval | None = None,
        after: int | None = None,
        limit: int = 100,
        provider_name: str | None = None,
    ) -> Page[Partition]:
        return self._ask(
            lambda reader: reader.list_partitions(source_name, interval, after, limit, provider_name)
        )

    def count_locks(self) -> LockCounts:
        return self._ask(lambda reader: reader.count_locks())

    def list_locks(
        self, holder_prefix: str | None = None, after: int | None = None, limit: int = 100
    ) -> Page[Partition]:
        return self._ask(lambda reader: reader.list_locks(holder_prefix, after, limit))

    def latest_events(self, source_name: str, before: int | None = None, limit: int = 100) -> HistoryPage:
        return self._ask(lambda reader: reader.latest_events(source_name, before, limit))

    def get_overview(self, source_name: str) -> SourceOverview:
        return self._ask(lambda reader: reader.get_overview(source_name))

    def list_overviews(
        self, prefix: str | None = None, after: str | None = None, limit: int = 100
    ) -> Page[SourceOverview]:
        return self._ask(lambda reader: reader.list_overviews(prefix, after, limit))

    def timeline(self, source_name: str, interval: Interval, resolution: int = 400) -> Timeline:
        return self._ask(lambda reader: reader.timeline(source_name, interval, resolution))

    def changed_since(self, source_name: str, interval: Interval, as_of: int) -> bool:
        return self._primary.changed_since(source_name, interval, as_of)

    def identify_token(self, access_token: str) -> AccessToken:
        return self._primary.identify_token(access_token)

    def get_token(self, token_id: str) -> AccessToken:
        return self._primary.get_token(token_id)

    def list_tokens(
        self, principal: Principal, after: str | None = None, limit: int = 100
    ) -> Page[AccessToken]:
        return self._primary.list_tokens(principal, after, limit)

    def events(self, after: int = 0, source_name: str | None = None, limit: int = 1000) -> Page[Event]:
        return self._primary.events(after, source_name, limit)

    def grain_events(
        self,
        source_name: str,
        grain: Grain,
        timezone: str = "UTC",
        *,
        after: int | str = 0,
        limit: int = 1000,
    ) -> GrainPage:
        return self._primary.grain_events(source_name, grain, timezone, after=after, limit=limit)

    def last_position(self) -> int:
        return self._primary.last_position()

    def ping(self) -> None:
        self._primary.ping()

    def open_listener(self) -> Listener | None:
        return self._primary.open_listener()

    def with_max_age(self, seconds: int) -> RegistryReader:
        return self._primary.with_max_age(seconds)

    def close(self) -> None:
        self._primary.close()

    def _ask(self, call: Callable[[RegistryReader], T]) -> T:
        try:
            found = call(self._standby)
        except NotProvenError as refusal:
            self._tell("primary")
            try:
                return call(self._primary)
            except StoreUnavailableError as error:
                raise error.continued(f"Its standby may not answer in its place: {refusal}") from error
        self._tell("standby")
        return found
