"""How the partitions of a note stand in the registry, and what is done to all of them at once.

A lock may be on one partition or on many. These share one fate: they are published, released or failed together (R11).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

from airflow_provider_partition_registry.domain.errors import UnknownPartitionError
from airflow_provider_partition_registry.domain.models import (
    LOCKED_STATES,
    Holder,
    Partition,
    PartitionKey,
    PartitionState,
)
from airflow_provider_partition_registry.domain.names import storable
from airflow_provider_partition_registry.proof.notes import LockNote
from airflow_provider_partition_registry.proof.verdict import Grant
from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.store.paging import all_items


@dataclass(frozen=True)
class Standing:
    """The partitions of a note as they were a moment ago; None stands for one that is not registered."""

    note: LockNote
    keys: tuple[PartitionKey, ...]
    partitions: tuple[Partition | None, ...]

    @classmethod
    def look_up(cls, store: RegistryStore, note: LockNote) -> Standing:
        """Ask the registry how they stand.

        :raises UnknownSourceError: no such source.
        :raises UnknownProviderError: no such provider.
        """
        keys = note.keys
        if len(keys) == 1:
            return cls(note, keys, (_find(store, keys[0]),))
        of_provider = partial(
            store.list_partitions, note.source_name, note.interval, provider_name=note.provider_name
        )
        found = {each.key: each for each in all_items(of_provider)}
        return cls(note, keys, tuple(found.get(key) for key in keys))

    @property
    def not_held(self) -> list[PartitionKey]:
        """The partitions on which the holder of the note does not hold the lock now."""
        return [key for key, each in zip(self.keys, self.partitions, strict=True) if not self._holds(each)]

    @property
    def held(self) -> list[Partition]:
        """The partitions on which it does."""
        return [each for each in self.partitions if each is not None and self._holds(each)]

    @property
    def first_failed(self) -> Partition | None:
        """The first partition that is marked as failed, or None."""
        return self._first(lambda each: each.state is PartitionState.FAILED)

    @property
    def first_of_others(self) -> Partition | None:
        """The first partition that somebody else has locked, or None."""
        return self._first(lambda each: each.state in LOCKED_STATES and not self._holds(each))

    @cached_property
    def grant(self) -> Grant | None:
        """The lock under which this holder holds or finished the partitions; None unless it did so with all."""
        found = [each for each in self.partitions if each is not None and self._is_of_holder(each)]
        return self.note.granted(found) if len(found) == len(self.partitions) else None

    @property
    def of_not_held(self) -> str:
        """How those stand that are not held, in words."""
        states = [
            "not registered" if each is None else each.state.value
            for each in self.partitions
            if not self._holds(each)
        ]
        found = " or ".join(dict.fromkeys(states))
        if len(self.keys) == 1:
            return f"the partition is {found}"
        return f"{len(states):,} of its {len(self.keys):,} partitions are {found}"

    def _first(self, is_wanted: Callable[[Partition], bool]) -> Partition | None:
        return next((each for each in self.partitions if each is not None and is_wanted(each)), None)

    def _holds(self, partition: Partition | None) -> bool:
        return partition is not None and partition.state in LOCKED_STATES and self._is_of_holder(partition)

    def _is_of_holder(self, partition: Partition) -> bool:
        return partition.lock is not None and partition.lock.holder.identity == self.note.holder


def lock_partitions(
    store: RegistryStore, note: LockNote, holder: Holder, *, keep: bool = False
) -> list[Partition]:
    """Take the lock of a note on all of its partitions.

    :param keep: not where its holder has it; there the lease is renewed, if it has one.
    :raises PartitionLockedError: somebody else holds the lock on one of them.
    """
    return store.lock_many(
        note.keys,
        holder=holder,
        lease=note.lease_time,
        exclusive=note.exclusive,
        register=note.register,
        keep=keep,
    )


def fail(store: RegistryStore, held: Sequence[Partition], reason: str) -> None:
    """Mark partitions as failed whose locks are held; there may be none."""
    generations = [each.generation for each in held]
    store.fail_many([each.key for each in held], reason=storable(reason), generations=generations)


def _find(store: RegistryStore, key: PartitionKey) -> Partition | None:
    try:
        return store.get_partition(key)
    except UnknownPartitionError:
        return None
