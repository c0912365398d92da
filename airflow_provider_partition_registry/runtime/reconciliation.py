"""Locks whose run is over or deleted, or whose task died: finding them and ending them (R12).

Airflow is asked after the locks were listed, and a lock is ended by the generation that was listed. So if a run is
cleared and locks again meanwhile, it keeps its new lock.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from airflow_provider_partition_registry.domain.errors import (
    AccessDeniedError,
    PartitionStateError,
    RegistryError,
    StoreUnavailableError,
    UnknownError,
)
from airflow_provider_partition_registry.domain.intervals import format_instant
from airflow_provider_partition_registry.domain.many_requests import MOST_PARTITIONS
from airflow_provider_partition_registry.domain.models import Lock, Partition
from airflow_provider_partition_registry.domain.names import storable
from airflow_provider_partition_registry.runtime.identity import (
    TAKEN_BY,
    HolderIdentity,
    parse_identity,
    prefix_of,
)
from airflow_provider_partition_registry.runtime.states import (
    ENDED,
    SUCCESS,
    AskAirflow,
    RunKey,
    RunState,
    run_of,
)
from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.store.paging import all_items

# States in which a task that took a lock has not released it, and will not come back to it by itself.
_DEAD = ("failed", "upstream_failed", "skipped", "removed")


@dataclass(frozen=True)
class HeldLock:
    """A present lock, and the task that holds it."""

    partition: Partition
    lock: Lock
    holder: HolderIdentity

    @property
    def is_of_lock_task(self) -> bool:
        """Whether the lock task itself took it, and not a guard for work that was cleared after it."""
        return TAKEN_BY not in self.lock.holder.details


@dataclass(frozen=True)
class EndedLock:
    """What became of a lock that no task will end.

    :param held: the lock as it was found.
    :param reason: why it is to end, which becomes the reason of the failed partition.
    :param was_ended: whether the partition is failed now.
    :param refusal: the registry's reason if it refused to end the lock.
    """

    held: HeldLock
    reason: str
    was_ended: bool = True
    refusal: str | None = None

    def __str__(self) -> str:
        partition = self.held.partition
        where = f"{partition.interval} of source {partition.source_name!r}"
        if self.refusal is not None:
            return f"The lock on {where} could not be ended. {self.reason} {self.refusal}"
        what = "was ended; the partition is failed" if self.was_ended else "is to be ended"
        return f"The lock on {where} {what}. {self.reason}"


@dataclass(frozen=True)
class Reconciliation:
    """What became of the locks of one Airflow.

    :param looked_at: how many locks there were.
    :param found: those that no task will end.
    """

    looked_at: int
    found: tuple[EndedLock, ...]

    @property
    def refused(self) -> tuple[EndedLock, ...]:
        """Those that the registry refused to end."""
        return tuple(each for each in self.found if each.refusal is not None)

    def __str__(self) -> str:
        counted = (
            f"Of {self.looked_at} locks of this Airflow, {len(self.found)} will not be ended by any task."
        )
        return "\n".join([counted, *map(str, self.found)])

    def as_result(self) -> dict[str, Any]:
        """A result for programs: which locks they are, and why they had to end."""
        return {
            "looked_at": self.looked_at,
            "found": [
                {
                    "source_name": each.held.partition.source_name,
                    "provider_name": each.held.partition.provider_name,
                    "start": format_instant(each.held.partition.start),
                    "end": format_instant(each.held.partition.end),
                    "holder": str(each.held.holder),
                    "generation": each.held.lock.generation,
                    "reason": each.reason,
                    "was_ended": each.was_ended,
                    "refusal": each.refusal,
                }
                for each in self.found
            ],
        }


def reconcile(
    store: RegistryStore, instance: str, ask: AskAirflow, *, dry_run: bool = False
) -> Reconciliation:
    """End the locks of one Airflow whose run is over or gone, or whose task died.

    :param instance: the name of this Airflow in the registry.
    :param ask: says how runs and tasks of this Airflow stand.
    :param dry_run: only report which locks would be ended.
    :raises StoreUnavailableError: the registry does not respond.
    """
    held = list(held_locks(store, prefix_of(instance)))
    runs = ask([each.holder for each in held]) if held else {}
    return Reconciliation(len(held), tuple(end_locks(store, held, runs, dry_run=dry_run)))


def held_locks(store: RegistryStore, prefix: str) -> Iterator[HeldLock]:
    """The present locks of Airflow tasks whose identities begin with this prefix."""
    for partition in all_items(partial(store.list_locks, prefix)):
        holder = parse_identity(partition.lock.holder.identity) if partition.lock else None
        if partition.lock is not None and holder is not None:
            yield HeldLock(partition, partition.lock, holder)


def end_locks(
    store: RegistryStore,
    held: Iterable[HeldLock],
    runs: Mapping[RunKey, RunState],
    endings: Mapping[RunKey, str] | None = None,
    *,
    dry_run: bool = False,
) -> Iterator[EndedLock]:
    """End those of the locks that are no longer in use.

    :param runs: how the holders' runs stand, asked after the locks were listed.
    :param endings: how runs ended, if more is known than their states.
    :param dry_run: only report which locks would be ended.
    """
    together: defaultdict[tuple[str, str, str], list[HeldLock]] = defaultdict(list)
    for each in held:
        run = runs[run_of(each.holder)]
        reason = reason_to_end(each.holder, run, endings, is_of_lock_task=each.is_of_lock_task)
        if reason is not None:
            together[each.partition.source_name, each.partition.provider_name, reason].append(each)
    for (_, _, reason), locks in together.items():
        if dry_run:
            yield from (EndedLock(each, reason, was_ended=False) for each in locks)
        else:
            yield from _end_all(store, locks, reason)


def reason_to_end(
    holder: HolderIdentity,
    run: RunState,
    endings: Mapping[RunKey, str] | None = None,
    *,
    is_of_lock_task: bool = True,
) -> str | None:
    """Why this holder's lock must be ended, or None while it may still be in use.

    :param run: how its run stands.
    :param endings: how runs ended, if more is known than their states.
    :param is_of_lock_task: whether the lock task took the present lock, so that the lock dies with that task.
    """
    name = f"The run {holder.run_id} of DAG {holder.dag_id}"
    died = _death_of(holder, run) if is_of_lock_task else None
    if run.state is None:
        return f"{name} was deleted while its task {holder.task_label} held this lock."
    if run.state in ENDED:
        how = (endings or {}).get(run_of(holder), f"ended as {run.state}")
        reason = f"{name} {how} while its task {holder.task_label} held this lock."
        return f"{reason} {died}" if died else reason
    return (
        f"{name} is still running, but no task will end this lock: {died[0].lower()}{died[1:]}"
        if died
        else None
    )


def _death_of(holder: HolderIdentity, run: RunState) -> str | None:
    state = run.tasks.get((holder.task_id, holder.map_index), SUCCESS)
    return (
        f"The task that took the lock died after it was granted: {holder.task_label} is {state}."
        if state in _DEAD
        else None
    )


def _end_all(store: RegistryStore, held: Sequence[HeldLock], reason: str) -> Iterator[EndedLock]:
    """Fail partitions of one source and provider for the same reason, at once if possible."""
    for first in range(0, len(held), MOST_PARTITIONS):
        portion = held[first : first + MOST_PARTITIONS]
        if len(portion) > 1 and _end_together(store, portion, reason):
            yield from (EndedLock(each, reason) for each in portion)
        else:
            outcomes = (_end(store, each, reason) for each in portion)
            yield from (each for each in outcomes if each is not None)


def _end_together(store: RegistryStore, held: Sequence[HeldLock], reason: str) -> bool:
    """Fail all of the partitions; if one is refused, none fails, and it has to be tried with each by itself.

    :return: whether they failed, for this reason.
    :raises StoreUnavailableError: the registry does not respond.
    """
    short = storable(reason)
    try:
        failed = store.fail_many(
            [each.partition.key for each in held],
            reason=short,
            generations=[each.lock.generation for each in held],
        )
    except StoreUnavailableError:
        raise
    except RegistryError:
        return False
    return all(each.reason == short for each in failed)


def _end(store: RegistryStore, held: HeldLock, reason: str) -> EndedLock | None:
    """Fail the partition, unless there is another lock by now.

    :return: what became of the lock, or None if it no longer existed.
    :raises StoreUnavailableError: the registry does not respond.
    """
    partition, short = held.partition, storable(reason)
    try:
        failed = store.fail(
            partition.key,
            reason=short,
            generation=held.lock.generation,
        )
    except (PartitionStateError, UnknownError):
        return None
    except AccessDeniedError as error:
        return EndedLock(held, reason, was_ended=False, refusal=str(error))
    # If the reason is another one, the partition had failed in the meantime.
    return EndedLock(held, reason) if failed.reason == short else None
