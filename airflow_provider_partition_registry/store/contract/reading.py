"""The part of the contract that readers use. Like the rest of it, see :mod:`~..store.contract`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from datetime import datetime
from types import TracebackType
from typing import Self

from airflow_provider_partition_registry.domain.errors import UnknownSourceError
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import (
    Event,
    LockCounts,
    Page,
    Partition,
    PartitionKey,
)
from airflow_provider_partition_registry.domain.principals import (
    AccessToken,
    Principal,
    Provider,
    Source,
)
from airflow_provider_partition_registry.domain.questions import Answer, Question, Readiness
from airflow_provider_partition_registry.store.contract.listening import Listener
from airflow_provider_partition_registry.store.contract.viewing import RegistryViewer

MOST_LOCKS_COUNTED = 10_000

MOST_QUESTIONS = 10_000
"""So many questions a web service takes in one request."""


class RegistryReader(RegistryViewer):
    """What readers ask. Nothing here changes anything."""

    @abstractmethod
    def check_readiness_many(self, questions: Sequence[Question], *, explain: bool = True) -> list[Answer]:
        """Answer many questions at once, at little more than the price of one (R1, R2, R8).

        All answers belong to one moment, however many they are and whatever is explained about them: what was never
        ready together is never called so. A web service takes at most :data:`MOST_QUESTIONS`, since it answers one
        request for one moment.

        :param explain: say also why what is not ready is not (R2). A crowd of waiters that only wants to know
            whether it may go on saves most of the price without it; ``gaps``, ``blockers`` and ``stale`` of what
            is not ready may then be empty.
        :return: one answer per question, in the same order. A question about a source that does not exist is
            answered with an ``UnknownSourceError`` in its place, so that it does not spoil the others.
        :raises InvalidInputError: these are no questions, or too many for a web service.
        """

    def check_readiness(
        self, source_name: str, interval: Interval, published_after: datetime | None = None
    ) -> Readiness:
        """Say whether ``interval`` of the source may be read, and if not, exactly why (R1, R2).

        :param published_after: ask also that every instant was published at or after this one (R8).
        :raises UnknownSourceError: no such source.
        """
        (answer,) = self.check_readiness_many([Question(source_name, interval, published_after)])
        if isinstance(answer, UnknownSourceError):
            raise answer
        return answer

    @abstractmethod
    def changed_since(self, source_name: str, interval: Interval, as_of: int) -> bool:
        """Say whether anything in the interval was locked, failed or republished after ``as_of`` (R7).

        :param as_of: from an earlier :class:`Readiness` of the same source. One that the history has not reached, as
            after restoring a backup, is answered with yes.
        :raises UnknownSourceError: no such source.
        """

    @abstractmethod
    def get_source(self, source_name: str) -> Source:
        """Look up one source.

        :raises UnknownSourceError: no such source.
        """

    @abstractmethod
    def list_sources(self, after: str | None = None, limit: int = 100) -> Page[Source]:
        """Sources in the order of their names.

        :param after: ``next`` of the page before.
        """

    @abstractmethod
    def get_provider(self, provider_name: str) -> Provider:
        """Look up one provider.

        :raises UnknownProviderError: no such provider.
        """

    @abstractmethod
    def list_providers(
        self, source_name: str | None = None, after: str | None = None, limit: int = 100
    ) -> Page[Provider]:
        """Providers in the order of their names, all or those with a grant on a source.

        :param after: ``next`` of the page before.
        :raises UnknownSourceError: no such source.
        """

    @abstractmethod
    def identify_token(self, access_token: str) -> AccessToken:
        """Say whose token this is (R10). Looks at nothing else.

        :raises InvalidTokenError: it is unknown, has expired or was revoked; nobody is told which.
        :raises AdministratorTokenError: it is that of a web service's administrator.
        """

    @abstractmethod
    def get_token(self, token_id: str) -> AccessToken:
        """Look up one access token by its id; also one that has expired or was revoked.

        :raises UnknownTokenError: no such token.
        """

    @abstractmethod
    def list_tokens(
        self, principal: Principal, after: str | None = None, limit: int = 100
    ) -> Page[AccessToken]:
        """The access tokens of a source or a provider in the order in which they were issued, whether valid or not.

        :param after: ``next`` of the page before.
        :raises UnknownSourceError: no such source.
        :raises UnknownProviderError: no such provider.
        """

    @abstractmethod
    def get_partition(self, key: PartitionKey) -> Partition:
        """Look up one partition.

        :raises UnknownSourceError: no such source.
        :raises UnknownProviderError: no such provider.
        :raises UnknownPartitionError: no such partition.
        """

    @abstractmethod
    def list_partitions(
        self, source_name: str, interval: Interval | None = None, after: int | None = None, limit: int = 100
    ) -> Page[Partition]:
        """Partitions of a source in the order of their start, all or those that overlap an interval.

        :param after: ``next`` of the page before.
        :raises UnknownSourceError: no such source.
        """

    @abstractmethod
    def count_locks(self) -> LockCounts:
        """Count the locks of all sources, for those who operate the registry.

        It looks at what is locked and at nothing else, so a long history makes it no slower. Of each source at most
        :data:`MOST_LOCKS_COUNTED` are counted.
        """

    @abstractmethod
    def list_locks(
        self, holder_prefix: str | None = None, after: int | None = None, limit: int = 100
    ) -> Page[Partition]:
        """The partitions of all sources that are locked or expired, in the order in which they were registered.

        It looks at what is locked and at nothing else, so a long history makes it no slower.

        :param holder_prefix: only those whose holder's identity begins with it, to the letter: which locks does a run
            still hold?
        :param after: ``next`` of the page before.
        """

    @abstractmethod
    def events(self, after: int = 0, source_name: str | None = None, limit: int = 1000) -> Page[Event]:
        """The history after a position (R9). Whoever goes on from the last position seen misses nothing.

        What concerns a provider alone belongs to the history of no source.

        :param after: a position; 0 for the beginning.
        :raises InvalidInputError: the history has never reached that position: a backup was restored.
        :raises UnknownSourceError: no such source.
        """

    @abstractmethod
    def last_position(self) -> int:
        """Where the history ends now. Whoever follows it from there sees whatever happens next, and nothing before."""

    @abstractmethod
    def ping(self) -> None:
        """See whether the registry is there and answers.

        The one call that creates none where there is none; any other creates a SQLite registry.

        :raises SchemaMissingError: there is none.
        """

    @abstractmethod
    def open_listener(self) -> Listener | None:
        """Listen for changes, or None where this home cannot tell of them; then polling is all there is."""

    @abstractmethod
    def close(self) -> None:
        """Let go of connections. The reader may be used again afterwards; it then connects anew."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
