"""How a write ends: the partition is published, released or failed, as the work proves (R4, R12)."""

from __future__ import annotations

import logging
from typing import Any, NoReturn

from airflow_provider_partition_registry.domain.errors import PartitionStateError
from airflow_provider_partition_registry.domain.models import LOCKED_STATES, Holder, Partition, PartitionState
from airflow_provider_partition_registry.domain.names import storable
from airflow_provider_partition_registry.proof.evidence import gather_work
from airflow_provider_partition_registry.proof.guard import is_held, look_up
from airflow_provider_partition_registry.proof.notes import LockNote
from airflow_provider_partition_registry.proof.verdict import OnSkipped, Outcome, Verdict, Work
from airflow_provider_partition_registry.runtime.compat import (
    AirflowFailException,
    AirflowSkipException,
    states_of_tasks,
)
from airflow_provider_partition_registry.runtime.identity import details_of_task
from airflow_provider_partition_registry.store.contract import RegistryStore

log = logging.getLogger("airflow.task")

# States in which a task instance may have written.
HAS_RUN = {"success", "failed", "running", "up_for_retry", "deferred", "restarting", "up_for_reschedule"}


def finish_write(
    context: Any, store: RegistryStore, unlock: Any, lock: Any, note: LockNote, on_skipped: OnSkipped
) -> Partition:
    """End the write of a partition according to the proof of its work.

    :param unlock: the task as the DAG has it; ``context`` belongs to its running instance.
    :param lock: the task that takes the lock.
    :param note: the lock that it took, or would have taken.
    :return: the published partition.
    :raises AirflowSkipException: there was nothing to publish.
    :raises AirflowFailException: the work is not proved.
    :raises PartitionLockedError: somebody else is writing the partition.
    """
    partition = look_up(store, note)
    is_ours = partition is not None and is_held(partition, note.holder)
    _require_lock_task(context, store, lock, note, partition if is_ours else None)
    if partition is not None and partition.state is PartitionState.FAILED:
        raise AirflowFailException(
            f"Not published: {note} has been marked as failed. {partition.reason} Write it again, under a new lock."
        )
    if partition is not None and partition.state in LOCKED_STATES and not is_ours:
        return store.unlock(note.key, holder=note.holder)  # refused, in the registry's own words
    generation = partition.generation if partition is not None and _is_of(partition, note.holder) else None
    work = gather_work(context, unlock, lock, note, generation)
    verdict = work.judge(on_skipped)
    if not is_ours:
        if partition is not None and verdict.outcome is Outcome.PUBLISH and _was_published(work):
            log.info("%s was published before, in an earlier try of this task.", note)
            return partition
        generation = _lock_afterwards(context, store, note, partition, work)
        verdict = _without_release(verdict)
    return _carry_out(store, note, generation, verdict)


def _is_of(partition: Partition, holder: str) -> bool:
    """Whether this holder holds the lock, or finished the partition under it."""
    return partition.lock is not None and partition.lock.holder.identity == holder


def _was_published(work: Work) -> bool:
    """Whether the guard saw all of the work under that lock, so that none of it ran after the publication."""
    return work.generation is not None and all(each.began_under is not None for each in work.writers())


def _require_lock_task(
    context: Any, store: RegistryStore, lock: Any, note: LockNote, held: Partition | None
) -> None:
    """Refuse to publish under a lock whose task did not succeed; if it took the lock nevertheless, end the lock."""
    states = states_of_tasks(context, {lock.task_id})
    state = states.get((lock.task_id, note.map_index))
    if state == "success":
        return
    if held is not None:
        reason = f"The task that took the lock, {lock.task_id}, died after it was granted ({state})."
        _fail(store, note, held.generation, reason)
    if state == "skipped":
        raise AirflowSkipException(f"Nothing to publish: {lock.task_id} was skipped.")
    raise AirflowFailException(f"Nothing to publish: {lock.task_id} did not take the lock ({state}).")


def _lock_afterwards(
    context: Any, store: RegistryStore, note: LockNote, partition: Partition | None, work: Work
) -> int:
    """Take the lock that the work should have held, so that the history shows a rewrite (R7, R8)."""
    if not any(each.state in HAS_RUN for each in work.writers()):
        raise AirflowFailException(
            f"Nothing to publish: the lock on {note} is not held, and no work was done."
        )
    standing = "is not registered" if partition is None else f"is {partition.state.value}"
    log.error(
        "THE WORK RAN WITHOUT ITS LOCK: %s %s, so nothing kept readers from reading it while it was written. "
        "Locking it now, so that the history shows a rewrite.",
        note,
        standing,
    )
    holder = Holder(note.holder, {**details_of_task(context["ti"]), "note": "locked after the work had run"})
    return store.lock(
        note.key, holder=holder, lease=note.lease_time, exclusive=note.exclusive, register=note.register
    ).generation


def _without_release(verdict: Verdict) -> Verdict:
    """Replace a release by a failure: without a lock nobody can vouch that nothing was written."""
    if verdict.outcome is Outcome.RELEASE:
        return Verdict(Outcome.FAIL, f"{verdict.reason}, but the lock was not held meanwhile")
    return verdict


def _carry_out(store: RegistryStore, note: LockNote, generation: int | None, verdict: Verdict) -> Partition:
    if verdict.outcome is Outcome.PUBLISH:
        published = store.unlock(note.key, generation=generation)
        log.info("Published %s, generation %s.", note, generation)
        return published
    if verdict.outcome is Outcome.FAIL:
        _fail(store, note, generation, verdict.reason)
    try:
        released = store.release(note.key, generation=generation)
    except PartitionStateError as error:  # what it was before this lock is not known
        _fail(store, note, generation, f"{verdict.reason}, but it cannot be released: {error}")
    raise AirflowSkipException(
        f"Nothing to publish: {note} is {released.state.value} again, as it was before. {verdict.reason}."
    )


def _fail(store: RegistryStore, note: LockNote, generation: int | None, reason: str) -> NoReturn:
    store.fail(note.key, reason=storable(reason), generation=generation)
    raise AirflowFailException(f"Not published: {note}; it is marked as failed. {reason}")
