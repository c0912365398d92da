"""The part of the contract that readers use. Like the rest of it, see :mod:`~..store.contract`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self

from airflow_provider_partition_registry.domain.errors import UnknownSourceError
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import (
    Event,
    GrainPage,
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
from airflow_provider_partition_registry.domain.questions import Answer, Question, Readiness, check_max_age
from airflow_provider_partition_registry.store.contract.listening import Listener
from airflow_provider_partition_registry.store.contract.viewing import RegistryViewer

if TYPE_CHECKING:
    from airflow_provider_partition_registry.domain.grains import Grain

MOST_LOCKS_COUNTED = 10_000

MOST_QUESTIONS = 10_000
"""How many questions a web service takes in one request at most."""


class RegistryReader(RegistryViewer):
    """What readers ask. No call here changes anything."""

    @abstractmethod
    def check_readiness_many(self, questions: Sequence[Question], *, explain: bool = True) -> list[Answer]:
        """Answer many questions at once, at little more than the cost of one (R1, R2, R8).

        All answers belong to one moment, however many there are and whatever they explain: what was never ready
        together is never called so. A web service takes at most :data:`MOST_QUESTIONS`, since only one request is
        answered for one moment.

        :param explain: explain also why something is not ready (R2). Without it the call is much cheaper, which
            suits many waiters that only want to know whether they may go on; ``gaps``, ``blockers`` and ``stale`` of
            answers that are not ready may then be empty.
        :return: one answer per question, in the same order. A question about an unknown source gets an
            ``UnknownSourceError`` in its place, and the others are answered all the same.
        :raises InvalidInputError: these are not questions, or are too many for a web service.
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

        :param as_of: from an earlier :class:`Readiness` of the same source. If the history has not reached this
            position, as after restoring a backup, the answer is yes.
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
        """Say whose token this is (R10), and nothing else.

        :raises InvalidTokenError: it is unknown, has expired or was revoked; the error does not say which.
        :raises AdministratorTokenError: it is that of a web service's administrator.
        """

    @abstractmethod
    def get_token(self, token_id: str) -> AccessToken:
        """Look up one access token by its id, whether it is valid or not.

        :raises UnknownTokenError: no such token.
        """

    @abstractmethod
    def list_tokens(
        self, principal: Principal, after: str | None = None, limit: int = 100
    ) -> Page[AccessToken]:
        """The access tokens of a source or a provider, valid or not, in the order in which they were issued.

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
        self,
        source_name: str,
        interval: Interval | None = None,
        after: int | None = None,
        limit: int = 100,
        provider_name: str | None = None,
    ) -> Page[Partition]:
        """Partitions of a source in the order of their start, all or those that overlap an interval.

        :param after: ``next`` of the page before.
        :param provider_name: only those of this provider. What others have in the interval costs a little, too.
        :raises UnknownSourceError: no such source.
        :raises UnknownProviderError: no such provider.
        :raises InvalidInputError: the partition at which the page before ended has been pruned since.
        """

    @abstractmethod
    def count_locks(self) -> LockCounts:
        """Count the locks of all sources, for those who operate the registry.

        The cost depends only on how much is locked, not on the length of the history. At most
        :data:`MOST_LOCKS_COUNTED` are counted per source.
        """

    @abstractmethod
    def list_locks(
        self, holder_prefix: str | None = None, after: int | None = None, limit: int = 100
    ) -> Page[Partition]:
        """The partitions of all sources that are locked or expired, in the order in which they were registered.

        The cost depends only on how much is locked, not on the length of the history.

        :param holder_prefix: only those whose holder's identity begins with this, case-sensitively: for example, the
            locks that a run still holds.
        :param after: ``next`` of the page before.
        """

    @abstractmethod
    def events(self, after: int = 0, source_name: str | None = None, limit: int = 1000) -> Page[Event]:
        """The history after a position (R9). A reader that continues from the last position it saw misses nothing.

        Events that concern only a provider belong to the history of no source.

        :param after: a position; 0 for the beginning. Events of other sources that were removed do not matter to who
            follows one.
        :raises InvalidInputError: the history has never reached that position: a backup was restored.
        :raises PrunedPositionError: events after that position were removed; this is also the answer to 0 then.
        :raises LostPositionError: that position was in a part of the history that a restored backup does not have.
        :raises UnknownSourceError: no such source.
        """

    @abstractmethod
    def grain_events(
        self,
        source_name: str,
        grain: Grain,
        timezone: str = "UTC",
        *,
        after: int | str = 0,
        limit: int = 1000,
    ) -> GrainPage:
        """The whole days (hours, ...) of a source that became ready after a place in the history, in order (R9).

        Each is told once per publication: when it is whole for the first time, and again with a greater ``version``
        when any part of it has been written again, so that it was not ready meanwhile, or was withdrawn from under
        other data. A lock that is given back without having written makes nothing ready anew. Changes by versions of
        this package that had no ``grain_events`` are not told.

        :param grain: "hour", "day", "week", "month", or a timedelta, see :func:`~..domain.grains.interval_at`.
        :param timezone: the IANA name of the time zone in which a named grain begins.
        :param after: a position; or the ``cursor`` of a :class:`~..domain.models.GrainEvent`, or ``reached`` or
            ``next`` of a page, to go on from there.
        :param limit: how many grains at most.
        :raises InvalidInputError: no such grain, time zone or place, or the history has never reached it: a backup was
            restored.
        :raises PrunedPositionError: events after that place were removed.
        :raises LostPositionError: that place was in a part of the history that a restored backup does not have.
        :raises UnknownSourceError: no such source.
        """

    @abstractmethod
    def last_position(self) -> int:
        """Where the history ends now. A reader that follows it from there sees whatever happens next."""

    @abstractmethod
    def ping(self) -> None:
        """Check that the registry is there and answers.

        Unlike any other call, it does not create a SQLite registry that is missing.

        :raises SchemaMissingError: there is none.
        """

    @abstractmethod
    def open_listener(self) -> Listener | None:
        """Subscribe to changes; None if this store cannot notify, so that polling is the only way."""

    def with_max_age(self, seconds: int) -> RegistryReader:
        """A reader of the same registry that may answer as of some seconds ago, so that a standby can answer as well.

        Whatever was acknowledged to anybody more than ``seconds`` ago is in its answers. A standby that does not prove
        to have all that, or does not respond, is passed over for the primary. What decides who may do what (tokens),
        questions about publishing times (R8), ``changed_since`` and following the history always go to the primary.

        :param seconds: a whole number up to 300. With 0, or if the registry has no standby, only the primary answers.
        :raises InvalidInputError: it is no such number.
        """
        check_max_age(seconds)
        return self

    @abstractmethod
    def close(self) -> None:
        """Close the connections. The reader may be used again afterwards, and then connects anew."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
