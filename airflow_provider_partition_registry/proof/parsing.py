"""Checks of a DAG's writes when it is parsed: mistakes are refused, warned of, or corrected."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from airflow_provider_partition_registry.proof.graph import (
    Role,
    argument_of,
    lock_of,
    operator_class_of,
    role_of,
)
from airflow_provider_partition_registry.runtime.conflicts import in_seconds

WRITES_PARTITION = "__writes_partition__"
"""The attribute of functions that ``@writes_partition`` has decorated."""


class LeaseTooShortWarning(UserWarning):
    """A lock may run out while the tasks behind it still write: nothing renews it between tasks."""


@dataclass(frozen=True)
class Writes:
    """The tasks of a DAG that write partitions.

    :param pairs: each unlock with the task that takes its lock, or None if the DAG has none.
    """

    dag: Any
    locks: tuple[Any, ...]
    unlocks: tuple[Any, ...]
    pairs: tuple[tuple[Any | None, Any], ...]

    @classmethod
    def of_dag(cls, dag: Any) -> Writes:
        """Find them."""
        unlocks = tuple(task for task in dag.tasks if role_of(task) is Role.UNLOCK)
        return cls(
            dag,
            tuple(task for task in dag.tasks if role_of(task) is Role.LOCK),
            unlocks,
            tuple((lock_of(unlock), unlock) for unlock in unlocks),
        )


def check(dag: Any) -> None:
    """Look at a DAG whose edges are all known.

    :raises AirflowClusterPolicyViolation: it cannot work as it is written.
    """
    writes = Writes.of_dag(dag)
    for each in CHECKS:
        each(writes)


def require_own_process(task: Any) -> None:
    """Check that a task calls its function in its own process, and is done when the function returns.

    Otherwise the lock would not be held while it writes: ``@task.virtualenv`` ships the function's source elsewhere,
    and what the function of ``@task.bash`` returns runs after it.

    :raises AirflowClusterPolicyViolation: it does not.
    """
    operator = operator_class_of(task)
    names = {kind.__name__ for kind in operator.__mro__}
    if "PythonOperator" in names and "_BasePythonVirtualenvOperator" not in names:
        return
    from airflow.exceptions import AirflowClusterPolicyViolation

    decorator = getattr(operator, "custom_operator_name", operator.__name__)
    raise AirflowClusterPolicyViolation(
        f"Task {task.task_id!r}: @writes_partition cannot hold a lock under {decorator}, which does its work in "
        f"another process or after the function has returned. Use it under @task, or lock and unlock in tasks of "
        f"their own."
    )


def _require_own_processes(writes: Writes) -> None:
    for task in writes.dag.tasks:
        if hasattr(argument_of(task, "python_callable"), WRITES_PARTITION):
            require_own_process(task)


def _warn_of_short_leases(writes: Writes) -> None:
    for lock, unlock in writes.pairs:
        if lock is None or (lease := argument_of(lock, "lease")) is None:
            continue
        lease = timedelta(seconds=in_seconds(lease))
        allowed, by = _allowed_until(writes.dag, lock, unlock)
        if lease < allowed:
            _warn(
                writes.dag,
                f"DAG {writes.dag.dag_id!r}: the lease of {lock.task_id!r} ends after {lease}, but {by} lets the tasks "
                f"until {unlock.task_id!r} take {allowed}. Then somebody else may take the lock over while they write. "
                f"Make the lease longer, or leave it out, or write in one task with @writes_partition, which "
                f"renews it.",
            )


def _allowed_until(dag: Any, lock: Any, unlock: Any) -> tuple[timedelta, str]:
    """How long the DAG's own time-outs allow from lock to unlock, as far as is known, and which time-outs these are."""
    longest, is_bounded = _longest_path(lock, unlock)
    by_tasks = (longest, "what execution_timeout, retries and retry_delay add up to")
    if dag.dagrun_timeout is None:
        return by_tasks
    by_run = (dag.dagrun_timeout, "dagrun_timeout")
    return min(by_tasks, by_run) if is_bounded else by_run


