"""The whole contract: what writers and owners use as well. See :mod:`~..store.contract`."""

from __future__ import annotations

from abc import abstractmethod
from datetime import timedelta

from airflow_provider_partition_registry.domain.models import (
    Holder,
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
    SourceRegistration,
)
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
from airflow_provider_partition_registry.store.contract.reading import RegistryReader


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
