"""The guard at the start of work: no task between a lock and its unlock runs without the lock (R3, R12).

Whatever made the task run (a schedule, a retry, a clear of this task alone, a backfill), its run must hold the lock.
If it does not, the guard takes the lock again; if somebody else has it, the task fails before its own code runs. The
guard notes what was held, which is the unlock's proof.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from typing import Any

from airflow_provider_partition_registry.domain.models import Holder
from airflow_provider_partition_registry.hooks.partition_registry import PartitionRegistryHook
from airflow_provider_partition_registry.proof.graph import are_mapped_together, is_mapped, locks_around
from airflow_provider_partition_registry.proof.notes import LockNote, WorkNote
from airflow_provider_partition_registry.proof.standing import Standing, lock_partitions
from airflow_provider_partition_registry.proof.verdict import Grant
from airflow_provider_partition_registry.runtime.compat import is_resumed
from airflow_provider_partition_registry.runtime.errors import LockNotTakenError
from airflow_provider_partition_registry.runtime.identity import TAKEN_BY, details_of_task

log = logging.getLogger("airflow.task")


def begin_work(context: Any) -> None:
    """Make sure that every lock around the task is held, and note the locks under which its work begins.

    :raises PartitionLockedError: somebody else holds one; the task must not run.
    :raises LockNotTakenError: it cannot be known which partition should have been locked.
    """
    ti = context["ti"]
    notes = [note for lock in locks_around(ti.task) for note in _notes_of(lock, context)]
    if not notes:
        return
    grants = {note.holder: _hold(note, context) for note in notes}
    # A deferred try began under the locks of that time; if one was lost meanwhile, the work under it is not undone.
    if is_resumed(ti) and WorkNote.of_myself(ti) is not None:
        return
    WorkNote(map_index=_map_index(ti), grants=grants).push(ti)


def end_work(context: Any) -> None:
    """Note that the task reached the end of its own code."""
    ti = context["ti"]
    note = WorkNote.of_myself(ti)
    if note is not None:
        WorkNote(map_index=note.map_index, grants=note.grants, ended=True).push(ti)


def _notes_of(lock: Any, context: Any) -> Iterator[LockNote]:
    """What the lock task noted that it took for this task; without a note, what it would take now."""
    ti = context["ti"]
    if are_mapped_together(lock, ti.task):
        note = LockNote.of(ti, lock, _map_index(ti))
        found = [] if note is None else [note]
    else:
        found = LockNote.all_of(ti, lock)
    if found:
        yield from found
    else:
        yield _note_in_place_of(lock, context)


def _note_in_place_of(lock: Any, context: Any) -> LockNote:
    """What a lock task that has not run, or was marked as successful by hand, would have taken."""
    if is_mapped(lock) and not are_mapped_together(lock, context["ti"].task):
        raise LockNotTakenError(
            f"This task has not started: {lock.task_id} has not taken its locks in this run, and which ones they "
            f"would be is known only when it runs. Clear {lock.task_id}, and what follows it."
        )
    rendered = copy.copy(lock)
    rendered.render_template_fields(context)
    note: LockNote = rendered.note(context, task_id=lock.task_id)
    return note


def _hold(note: LockNote, context: Any) -> Grant:
    """Take the lock where this run does not hold it, and renew its lease. Returns the lock that is held.

    A part of mapped work renews all partitions of the lock, as those of parts that wait for a worker must not expire.
    """
    ti = context["ti"]
    with PartitionRegistryHook(note.conn_id).get_conn() as store:
        standing = Standing.look_up(store, note)
        if not standing.not_held and note.lease is None:
            return note.granted(standing.held)
        if standing.not_held:
            log.warning(
                "The lock on %s is not held by this run: %s. Taking it before the task starts.",
                note,
                standing.of_not_held,
            )
        holder = Holder(note.holder, details_of_task(ti) | {TAKEN_BY: ti.task_id})
        # Other instances of this work may be doing the same: whoever comes second keeps what the first one took.
        grant = note.granted(lock_partitions(store, note, holder, keep=True))
        if standing.not_held:
            log.info("Locked %s, generation %s.", note, grant.in_words)
        return grant


def _map_index(ti: Any) -> int:
    return -1 if ti.map_index is None else int(ti.map_index)