def _longest_path(lock: Any, unlock: Any) -> tuple[timedelta, bool]:
    """The longest time that the tasks in between may take, as far as is known, and whether all of it is known."""
    between = set(lock.get_flat_relative_ids(upstream=False)) & set(
        unlock.get_flat_relative_ids(upstream=True)
    )
    work = {task_id: unlock.dag.get_task(task_id) for task_id in between}
    until: dict[str, timedelta] = {}
    for task in unlock.dag.topological_sort():
        if task.task_id in work:
            before = (until[task_id] for task_id in task.upstream_task_ids & work.keys())
            until[task.task_id] = max(before, default=timedelta(0)) + _allowed(task)
    return max(until.values(), default=timedelta(0)), all(_is_bounded(task) for task in work.values())


def _allowed(task: Any) -> timedelta:
    """How long a task may take with all its retries, as far as that is known."""
    tries: timedelta = (task.execution_timeout or timedelta(0)) * (task.retries + 1)
    pauses: timedelta = task.retry_delay * task.retries
    return tries + pauses


def _is_bounded(task: Any) -> bool:
    return task.execution_timeout is not None and not task.retry_exponential_backoff


def _warn(dag: Any, message: str) -> None:
    # Explicitly, with the DAG's file as the place, since Python shows a warning once for each place.
    warnings.warn_explicit(message, LeaseTooShortWarning, dag.fileloc, 0)


def _require_locks(writes: Writes) -> None:
    for lock, unlock in writes.pairs:
        if lock is None:
            _refuse(
                f"{unlock.task_id!r} unlocks, but no task upstream of it takes a lock. Put a PartitionLockOperator "
                f"before the work, or name it with lock_task_id, or write in a partition_lock group."
            )


def _require_useful_trigger_rules(writes: Writes) -> None:
    for unlock in writes.unlocks:
        rule = str(getattr(unlock.trigger_rule, "value", unlock.trigger_rule))
        if rule not in USEFUL_TRIGGER_RULES:
            _refuse(
                f"{unlock.task_id!r} unlocks with trigger_rule={rule!r}: it would run beside the work, or not at all "
                f"once something fails, and leave the lock. Leave the rule out; the unlock itself looks at how the "
                f"work ended."
            )


def _require_edges_of_surrounded_tasks(writes: Writes) -> None:
    """Refuse tasks in a ``with unlock.as_teardown(...)`` to which Airflow gives no edges, as with mapped tasks."""
    for lock, unlock in writes.pairs:
        awaited = unlock.get_flat_relative_ids(upstream=True)
        protected = set() if lock is None else lock.get_flat_relative_ids(upstream=False)
        for task_id in sorted(getattr(unlock, "surrounded", ())):
            if task_id not in awaited or task_id not in protected:
                _refuse(
                    f"{task_id!r} stands in the context of {unlock.task_id!r}, but Airflow lets no edge lead "
                    f"{'to' if task_id not in protected else 'from'} it there, as with mapped tasks: it would write "
                    f"without the lock. Write lock >> task >> unlock, or use a partition_lock group."
                )


def _let_readers_wait_for_publication(writes: Writes) -> None:
    """Let tasks that use the result of a task in a group wait for the whole group, even if they name only that task."""
    for lock, unlock in writes.pairs:
        if lock is None or not getattr(lock.task_group, "locks_partition", False):
            continue
        awaited = unlock.get_flat_relative_ids(upstream=True)
        members = {task.task_id for task in lock.task_group.iter_tasks()}
        readers = {
            task_id
            for member in members - {unlock.task_id}
            for task_id in writes.dag.get_task(member).downstream_task_ids
        }
        for task_id in sorted(readers - members - awaited - unlock.downstream_task_ids):
            unlock.set_downstream(writes.dag.get_task(task_id))


def _refuse(message: str) -> None:
    from airflow.exceptions import AirflowClusterPolicyViolation

    raise AirflowClusterPolicyViolation(f"The task {message}")


USEFUL_TRIGGER_RULES = ("all_done", "all_done_setup_success")

CHECKS: tuple[Callable[[Writes], None], ...] = (
    _require_own_processes,
    _require_locks,
    _require_useful_trigger_rules,
    _require_edges_of_surrounded_tasks,
    _let_readers_wait_for_publication,
    _warn_of_short_leases,
)
