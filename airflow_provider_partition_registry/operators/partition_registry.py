"""Operators around a task that writes: register, lock, unlock.

DAG files that use them are parsed again and again, so what only a running task needs is imported when it runs.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_partition_registry.domain.errors import (
    InvalidInputError,
    PartitionAlreadyRegisteredError,
)
from airflow_provider_partition_registry.domain.grains import Grain, check_grain
from airflow_provider_partition_registry.domain.intervals import format_instant
from airflow_provider_partition_registry.operators.base import PartitionOperator
from airflow_provider_partition_registry.proof.graph import Role, argument_of, is_mapped, lock_of
from airflow_provider_partition_registry.runtime.compat import AirflowFailException, conf
from airflow_provider_partition_registry.runtime.conflicts import (
    OnConflict,
    check_on_conflict,
    in_seconds,
    lock_by,
    seconds_until,
)
from airflow_provider_partition_registry.runtime.errors import TIMEOUT_MARGIN, WaitFailedError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_partition_registry.domain.models import Partition, PartitionKey
    from airflow_provider_partition_registry.proof.notes import LockNote
    from airflow_provider_partition_registry.proof.verdict import OnSkipped


Result = dict[str, Any] | list[dict[str, Any]]
"""What a lock or unlock leaves as its XCom: what it did to its partition, or to each of them."""


class PartitionRegisterOperator(PartitionOperator):
    """Register a partition before anybody writes it. Does nothing if it is registered.

    Its result (XCom) names the partition: ``source_name``, ``provider_name``, ``start`` and ``end``.

    :param source_name: the source that the partition belongs to. (templated)
    :param provider_name: who supplies it; by default the connection's provider, else the DAG's id. (templated)
    :param start: first instant of the partition; text or datetime, naive means UTC. By default the run's own interval,
        see :func:`~airflow_provider_partition_registry.runtime.interval.interval_of_run`. (templated)
    :param end: first instant after it. (templated)
    :param grain: how long a partition lasts, where only a date is known: "hour", "day", "week", "month" or a timedelta.
    :param timezone: the time zone in which a named grain begins.
    :param partition_registry_conn_id: the Airflow connection of the registry. (templated)
    """

    def execute(self, context: Context) -> dict[str, Any]:
        """Register the partition.

        :raises AccessDeniedError: the provider may not write to the source.
        """
        from airflow_provider_partition_registry.domain.models import PartitionKey

        key = PartitionKey(self.source_name, self._provider(), self._interval(context))
        self._show_timeline(context)
        try:
            with self._registry() as store:
                store.register_partition(key)
            self.log.info("Registered %s.", key)
        except PartitionAlreadyRegisteredError as error:
            self.log.info("%s", error)
        return _names_of(key)


class PartitionLockOperator(PartitionOperator):
    """Take the lock on a partition before writing it: from now on it counts as not ready (R3).

    For that this Airflow needs a name of its own: see Instance in its connection.

    Its result (XCom) names the partition, the ``holder``, the ``generation`` and ``expires_at``. A retried or cleared
    task takes its own lock up again.

    With ``split`` it locks several partitions, in one call: all of them, or none (R11). They share one fate, as one
    proof decides about all of them. The result is then a list, over which tasks can be mapped:
    ``load.expand(partition=lock.output)``.

    :param source_name: the source that the partition belongs to. (templated)
    :param provider_name: who supplies it; by default the connection's provider, else the DAG's id. (templated)
    :param start: first instant of the partition; text or datetime, naive means UTC. By default the run's own interval,
        see :func:`~airflow_provider_partition_registry.runtime.interval.interval_of_run`. (templated)
    :param end: first instant after it. (templated)
    :param grain: how long a partition lasts, where only a date is known: "hour", "day", "week", "month" or a timedelta.
    :param timezone: the time zone in which a named grain begins.
    :param split: lock each whole "hour", "day", "week", "month" or timedelta of the interval as a partition of its own,
        at most 10,000 of them.
    :param register: register the partition first if it is not registered.
    :param lease: after how long anybody with a grant may take the lock over, as a timedelta or in seconds; by default
        never. Nothing renews it between the tasks: make it longer than the work can take, retries included.
    :param exclusive: conflict with overlapping locks of any provider, not only of this one.
    :param on_conflict: when somebody else holds a lock that conflicts: "fail", or "wait" until it is released. A task
        that waits also waits for a registry that does not respond.
    :param poke_interval: time between two attempts while waiting, as a timedelta or in seconds; the most if deferred.
    :param timeout: after how long the wait ends with a failure, as a timedelta or in seconds.
    :param deferrable: wait in the triggerer, without a worker.
    :param partition_registry_conn_id: the Airflow connection of the registry. (templated)
    """

    registry_role = Role.LOCK

    def __init__(
        self,
        *,
        split: Grain | None = None,
        register: bool = True,
        lease: timedelta | float | None = None,
        exclusive: bool = False,
        on_conflict: OnConflict = "fail",
        poke_interval: timedelta | float = 60.0,
        timeout: timedelta | float = 7 * 24 * 3600.0,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.split = None if split is None else check_grain(split)
        self.register = register
        self.lease = timedelta(seconds=lease) if isinstance(lease, (int, float)) else lease
        self.exclusive = exclusive
        self.on_conflict = check_on_conflict(on_conflict)
        self.poke_interval = in_seconds(poke_interval)
        self.timeout = in_seconds(timeout)
        self.deferrable = deferrable

    def execute(self, context: Context) -> Result:
        """Take the lock, or wait for it.

        :raises InvalidIntervalError: the interval does not consist of whole intervals of ``split``.
        :raises AmbiguousInstanceError: this Airflow has no name of its own.
        :raises AirflowFailException: tasks are mapped over more partitions than Airflow maps over.
        :raises PartitionLockedError: somebody else holds the lock, and the task does not wait, or no longer.
        :raises AccessDeniedError: the provider may not write to the source.
        """
        from airflow_provider_partition_registry.runtime.identity import require_name

        require_name(self.hook.settings.instance, self.partition_registry_conn_id)
        self._show_timeline(context)
        return self._lock_by(context, datetime.now(UTC) + timedelta(seconds=self.timeout))

    def try_again(self, context: Context, event: Any) -> Result:
        """Called when the trigger has ended: no lock is in the way any more, the time is over, or it cannot wait."""
        if event["status"] == "failed":
            raise WaitFailedError(event["message"])
        return self._lock_by(context, datetime.fromisoformat(event["deadline"]))

    def _lock_by(self, context: Context, deadline: datetime) -> Result:
        def pause() -> None:
            if self.deferrable:
                self._defer(context, deadline)
            time.sleep(min(self.poke_interval, seconds_until(deadline)))

        return lock_by(
            deadline,
            lambda: self._lock(context),
            on_conflict=self.on_conflict,
            pause=pause,
            tell=self.log.info,
        )

    def _lock_options(self) -> dict[str, Any]:
        lease = None if self.lease is None else self.lease.total_seconds()
        return {"lease": lease, "exclusive": self.exclusive, "register": self.register}

    def _lock(self, context: Context) -> Result:
        from airflow_provider_partition_registry.domain.models import Holder
        from airflow_provider_partition_registry.proof.standing import lock_partitions
        from airflow_provider_partition_registry.runtime.identity import details_of_task

        note = self.note(context)
        self._require_mappable(len(note.keys))
        with self._registry() as store:
            locked = lock_partitions(store, note, Holder(note.holder, details_of_task(context["ti"])))
        grant = note.granted(locked)
        replace(note, grant=grant).push(context["ti"])
        self.log.info("Locked %s, generation %s.", note, grant.in_words)
        self._changed = locked
        return _as_result(locked, note)

    def _require_mappable(self, count: int) -> None:
        """Refuse a result that tasks cannot be mapped over; Airflow says so only when the locks have been taken."""
        most = conf.getint("core", "max_map_length", fallback=1024)
        if self.split is not None and count > most and next(self.iter_mapped_dependants(), None) is not None:
            raise AirflowFailException(
                f"Nothing was locked: tasks are mapped over the {count:,} partitions of {self.task_id}, and Airflow "
                f"maps over at most {most:,} ([core] max_map_length). Choose a shorter interval or a longer split, "
                f"raise the setting, or do not map over the partitions."
            )

    def _defer(self, context: Context, deadline: datetime) -> None:
        from airflow_provider_partition_registry.triggers.partition_registry import PartitionLockTrigger

        note = self.note(context)
        self.defer(
            trigger=PartitionLockTrigger(
                partition_registry_conn_id=note.conn_id,
                source_name=note.source_name,
                provider_name=note.provider_name,
                start=note.start,
                end=note.end,
                holder=note.holder,
                exclusive=self.exclusive,
                poll_interval=self.poke_interval,
                deadline=deadline.isoformat(),
            ),
            method_name="try_again",
            timeout=timedelta(seconds=seconds_until(deadline) + TIMEOUT_MARGIN),
        )


class PartitionUnlockOperator(PartitionOperator):
    """Publish a partition after it was written: from now on it may be read (R4). Only proved work is published (R12).

    Every task instance between the lock and this task must have succeeded in a try that began under the present lock.
    Otherwise the partition becomes failed, with each task that is not proved in the reason, and this task fails. The
    partitions of a lock with ``split`` are published together, or fail together. It
    therefore runs when everything before it has ended, successfully or not (``trigger_rule="all_done"``), both as a
    plain task and as a teardown.

    If a branch or short circuit skipped a task, what it chose instead excuses that. If it chose nothing, ``on_skipped``
    says what that means.

    :param source_name: the source that the partition belongs to. (templated)
    :param provider_name: who supplies it; by default the connection's provider, else the DAG's id. (templated)
    :param start: first instant of the partition; text or datetime, naive means UTC. By default the run's own interval,
        see :func:`~airflow_provider_partition_registry.runtime.interval.interval_of_run`. (templated)
    :param end: first instant after it. (templated)
    :param grain: how long a partition lasts, where only a date is known: "hour", "day", "week", "month" or a timedelta.
    :param timezone: the time zone in which a named grain begins.
    :param lock_task_id: the task that took the lock; by default the nearest :class:`PartitionLockOperator` upstream
        whose source, provider and interval are written in the same way in the DAG.
    :param on_skipped: what it means if a branch or short circuit decided to do none of the work: "fail", the write
        failed; "publish", the partition is complete as it is; "unchanged", nothing was written, so the partition goes
        back to what it was before the lock, and this task is skipped.
    :param partition_registry_conn_id: the Airflow connection of the registry. (templated)
    """

    registry_role = Role.UNLOCK

    def __init__(
        self, *, lock_task_id: str | None = None, on_skipped: OnSkipped = "fail", **kwargs: Any
    ) -> None:
        kwargs.setdefault("trigger_rule", "all_done")
        super().__init__(**kwargs)
        self.lock_task_id = lock_task_id
        self.on_skipped = on_skipped
        self.surrounded: set[str] = set()
        if on_skipped not in ("fail", "publish", "unchanged"):
            raise InvalidInputError(f"on_skipped is 'fail', 'publish' or 'unchanged', not {on_skipped!r}.")

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """As Airflow's, with this operator's own trigger rule, as a mapped task is not constructed before it runs."""
        kwargs.setdefault("trigger_rule", "all_done")
        return super().partial(**kwargs)

    def as_teardown(self, **kwargs: Any) -> Any:
        """As Airflow's, but a run that could not publish fails, unless ``on_failure_fail_dagrun=False`` is given."""
        kwargs.setdefault("on_failure_fail_dagrun", True)
        return super().as_teardown(**kwargs)

    def __enter__(self) -> Any:
        """As Airflow's, for ``with unlock.as_teardown(...):``; remembers which tasks are inside."""
        self.surrounded = set(self.dag.task_ids)
        return super().__enter__()

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        super().__exit__(kind, error, trace)
        self.surrounded = set(self.dag.task_ids) - self.surrounded

    def execute(self, context: Context) -> Result:
        """Publish, or fail the partition if the work is not proved.

        :raises AirflowSkipException: there was nothing to publish: the lock was skipped, or nothing was written.
        :raises AirflowFailException: the work is not proved, or there is no lock.
        :raises NotLockHolderError: the lock is not, or no longer, this run's.
        """
        from airflow_provider_partition_registry.proof.publication import finish_write

        unlock = self.dag.get_task(self.task_id)  # as it is in the DAG, where it may be a mapped task
        lock = lock_of(unlock)
        if lock is None:
            raise AirflowFailException(
                f"Nothing to publish: no task upstream of {self.task_id} takes a lock. Put a PartitionLockOperator "
                f"before the work, or name it with lock_task_id."
            )
        note = self._note_of(lock, context)
        self._show_timeline(context)
        with self._registry() as store:
            self._changed = finish_write(context, store, unlock, lock, note, self.on_skipped)
        return _as_result(self._changed, note)

    def _note_of(self, lock: Any, context: Context) -> LockNote:
        """What the lock task noted that it took for this partition; without a note, what it should have taken."""
        from airflow_provider_partition_registry.proof.notes import LockNote

        index = None if is_mapped(lock) else -1
        note = self.note(context, task_id=lock.task_id, map_index=index, split=argument_of(lock, "split"))
        note = replace(note, timezone=argument_of(lock, "timezone") or note.timezone)
        notes = {taken.target: taken for taken in LockNote.all_of(context["ti"], lock)}
        return notes.get(note.target, note)


def _names_of(key: PartitionKey) -> dict[str, Any]:
    return {
        "source_name": key.source_name,
        "provider_name": key.provider_name,
        "start": format_instant(key.interval.start),
        "end": format_instant(key.interval.end),
    }


def _as_result(partitions: Sequence[Partition], note: LockNote) -> Result:
    results = [_result_of(each) for each in partitions]
    return results[0] if note.split is None else results


def _result_of(partition: Partition) -> dict[str, Any]:
    lock = partition.lock
    expires_at = lock.expires_at if lock else None
    return {
        **_names_of(partition.key),
        "state": partition.state.value,
        "generation": partition.generation,
        "holder": lock.holder.identity if lock else None,
        "expires_at": format_instant(expires_at) if expires_at else None,
    }
