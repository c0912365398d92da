"""A task group that puts a lock and its unlock around whatever tasks are in it."""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from airflow_provider_partition_registry.domain.errors import InvalidInputError
from airflow_provider_partition_registry.operators.partition_registry import (
    PartitionLockOperator,
    PartitionUnlockOperator,
)
from airflow_provider_partition_registry.proof.graph import role_of
from airflow_provider_partition_registry.proof.hooks import guard_in_dag
from airflow_provider_partition_registry.runtime.compat import TaskGroup
from airflow_provider_partition_registry.runtime.settings import DEFAULT_CONN_ID

if TYPE_CHECKING:
    from airflow_provider_partition_registry.domain.grains import Grain
    from airflow_provider_partition_registry.domain.intervals import Instant
    from airflow_provider_partition_registry.proof.verdict import OnSkipped
    from airflow_provider_partition_registry.runtime.conflicts import OnConflict


def partition_lock(
    group_id: str = "partition_lock",
    *,
    source_name: str,
    provider_name: str | None = None,
    start: Instant | None = None,
    end: Instant | None = None,
    grain: Grain | None = None,
    timezone: str = "UTC",
    split: Grain | None = None,
    register: bool = True,
    lease: timedelta | float | None = None,
    exclusive: bool = False,
    on_conflict: OnConflict = "fail",
    on_skipped: OnSkipped = "fail",
    partition_registry_conn_id: str = DEFAULT_CONN_ID,
    lock_kwargs: dict[str, Any] | None = None,
    **group_kwargs: Any,
) -> PartitionLockGroup:
    """Lock a partition while the tasks in this group write it, and publish it when the work of all is proved (R12).

    ::

        with partition_lock(source_name="shop.sales", start="{{ params.day }}", grain="day"):
            extract() >> load()

    Whatever the group waits for, its first task, ``lock``, waits for; whatever waits for the group waits until its last
    task, ``unlock``, has published. No task in it begins without the lock: if the partition was published or the lock
    was lost meanwhile (because the task was cleared, say), the lock is taken again first, and if somebody else has it,
    the task fails before its own code runs. In nested mapped task groups each instance has a lock of its own.

    :param group_id: of the task group; its lock and unlock are called ``<group_id>.lock`` and ``<group_id>.unlock``.
    :param source_name: the source that the partition belongs to. (templated)
    :param provider_name: who supplies it; by default the connection's provider, else the DAG's id. (templated)
    :param start: first instant of the partition; text or datetime, naive means UTC. By default the run's own interval,
        see :func:`~airflow_provider_partition_registry.runtime.interval.interval_of_run`. (templated)
    :param end: first instant after it. (templated)
    :param grain: how long a partition lasts, where only a date is known: "hour", "day", "week", "month" or a timedelta.
    :param timezone: the time zone in which a named grain begins.
    :param split: lock each whole "hour", "day", "week", "month" or timedelta of the interval as a partition of its own,
        at most 10,000 of them, in one call. They are published together, or fail together.
    :param register: register the partition first if it is not registered.
    :param lease: after how long anybody with a grant may take the lock over, as a timedelta or in seconds; by default
        never. It begins anew with every task of the group: make it longer than any of them can take.
    :param exclusive: conflict with overlapping locks of any provider, not only of this one.
    :param on_conflict: when somebody else holds a lock that conflicts: "fail", or "wait" until it is released.
    :param on_skipped: what it means if a branch or short circuit in the group decided to do none of the work: "fail",
        the write failed; "publish", the partition is complete as it is; "unchanged", nothing was written, so the
        partition goes back to what it was before.
    :param partition_registry_conn_id: the Airflow connection of the registry. (templated)
    :param lock_kwargs: further arguments of the lock task, such as ``trigger_rule``, ``poke_interval``, ``timeout`` and
        ``deferrable``.
    :param group_kwargs: arguments of Airflow's own ``TaskGroup``, such as ``default_args`` or ``tooltip``.
    :raises InvalidInputError: at the end of the group: it has no tasks, or one that would run without the lock.
    """
    partition = {
        "source_name": source_name,
        "provider_name": provider_name,
        "start": start,
        "end": end,
        "grain": grain,
        "timezone": timezone,
        "partition_registry_conn_id": partition_registry_conn_id,
    }
    of_lock = {
        "split": split,
        "register": register,
        "lease": lease,
        "exclusive": exclusive,
        "on_conflict": on_conflict,
    }
    return PartitionLockGroup(
        group_id,
        lock={**partition, **of_lock, **(lock_kwargs or {})},
        unlock={**partition, "on_skipped": on_skipped},
        **group_kwargs,
    )


class PartitionLockGroup(TaskGroup):
    """The task group that :func:`partition_lock` makes.

    :param lock: the arguments of its :class:`PartitionLockOperator`.
    :param unlock: the arguments of its :class:`PartitionUnlockOperator`.
    """

    locks_partition = True

    def __init__(self, group_id: str, *, lock: dict[str, Any], unlock: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(group_id=group_id, **kwargs)
        self._lock_arguments = lock
        self._unlock_arguments = unlock

    def __enter__(self) -> Self:
        super().__enter__()
        self.lock = PartitionLockOperator(task_id="lock", **self._lock_arguments).as_setup()
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        try:
            if kind is None:
                self._close()
        finally:
            super().__exit__(kind, error, trace)

    def get_roots(self) -> Generator[Any, None, None]:
        """The group's lock, which waits for whatever the group waits for."""
        yield self.lock

    def get_leaves(self) -> Generator[Any, None, None]:
        """The group's unlock: whatever waits for the group waits for the publication."""
        yield self.unlock

    def _close(self) -> None:
        """Put lock and unlock around the tasks that are in the group now."""
        tasks = [task for task in self.iter_tasks() if task is not self.lock]
        if all(role_of(task) is not None for task in tasks):
            raise InvalidInputError(
                f"The group {self.group_id!r} locks a partition, but no task in it writes anything."
            )
        self.unlock = PartitionUnlockOperator(
            task_id="unlock", lock_task_id=self.lock.task_id, **self._unlock_arguments
        ).as_teardown(setups=self.lock)
        ids = {task.task_id for task in tasks}
        for task in tasks:
            if task.upstream_task_ids.isdisjoint(ids):
                self._require_lock_first(task)
                self.lock >> task
            if task.downstream_task_ids.isdisjoint(ids):
                task >> self.unlock
            if role_of(task) is None:
                guard_in_dag(task)

    def _require_lock_first(self, task: Any) -> None:
        if task.trigger_rule != "all_success":
            raise InvalidInputError(
                f"The task {task.task_id!r} begins the group {self.group_id!r} with trigger_rule="
                f"{str(task.trigger_rule)!r}: it would run although the partition could not be locked. Give it the "
                f"rule 'all_success', and put what it is to wait for before the group; a rule for the group as a "
                f"whole is lock_kwargs={{'trigger_rule': ...}}."
            )
