"""The contract that every home of a registry keeps. The rules (R1 to R11) are explained in docs/semantics.md.

All methods are synchronous and safe to call from several threads. Every one may raise
:class:`~airflow_provider_partition_registry.domain.errors.StoreUnavailableError` when the home is down, unreachable
or too slow, and a :class:`~airflow_provider_partition_registry.domain.errors.SchemaError` when its tables do not fit
this version; names and texts of the wrong form raise
:class:`~airflow_provider_partition_registry.domain.errors.InvalidInputError`. These are not repeated below.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from airflow_provider_partition_registry.domain.errors import UnknownSourceError
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import (
    Event,
    Holder,
    LockCounts,
    Page,
    Partition,
    PartitionKey,
    PartitionState,
)
from airflow_provider_partition_registry.domain.principals import (
    AccessToken,
    IssuedToken,
    Principal,
    Provider,
    ProviderRegistration,
    Source,
    SourceRegistration,
)
from airflow_provider_partition_registry.domain.questions import Answer, Question, Readiness
from airflow_provider_partition_registry.domain.requests import (
    ChangeRequest,
    Decision,
    DecisionRequest,
    Ending,
    FinishRequest,
    LockRequest,
    RenewRequest,
    to_holder,
)
from airflow_provider_partition_registry.store.viewing import RegistryViewer

MOST_LOCKS_COUNTED = 10_000

MOST_QUESTIONS = 10_000
"""So many questions a web service takes in one request."""


class Listener(ABC):
    """Hears that something changed. A hint to look again, never the truth: news may be lost or be late."""

    @abstractmethod
    def wait(self, timeout: float) -> frozenset[str]:
        """Block until there is news, at most ``timeout`` seconds.

        :return: the names of the sources with news; empty when there were none in time.
        """

    @abstractmethod
    def close(self) -> None:
        """Stop listening."""


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


class RegistryStore(RegistryReader):
    """The whole registry. Every call is one transaction (R11) and writes one event per change of state (R9)."""

    @abstractmethod
    def register_source(self, source_name: str, owner: str) -> SourceRegistration:
        """Register a source and answer its access token, this once (R10).

        :param owner: who answers for the source.
        :raises SourceAlreadyRegisteredError: it exists; nothing is created and nothing revealed.
        """

    @abstractmethod
    def register_provider(
        self, provider_name: str, access_token: str, *, provider_token: str | None = None
    ) -> ProviderRegistration:
        """Register a provider and grant it the source that the token belongs to, or add that grant (R10).

        A new provider's own access token is answered, this once. For one that exists none is issued: who holds any
        source's token must not get hold of somebody else's provider.

        :param access_token: of the source.
        :param provider_token: by which a provider that exists agrees to the grant: its own. Without it a database,
            where who may write may do everything, asks for no consent; a web service takes the token it was opened
            with for it, also the administrator's.
        :raises InvalidTokenError: a token is not valid.
        :raises AccessDeniedError: the access token is not a source's.
        :raises ConsentRequiredError: the provider exists, and the other token is not its own.
        :raises ProviderAlreadyRegisteredError: the provider holds this grant already.
        """

    @abstractmethod
    def revoke_grant(self, source_name: str, provider_name: str, *, reason: str, by: str) -> Provider:
        """Take a provider's right to write to a source back (R10).

        Its partitions stay as they are: what it has locked goes on blocking, what it has published stays ready.
        Registering it again gives the right again.

        :param by: the person who decides it.
        :return: the provider, with the sources it may still write to.
        :raises UnknownSourceError: no such source.
        :raises UnknownProviderError: no such provider.
        :raises NoGrantError: the provider has no grant on the source.
        """

    @abstractmethod
    def rotate_token(
        self,
        principal: Principal,
        *,
        overlap: timedelta = timedelta(0),
        expires_in: timedelta | None = None,
    ) -> IssuedToken:
        """Issue a new access token for a source or a provider and end its other ones (R10).

        If the answer is lost, rotate again.

        :param overlap: how long the other tokens stay valid, unless they expire before; zero revokes them.
        :param expires_in: how long the new one is valid; None for ever.
        :raises UnknownSourceError: no such source.
        :raises UnknownProviderError: no such provider.
        """

    @abstractmethod
    def revoke_token(self, token_id: str, *, reason: str, by: str) -> AccessToken:
        """End one access token at once (R10). Revoking it again changes nothing and answers the same.

        :param by: the person who decides it.
        :raises UnknownTokenError: no such token.
        """

    @abstractmethod
    def register_partition(self, key: PartitionKey) -> Partition:
        """Make a partition known. It covers and blocks nothing yet.

        :raises UnknownSourceError: no such source.
        :raises UnknownProviderError: no such provider.
        :raises NoGrantError: the provider may not write to the source.
        :raises PartitionAlreadyRegisteredError: it is known.
        """

    @abstractmethod
    def change(self, request: ChangeRequest) -> Partition:
        """Carry a request out; :meth:`lock` and the others below say it in fewer words.

        :return: the partition as it stands afterwards.
        :raises RegistryError: as those say.
        """

    def lock(
        self,
        key: PartitionKey,
        *,
        holder: Holder | str | None = None,
        lease: timedelta | None = None,
        exclusive: bool = False,
        register: bool = False,
    ) -> Partition:
        """Take the lock before (re)writing a partition (R3).

        :param holder: who writes; None acts as the provider itself.
        :param lease: after which anyone with a grant may take the lock over; None for a lock that lasts.
        :param exclusive: conflict with overlapping locks of any provider, not only of this one.
        :param register: register the partition first if it is not known.
        :return: the locked partition; its ``generation`` is the fencing token.
        :raises UnknownSourceError: no such source.
        :raises UnknownProviderError: no such provider.
        :raises UnknownPartitionError: no such partition, and ``register`` is off.
        :raises NoGrantError: the provider may not write to the source.
        :raises PartitionLockedError: somebody else holds it, or one that conflicts with it.
        """
        return self.change(LockRequest(key, to_holder(holder), lease, exclusive, register))

    def renew(self, key: PartitionKey, *, generation: int, lease: timedelta) -> Partition:
        """Let the lease of a held lock run for ``lease`` from now on, and never end sooner than it would have (R5).

        A lock without a lease gets one.

        :raises NotLockHolderError: the generation is not that of the present lock.
        :raises UnknownSourceError: no such source.
        :raises UnknownProviderError: no such provider.
        :raises UnknownPartitionError: no such partition.
        :raises NoGrantError: the provider may not write to the source.
        """
        return self.change(RenewRequest(key, generation, lease))

    def unlock(
        self,
        key: PartitionKey,
        *,
        holder: Holder | str | None = None,
        generation: int | None = None,
    ) -> Partition:
        """Publish: the data is good, the partition becomes ready (R4).

        :param generation: of the lock; without it the holder must match.
        :raises NotLockHolderError: the lock is not, or no longer, the caller's; nothing changed.
        :raises UnknownSourceError: no such source.
        :raises UnknownProviderError: no such provider.
        :raises UnknownPartitionError: no such partition.
        :raises NoGrantError: the provider may not write to the source.
        """
        return self.change(FinishRequest(key, Ending.UNLOCK, to_holder(holder), generation))

    def fail(
        self,
        key: PartitionKey,
        *,
        reason: str,
        holder: Holder | str | None = None,
        generation: int | None = None,
    ) -> Partition:
        """End a write that went wrong: the partition becomes failed and goes on blocking readers (R4).

        :param reason: what went wrong, for the people who wait.
        :raises NotLockHolderError: the lock is not, or no longer, the caller's; nothing changed.
        :raises UnknownSourceError: no such source.
        :raises UnknownProviderError: no such provider.
        :raises UnknownPartitionError: no such partition.
        :raises NoGrantError: the provider may not write to the source.
        """
        return self.change(FinishRequest(key, Ending.FAIL, to_holder(holder), generation, reason))

    def release(
        self,
        key: PartitionKey,
        *,
        holder: Holder | str | None = None,
        generation: int | None = None,
    ) -> Partition:
        """Give a lock back under which nothing was written: the partition is again what it was before it (R4).

        That is ready with its old publishing time, failed with its old reason, or registered. Who releases swears
        that nothing was touched. What was taken over from somebody whose lease ran out becomes failed: that one may
        have written.

        :param generation: of the lock; without it the holder must match.
        :raises NotLockHolderError: the lock is not, or no longer, the caller's; nothing changed.
        :raises PartitionStateError: the lock was taken under an older version, which did not note what was before.
        :raises UnknownSourceError: no such source.
        :raises UnknownProviderError: no such provider.
        :raises UnknownPartitionError: no such partition.
        :raises NoGrantError: the provider may not write to the source.
        """
        return self.change(FinishRequest(key, Ending.RELEASE, to_holder(holder), generation))

    def force_release(
        self,
        key: PartitionKey,
        *,
        reason: str,
        by: str,
        to: PartitionState = PartitionState.FAILED,
    ) -> Partition:
        """Take a lock from its holder (R6).

        :param by: the person who decides it.
        :param to: ``FAILED``, or explicitly ``READY``.
        :raises PartitionStateError: the partition is not locked.
        :raises UnknownSourceError: no such source.
        :raises UnknownProviderError: no such provider.
        :raises UnknownPartitionError: no such partition.
        """
        return self.change(DecisionRequest(key, Decision.FORCE_RELEASE, reason, by, to))

    def invalidate(self, key: PartitionKey, *, reason: str, by: str) -> Partition:
        """Declare published data bad: the partition becomes failed (R6).

        :raises PartitionStateError: the partition is not ready.
        :raises UnknownSourceError: no such source.
        :raises UnknownProviderError: no such provider.
        :raises UnknownPartitionError: no such partition.
        """
        return self.change(DecisionRequest(key, Decision.INVALIDATE, reason, by))

    def withdraw(self, key: PartitionKey, *, reason: str, by: str) -> Partition:
        """Take a partition out of the picture: back to registered, it covers and blocks nothing (R6).

        :raises PartitionStateError: the partition is registered only.
        :raises UnknownSourceError: no such source.
        :raises UnknownProviderError: no such provider.
        :raises UnknownPartitionError: no such partition.
        """
        return self.change(DecisionRequest(key, Decision.WITHDRAW, reason, by))
