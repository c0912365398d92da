"""The whole contract, including what writers and owners use. See :mod:`~..store.contract`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from datetime import timedelta

from airflow_provider_partition_registry.domain.many_requests import (
    FinishManyRequest,
    LockManyRequest,
    ManyRequest,
)
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
    Source,
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
    def register_source(self, source_name: str, owner: str, *, uri: str | None = None) -> SourceRegistration:
        """Register a source and return its access token, which is shown only this once (R10).

        :param owner: who is responsible for the source.
        :param uri: the real address of its data, such as ``s3://bucket/sales``, under which lineage knows it. Everybody
            who may read sees it. A web service of a version before 0010 refuses it.
        :raises SourceAlreadyRegisteredError: it exists; nothing is created and nothing revealed.
        :raises InvalidInputError: the uri is no address, or holds more than that.
        """

    @abstractmethod
    def set_source_uri(self, source_name: str, uri: str | None) -> Source:
        """Change the real address of a source's data. Setting it again changes nothing and answers the same.

        What is ready stays ready: the registry itself does nothing with the address. The event has the type
        ``SOURCE_REGISTERED``, and the address before as ``former_uri`` in its details.

        :param uri: the address, as in :meth:`register_source`; None if it is not known any more.
        :raises UnknownSourceError: no such source.
        :raises InvalidInputError: the uri is no address, or holds more than that.
        """

    @abstractmethod
    def register_provider(
        self, provider_name: str, access_token: str, *, provider_token: str | None = None
    ) -> ProviderRegistration:
        """Register a provider and grant it the token's source, or add the grant to an existing provider (R10).

        The answer carries a new provider's own access token, only this once. For an existing provider no token is
        issued: whoever holds any source's token must not gain control of somebody else's provider.

        :param access_token: the source's.
        :param provider_token: the provider's own token, with which an existing provider agrees to the grant. A database
            does not ask for it, as whoever can write to it may do everything; a web service otherwise takes the token
            that the store was opened with, which may also be the administrator's.
        :raises InvalidTokenError: a token is not valid.
        :raises AccessDeniedError: the access token is not a source's.
        :raises ConsentRequiredError: the provider exists, and the other token is not its own.
        :raises ProviderAlreadyRegisteredError: the provider holds this grant already.
        """

    @abstractmethod
    def revoke_grant(self, source_name: str, provider_name: str, *, reason: str, by: str) -> Provider:
        """Revoke a provider's right to write to a source (R10).

        Its partitions stay as they are: what it has locked goes on blocking, what it has published stays ready.
        Registering the provider again restores the right.

        :param by: the person who decides.
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
        """Issue a new access token for a source or a provider, and end its other tokens (R10).

        If the answer is lost, rotate again.

        :param overlap: how long the other tokens stay valid, unless they expire before; zero revokes them at once.
        :param expires_in: how long the new token is valid; None for ever.
        :raises UnknownSourceError: no such source.
        :raises UnknownProviderError: no such provider.
        """

    @abstractmethod
    def revoke_token(self, token_id: str, *, reason: str, by: str) -> AccessToken:
        """Revoke one access token at once (R10). Revoking it again changes nothing and answers the same.

        :param by: the person who decides.
        :raises UnknownTokenError: no such token.
        """

    def register_partition(self, key: PartitionKey) -> Partition:
        """Make a partition known. It covers and blocks nothing yet.

        :raises UnknownSourceError: no such source.
        :raises UnknownProviderError: no such provider.
        :raises NoGrantError: the provider may not write to the source.
        :raises PartitionAlreadyRegisteredError: it is registered already.
        """
        return self.register_many([key])[0]

    @abstractmethod
    def register_many(self, keys: Sequence[PartitionKey]) -> list[Partition]:
        """Make partitions of one provider and source known: all of them, or none (R11).

        :param keys: at most :data:`~airflow_provider_partition_registry.domain.many_requests.MOST_PARTITIONS`.
        :return: the partitions, in the order of the keys.
        :raises InvalidInputError: the keys are of several sources or providers, too many, or one is there twice.
        :raises UnknownSourceError: no such source.
        :raises UnknownProviderError: no such provider.
        :raises NoGrantError: the provider may not write to the source.
        :raises PartitionAlreadyRegisteredError: one of them is registered already.
        """

    @abstractmethod
    def change(self, request: ChangeRequest) -> Partition:
        """Carry out a request. :meth:`lock` and the other methods below are shorthands for it.

        :return: the partition as it stands afterwards.
        :raises RegistryError: as those methods say.
        """

    @abstractmethod
    def change_many(self, request: ManyRequest) -> list[Partition]:
        """Carry out a request about many partitions. :meth:`lock_many` and its like are shorthands for it.

        All are changed, or none (R11): if one is refused, its error is raised. Repeating a call that succeeded is as
        safe as repeating the single one.

        :return: the partitions as they stand afterwards, in the order of the request.
        :raises RegistryError: as those methods say.
        """

    def lock(
        self,
        key: PartitionKey,
        *,
        holder: Holder | str | None = None,
        lease: timedelta | None = None,
        exclusive: bool = False,
        register: bool = False,
        keep: bool = False,
    ) -> Partition:
        """Take the lock before (re)writing a partition (R3).

        :param holder: who writes; None acts as the provider itself.
        :param lease: how long until anyone with a grant may take the lock over; None for a lock that lasts.
        :param exclusive: conflict with overlapping locks of any provider, not only of this one.
        :param register: register the partition first if it is not known.
        :param keep: if the holder has the lock already, leave it as it is, with its generation, and renew the lease if
            one is given and less than nine tenths of it are left. So several processes of one holder may all make sure
            that they have it.
        :return: the locked partition; its ``generation`` is the fencing token.
        :raises UnknownSourceError: no such source.
        :raises UnknownProviderError: no such provider.
        :raises UnknownPartitionError: no such partition, and ``register`` is off.
        :raises NoGrantError: the provider may not write to the source.
        :raises PartitionLockedError: somebody else holds the lock, or one that conflicts with it.
        """
        return self.change(LockRequest(key, to_holder(holder), lease, exclusive, register, keep))

    def renew(self, key: PartitionKey, *, generation: int, lease: timedelta) -> Partition:
        """Let the lease of a held lock run for ``lease`` from now on; it never ends sooner than it would have (R5).

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

        :param generation: that of the lock; without it the holder must match.
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
        """Release a lock under which nothing was written: the partition becomes again what it was before (R4).

        It is then ready with its old publishing time, failed with its old reason, or registered. The caller vouches
        that it has written nothing. If the lock was taken over from a holder whose lease ran out, the partition
        becomes failed, as that holder may have written.

        :param generation: that of the lock; without it the holder must match.
        :raises NotLockHolderError: the lock is not, or no longer, the caller's; nothing changed.
        :raises PartitionStateError: the lock was taken by an older version, which did not record the former state.
        :raises UnknownSourceError: no such source.
        :raises UnknownProviderError: no such provider.
        :raises UnknownPartitionError: no such partition.
        :raises NoGrantError: the provider may not write to the source.
        """
        return self.change(FinishRequest(key, Ending.RELEASE, to_holder(holder), generation))

    def lock_many(
        self,
        keys: Sequence[PartitionKey],
        *,
        holder: Holder | str | None = None,
        lease: timedelta | None = None,
        exclusive: bool = False,
        register: bool = False,
        keep: bool = False,
    ) -> list[Partition]:
        """Take the locks on partitions of one provider and source before (re)writing them: all of them, or none.

        :param keys: at most :data:`~airflow_provider_partition_registry.domain.many_requests.MOST_PARTITIONS`.
        :raises InvalidInputError: the keys are of several sources or providers, too many, or one is there twice.
        :raises RegistryError: as :meth:`lock`, for the first that is refused.
        """
        return self.change_many(LockManyRequest(keys, to_holder(holder), lease, exclusive, register, keep))

    def unlock_many(
        self,
        keys: Sequence[PartitionKey],
        *,
        holder: Holder | str | None = None,
        generations: Sequence[int | None] | None = None,
    ) -> list[Partition]:
        """Publish partitions of one provider and source: all of them, or none (R4).

        :param generations: those of the locks, in the order of the keys; without one the holder must match.
        :raises InvalidInputError: as :meth:`lock_many`.
        :raises RegistryError: as :meth:`unlock`, for the first that is refused.
        """
        return self.change_many(FinishManyRequest(keys, Ending.UNLOCK, to_holder(holder), generations))

    def fail_many(
        self,
        keys: Sequence[PartitionKey],
        *,
        reason: str,
        holder: Holder | str | None = None,
        generations: Sequence[int | None] | None = None,
    ) -> list[Partition]:
        """End writes that went wrong; all the partitions become failed, or none (R4).

        :param reason: what went wrong, for the people who wait.
        :param generations: those of the locks, in the order of the keys; without one the holder must match.
        :raises InvalidInputError: as :meth:`lock_many`.
        :raises RegistryError: as :meth:`fail`, for the first that is refused.
        """
        return self.change_many(FinishManyRequest(keys, Ending.FAIL, to_holder(holder), generations, reason))

    def release_many(
        self,
        keys: Sequence[PartitionKey],
        *,
        holder: Holder | str | None = None,
        generations: Sequence[int | None] | None = None,
    ) -> list[Partition]:
        """Release locks under which nothing was written: all of them, or none (R4).

        :param generations: those of the locks, in the order of the keys; without one the holder must match.
        :raises InvalidInputError: as :meth:`lock_many`.
        :raises RegistryError: as :meth:`release`, for the first that is refused.
        """
        return self.change_many(FinishManyRequest(keys, Ending.RELEASE, to_holder(holder), generations))

    def force_release(
        self,
        key: PartitionKey,
        *,
        reason: str,
        by: str,
        to: PartitionState = PartitionState.FAILED,
    ) -> Partition:
        """Take a lock from its holder (R6).

        :param by: the person who decides.
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
        """Take a partition back to registered, where it covers and blocks nothing (R6).

        :raises PartitionStateError: the partition is only registered.
        :raises UnknownSourceError: no such source.
        :raises UnknownProviderError: no such provider.
        :raises UnknownPartitionError: no such partition.
        """
        return self.change(DecisionRequest(key, Decision.WITHDRAW, reason, by))
