"""The work between a lock and its unlock: where the lock was taken, and whether the work succeeded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException

from airflow_provider_partition_registry.runs.compat import states_of_tasks

DONE_WELL = {"success", "skipped"}

States = dict[tuple[str, int], str | None]
"""States of tasks by task id and map index, which is -1 for tasks that are not mapped."""


def nearest_upstream(task: Any, is_wanted: Callable[[Any], bool]) -> Any | None:
    """The wanted task that is the fewest steps upstream, or None."""
    seen, waiting = {task.task_id}, deque(task.upstream_list)
    while waiting:
        candidate = waiting.popleft()
        if candidate.task_id in seen:
            continue
        if is_wanted(candidate):
            return candidate
        seen.add(candidate.task_id)
        waiting.extend(candidate.upstream_list)
    return None


def require_lock(context: Mapping[str, Any], lock_task: Any) -> None:
    """Do not touch a lock that this run never took.

    :raises AirflowSkipException: the task that would take it was skipped.
    :raises AirflowFailException: it did not succeed.
    """
    state = _state_of(context, lock_task)
    if state == "skipped":
        raise AirflowSkipException(f"Nothing to publish: {lock_task.task_id} was skipped.")
    if state != "success":
        raise AirflowFailException(
            f"Nothing to publish: {lock_task.task_id} did not take the lock ({state})."
        )


def reason_not_to_publish(context: Mapping[str, Any], unlock_task: Any, lock_task: Any | None) -> str | None:
    """Why the data must not be published: which work did not succeed, or None if all is well.

    Tasks that were skipped (by a branch, say) are no reason as long as some work was done.

    :param lock_task: the one that took the lock; without it everything upstream counts as work.
    """
    work = _work_between(lock_task, unlock_task)
    if not work:
        return None
    states = _relevant(context, states_of_tasks(context, work | {unlock_task.task_id}), unlock_task.task_id)
    for task_id in work - {task_id for task_id, _ in states}:
        states[task_id, -1] = None
    bad = {task: state for task, state in states.items() if state not in DONE_WELL}
    if bad:
        listed = [f"{_label(*task)} ({state or 'not run'})" for task, state in sorted(bad.items())]
        return f"Work did not succeed: {', '.join(listed)}"
    if all(state == "skipped" for state in states.values()):
        return f"No work was done: {', '.join(_label(*task) for task in sorted(states))} skipped"
    return None


def _state_of(context: Mapping[str, Any], task: Any) -> str | None:
    """The state of another task of the same run, of the same map index if both are mapped alike."""
    states = states_of_tasks(context, {task.task_id})
    mine = (task.task_id, context["ti"].map_index)
    return states[mine] if mine in states else next(iter(states.values()), None)


def _work_between(lock_task: Any | None, unlock_task: Any) -> set[str]:
    upstream = set(unlock_task.get_flat_relative_ids(upstream=True))
    if lock_task is None:
        return upstream
    return upstream & set(lock_task.get_flat_relative_ids(upstream=False))


def _relevant(context: Mapping[str, Any], states: States, my_task_id: str) -> States:
    """The states of others that matter to this task.

    Of tasks mapped like this one only the same map index does; of tasks mapped otherwise nobody knows which index
    belongs to this one, so all do.
    """
    # Left over from before a clear, after which there was less to map over.
    present = {task: state for task, state in states.items() if state != "removed"}
    indexes: dict[str, set[int]] = {}
    for task_id, index in present:
        indexes.setdefault(task_id, set()).add(index)
    mine = context["ti"].map_index
    return {
        (task_id, index): state
        for (task_id, index), state in present.items()
        if task_id != my_task_id and (index == mine or indexes[task_id] != indexes.get(my_task_id))
    }


def _label(task_id: str, map_index: int) -> str:
    return task_id if map_index < 0 else f"{task_id}[{map_index}]"
