"""How a write ends: the partition is published, released or failed, as the work proves (R4, R12)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, NoReturn

from airflow_provider_partition_registry.domain.errors import (
    NotLockHolderError,
    PartitionLockedError,
    PartitionStateError,
)
from airflow_provider_partition_registry.domain.models import Holder, Partition
from airflow_provider_partition_registry.domain.wording import not_theirs
from airflow_provider_partition_registry.proof.evidence import gather_work
from airflow_provider_partition_registry.proof.notes import LockNote
from airflow_provider_partition_registry.proof.standing import Standing, fail, lock_partitions
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
) -> list[Partition]:
    """End the write of a lock's partitions according to the proof of its work, all of them in the same way.

    :param unlock: the task as the DAG has it; ``context`` belongs to its running instance.
    :param lock: the task that takes the lock.
    :param note: the lock that it took, or would have taken.
    :return: the published partitions.
    :raises AirflowSkipException: there was nothing to publish.
    :raises AirflowFailException: the work is not proved.
    :raises NotLockHolderError: somebody else is writing a partition.
    """
    standing = Standing.look_up(store, note)
    _require_lock_task(context, store, lock, standing)
    _require_nothing_in_the_way(store, standing)
    work = gather_work(context, unlock, lock, note, standing.grant)
    verdict = work.judge(on_skipped)
    if standing.not_held and verdict.outcome is Outcome.PUBLISH and _was_published(standing, work):
        log.info("%s was published before, in an earlier try of this task.", note)
        return [each for each in standing.partitions if each is not None]
    try:
        if not standing.not_held:
            return _carry_out(store, note, standing.held, verdict)
        locked = _lock_afterwards(context, store, standing, work)
        return _carry_out(store, note, locked, _without_release(verdict))
    except (PartitionLockedError, NotLockHolderError) as error:
        # Somebody decided about one of the partitions at this moment. The others must not stay locked.
        fail(store, Standing.look_up(store, note).held, error.message)
        raise


def _require_nothing_in_the_way(store: RegistryStore, standing: Standing) -> None:
    """Refuse to publish if a person or another writer decided about one of the partitions, and end our locks."""
    note, failed, foreign = standing.note, standing.first_failed, standing.first_of_others
    if failed is not None:
        which = "it" if len(standing.keys) == 1 else f"{failed.interval}"
        reason = f"Written together with {failed.interval}, which has been marked as failed. {failed.reason}"
        fail(store, standing.held, reason)
        raise AirflowFailException(
            f"Not published: {note}, as {which} has been marked as failed. {failed.reason} Write it again, under a new "
            f"lock."
        )
    if foreign is not None:
        fail(
            store, standing.held, f"Written together with {foreign.interval}, which somebody else has locked."
        )
        raise NotLockHolderError(not_theirs("publish", foreign, Holder(note.holder), None), foreign)


def _was_published(standing: Standing, work: Work) -> bool:
    """Whether the guard saw all of the work under these locks, so that none of it ran after the publication."""
    return (
        not standing.held
        and work.grant is not None
        and all(each.began_under is not None for each in work.writers())
    )


def _require_lock_task(context: Any, store: RegistryStore, lock: Any, standing: Standing) -> None:
    """Refuse to publish under a lock whose task did not succeed; if it took the lock nevertheless, end the lock."""
    states = states_of_tasks(context, {lock.task_id})
    state = states.get((lock.task_id, standing.note.map_index))
    if state == "success":
        return
    if standing.held:
        reason = f"The task that took the lock, {lock.task_id}, died after it was granted ({state})."
        _fail(store, standing.note, standing.held, reason)
    if state == "skipped":
        raise AirflowSkipException(f"Nothing to publish: {lock.task_id} was skipped.")
    raise AirflowFailException(f"Nothing to publish: {lock.task_id} did not take the lock ({state}).")


def _lock_afterwards(context: Any, store: RegistryStore, standing: Standing, work: Work) -> list[Partition]:
    """Take the lock that the work should have held, so that the history shows a rewrite (R7, R8)."""
    note = standing.note
    if not any(each.state in HAS_RUN for each in work.writers()):
        fail(store, standing.held, "No work was done, and the lock on other partitions was not held.")
        raise AirflowFailException(
            f"Nothing to publish: the lock on {note} is not held, and no work was done."
        )
    log.error(
        "THE WORK RAN WITHOUT ITS LOCK on %s: %s, so nothing kept readers from reading it while it was written. "
        "Locking it now, so that the history shows a rewrite.",
        note,
        standing.of_not_held,
    )
    holder = Holder(note.holder, {**details_of_task(context["ti"]), "note": "locked after the work had run"})
    return lock_partitions(store, note, holder, keep=True)


def _without_release(verdict: Verdict) -> Verdict:
    """Replace a release by a failure: without a lock nobody can vouch that nothing was written."""
    if verdict.outcome is Outcome.RELEASE:
        return Verdict(Outcome.FAIL, f"{verdict.reason}, but the lock was not held meanwhile")
    return verdict


def _carry_out(
    store: RegistryStore, note: LockNote, held: Sequence[Partition], verdict: Verdict
) -> list[Partition]:
    keys, generations = [each.key for each in held], [each.generation for each in held]
    if verdict.outcome is Outcome.PUBLISH:
        published = store.unlock_many(keys, generations=generations)
        log.info("Published %s, generation %s.", note, note.granted(published).in_words)
        return published
    if verdict.outcome is Outcome.FAIL:
        _fail(store, note, held, verdict.reason)
    try:
        released = store.release_many(keys, generations=generations)
    except PartitionStateError as error:  # what one of them was before this lock is not known
        _fail(store, note, held, f"{verdict.reason}, but it cannot be released: {error}")
    states = " or ".join(dict.fromkeys(each.state.value for each in released))
    raise AirflowSkipException(
        f"Nothing to publish: {note} is {states} again, as it was before. {verdict.reason}."
    )


def _fail(store: RegistryStore, note: LockNote, held: Sequence[Partition], reason: str) -> NoReturn:
    fail(store, held, reason)
    raise AirflowFailException(f"Not published: {note}; it is marked as failed. {reason}")
