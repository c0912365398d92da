"""Which tasks are the work between a lock and its unlock, by the DAG's graph alone (R12).

Tasks are looked at as the DAG file made them, so a mapped task is not unmapped here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any

WRITTEN = ("source_name", "provider_name", "start", "end")
"""The parameters by which a lock and its unlock are matched, as they are written in the DAG."""

# Base classes of tasks that decide, wait or check, and write no data. By name, so that none has to be imported.
_WRITE_NOTHING = {"SkipMixin", "BaseSensorOperator", "PartitionUnchangedOperator"}


class Role(StrEnum):
    """What an operator of this package does to a partition; its class attribute ``registry_role`` says it."""

    LOCK = "lock"
    UNLOCK = "unlock"
    BYSTANDER = "bystander"


def operator_class_of(task: Any) -> type:
    """The class of a task's operator; a mapped task has a class of its own."""
    kind = getattr(task, "operator_class", None)
    return kind if isinstance(kind, type) else type(task)


def role_of(task: Any) -> Role | None:
    """What the task does to a partition, or None: every other task may be work."""
    return getattr(operator_class_of(task), "registry_role", None)


def argument_of(task: Any, name: str) -> Any:
    """An argument of a task; for a mapped task only if all its instances have it in common, else None."""
    common = getattr(task, "partial_kwargs", {})
    return common[name] if name in common else getattr(task, name, None)


def may_write(task: Any) -> bool:
    """Whether the task can have written data. Empty tasks, branches, short circuits, sensors and checks cannot."""
    if role_of(task) is not None or task.inherits_from_empty_operator:
        return False
    return _WRITE_NOTHING.isdisjoint(each.__name__ for each in operator_class_of(task).__mro__)


def lock_of(unlock: Any) -> Any | None:
    """The task that takes the lock which this unlock ends, or None.

    It is the one that ``lock_task_id`` names; otherwise the nearest lock upstream that is written with the same source,
    provider and interval; otherwise the nearest lock upstream.
    """
    named = argument_of(unlock, "lock_task_id")
    if named is not None:
        return unlock.dag.get_task(named)
    return _nearest_upstream(unlock, lambda task: _is_lock(task) and _are_written_alike(task, unlock)) or (
        _nearest_upstream(unlock, _is_lock)
    )


def work_of(unlock: Any, lock: Any) -> set[str]:
    """The ids of the tasks that count as the work between a lock and its unlock.

    The work is whatever runs after the lock and does not wait for the unlock, including tasks that nobody waits for, as
    these may still be writing. A lock group alone defines its work itself; what comes after one of its tasks, outside
    the group, only reads. Operators of this package write nothing, but a check of what was read counts if the unlock
    waits for it.
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
    """The locks that must be held while this task runs: those whose work includes it."""
    unlocks = [each for each in task.dag.tasks if role_of(each) is Role.UNLOCK]
    pairs = [(unlock, lock_of(unlock)) for unlock in unlocks]
    return [lock for unlock, lock in pairs if lock is not None and task.task_id in work_of(unlock, lock)]


def has_locks(dag: Any) -> bool:
    """Whether anything in the DAG takes a lock. It is cheap, as it is called for every DAG."""
    return any(role_of(task) is Role.LOCK for task in dag.task_dict.values())


def mapped_group_of(task: Any) -> str | None:
    """The id of the mapped task group that the task is in, or None."""
    group = task.get_closest_mapped_task_group()
    return None if group is None else str(group.group_id)


def are_mapped_together(one: Any, other: Any) -> bool:
    """Whether equal map indexes of the two belong together, which only a common mapped task group guarantees."""
    group = mapped_group_of(one)
    return group is not None and group == mapped_group_of(other)


def is_mapped(task: Any) -> bool:
    """Whether the task has several instances, told apart by map index."""
    return bool(task.get_needs_expansion()) or mapped_group_of(task) is not None


def descendants(of: Iterable[str], downstream: Mapping[str, Iterable[str]]) -> set[str]:
    """The given nodes, and everything that can be reached from them."""
    reached, waiting = set[str](), deque(of)
    while waiting:
        node = waiting.popleft()
        if node not in reached and node in downstream:
            reached.add(node)
            waiting.extend(downstream[node])
    return reached


def _nearest_upstream(task: Any, is_wanted: Callable[[Any], bool]) -> Any | None:
    """The wanted task with the fewest steps upstream, or None."""
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
    """Whether the two are written alike; of a mapped task only what all its instances have in common is compared."""
    mine, theirs = _written(one), _written(other)
    return all(mine[name] == theirs[name] for name in mine.keys() & theirs.keys())


def _written(task: Any) -> dict[str, Any]:
    common = getattr(task, "partial_kwargs", None)
    if common is not None:
        return {name: common[name] for name in WRITTEN if name in common}
    return dict(zip(WRITTEN, task.written, strict=True))
