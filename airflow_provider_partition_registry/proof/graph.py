"""Which tasks are the work between a lock and its unlock: a matter of the DAG's graph alone (R12).

Tasks are looked at as the DAG file made them, so a mapped task is not unmapped here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any

WRITTEN = ("source_name", "provider_name", "start", "end")
"""The parameters that a lock and its unlock have in common as they are written in the DAG."""

# Airflow's bases of what decides or waits; it writes no data. By name, so that none of them is imported.
_DECIDERS_AND_WAITERS = {"SkipMixin", "BaseSensorOperator"}


class Role(StrEnum):
    """What an operator of this package is to a partition; it stands in the class attribute ``registry_role``."""

    LOCK = "lock"
    UNLOCK = "unlock"
    BYSTANDER = "bystander"


def operator_class_of(task: Any) -> type:
    """The class of a task's operator; a mapped task has a class of its own."""
    kind = getattr(task, "operator_class", None)
    return kind if isinstance(kind, type) else type(task)


def role_of(task: Any) -> Role | None:
    """What the task is to a partition, or None: every other task may be work."""
    return getattr(operator_class_of(task), "registry_role", None)


def argument_of(task: Any, name: str) -> Any:
    """What a task was told, of a mapped one as far as all its instances have it in common; else None."""
    common = getattr(task, "partial_kwargs", {})
    return common[name] if name in common else getattr(task, name, None)


def may_write(task: Any) -> bool:
    """Whether the task can have written data. Empty tasks, branches, short circuits and sensors cannot."""
    if role_of(task) is not None or task.inherits_from_empty_operator:
        return False
    return _DECIDERS_AND_WAITERS.isdisjoint(each.__name__ for each in operator_class_of(task).__mro__)


def lock_of(unlock: Any) -> Any | None:
    """The task that takes the lock which this unlock ends, or None.

    It is the one that ``lock_task_id`` names, else the nearest lock upstream that is written with the same source,
    provider and interval, else the nearest lock upstream.
    """
    named = argument_of(unlock, "lock_task_id")
    if named is not None:
        return unlock.dag.get_task(named)
    return _nearest_upstream(unlock, lambda task: _is_lock(task) and _are_written_alike(task, unlock)) or (
        _nearest_upstream(unlock, _is_lock)
    )


def work_of(unlock: Any, lock: Any) -> set[str]:
    """The ids of the tasks that count as the work between a lock and its unlock.

    That is whatever runs after the lock and does not wait for the unlock, also tasks for which nobody waits: they may
    be writing still. Only a group says by itself what is in it; what comes after a task of the group reads. Operators
    of this package write nothing.
    """
    waiting_for_unlock = set(unlock.get_flat_relative_ids(upstream=False))
    awaited_by_unlock = set(unlock.get_flat_relative_ids(upstream=True))
    work = set(lock.get_flat_relative_ids(upstream=False)) - waiting_for_unlock
    group = lock.task_group
    if getattr(group, "locks_partition", False):
        work &= awaited_by_unlock | {task.task_id for task in group.iter_tasks()}
    return {
        task_id
        for task_id in work
        if role_of(lock.dag.get_task(task_id)) is None
        and (task_id in awaited_by_unlock or may_write(lock.dag.get_task(task_id)))
    }


def locks_around(task: Any) -> list[Any]:
    """The locks that must be held while this task runs: those in whose work it is."""
    unlocks = [each for each in task.dag.tasks if role_of(each) is Role.UNLOCK]
    pairs = [(unlock, lock_of(unlock)) for unlock in unlocks]
    return [lock for unlock, lock in pairs if lock is not None and task.task_id in work_of(unlock, lock)]


def has_locks(dag: Any) -> bool:
    """Whether anything in the DAG takes a lock; cheap, as it is asked in every DAG."""
    return any(role_of(task) is Role.LOCK for task in dag.task_dict.values())


def mapped_group_of(task: Any) -> str | None:
    """The id of the mapped task group that the task is in, or None."""
    group = task.get_closest_mapped_task_group()
    return None if group is None else str(group.group_id)


def are_mapped_together(one: Any, other: Any) -> bool:
    """Whether equal map indexes of the two belong together: only a common mapped task group says so."""
    group = mapped_group_of(one)
    return group is not None and group == mapped_group_of(other)


def is_mapped(task: Any) -> bool:
    """Whether the task has instances by map index."""
    return bool(task.get_needs_expansion()) or mapped_group_of(task) is not None


def descendants(of: Iterable[str], downstream: Mapping[str, Iterable[str]]) -> set[str]:
    """The given nodes and whatever can be reached from them."""
    reached, waiting = set[str](), deque(of)
    while waiting:
        node = waiting.popleft()
        if node not in reached and node in downstream:
            reached.add(node)
            waiting.extend(downstream[node])
    return reached


def _nearest_upstream(task: Any, is_wanted: Callable[[Any], bool]) -> Any | None:
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


def _is_lock(task: Any) -> bool:
    return role_of(task) is Role.LOCK


def _are_written_alike(one: Any, other: Any) -> bool:
    """Of a mapped task it is known only what all its instances have in common."""
    mine, theirs = _written(one), _written(other)
    return all(mine[name] == theirs[name] for name in mine.keys() & theirs.keys())


def _written(task: Any) -> dict[str, Any]:
    common = getattr(task, "partial_kwargs", None)
    if common is not None:
        return {name: common[name] for name in WRITTEN if name in common}
    return dict(zip(WRITTEN, task.written, strict=True))
