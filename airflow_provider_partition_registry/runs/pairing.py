"""Which tasks of a DAG take and release locks, and which lock belongs to an unlock: a matter of the graph.

Tasks are told apart by the names of their classes, so that nothing here imports operators. What of a mapped task is
known before it runs is what all its instances have in common.
"""

from __future__ import annotations

from typing import Any

from airflow_provider_partition_registry.runs.work import nearest_upstream

OPERATORS = "airflow_provider_partition_registry.operators.partition_registry"
LOCK = "PartitionLockOperator"
UNLOCK = "PartitionUnlockOperator"

WRITTEN = ("source_name", "provider_name", "start", "end")
"""The parameters that a lock and its unlock have in common as they are written in the DAG."""


def is_lock(task: Any) -> bool:
    """Whether a task, mapped or not, takes a lock."""
    return _is_a(task, LOCK)


def is_unlock(task: Any) -> bool:
    """Whether a task, mapped or not, publishes what was locked."""
    return _is_a(task, UNLOCK)


def lock_of(unlock: Any) -> Any | None:
    """The task that takes the lock which an unlock releases, or None if it is taken some other way.

    It is the one that the unlock names, else the nearest lock upstream that is written alike, else the nearest.
    """
    named = parameter(unlock, "lock_task_id")
    if named is not None:
        return unlock.dag.get_task(named)
    return nearest_upstream(
        unlock, lambda task: is_lock(task) and _are_alike(task, unlock)
    ) or nearest_upstream(unlock, is_lock)


def parameter(task: Any, name: str) -> Any:
    """What a task, mapped or not, was told, as far as that is known before it runs; else None."""
    if _is_mapped(task) and name in task.partial_kwargs:
        return task.partial_kwargs[name]
    return getattr(task, name, None)


def classes_of(task: Any) -> tuple[type, ...]:
    """The class of a task, mapped or not, and those that it derives from.

    There are none in a DAG that comes from the database: only DAG files and running tasks have classes.
    """
    kind = task.operator_class if _is_mapped(task) else type(task)
    return kind.__mro__ if isinstance(kind, type) else ()


def _is_a(task: Any, operator: str) -> bool:
    return any((kind.__module__, kind.__name__) == (OPERATORS, operator) for kind in classes_of(task))


def _is_mapped(task: Any) -> bool:
    return hasattr(task, "partial_kwargs")


def _are_alike(lock: Any, unlock: Any) -> bool:
    mine, others = _as_written(unlock), _as_written(lock)
    return all(mine[name] == others[name] for name in mine.keys() & others.keys())


def _as_written(task: Any) -> dict[str, Any]:
    """Those of ``WRITTEN`` that are known, before templates are rendered."""
    if _is_mapped(task):
        return {name: task.partial_kwargs[name] for name in WRITTEN if name in task.partial_kwargs}
    return dict(zip(WRITTEN, task.written, strict=True))
