"""The operators around a writing task: register, lock, unlock.

DAG files that use them are parsed again and again: what only a running task needs is imported when it runs.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator, conf

from airflow_provider_partition_registry.domain.errors import (
    AccessDeniedError,
    InvalidInputError,
    PartitionAlreadyRegisteredError,
    PartitionLockedError,
    StoreRefusedError,
    StoreUnavailableError,
)
from airflow_provider_partition_registry.domain.grains import Grain, check_grain
from airflow_provider_partition_registry.domain.intervals import format_instant
from airflow_provider_partition_registry.domain.names import MAX_TEXT_LENGTH
from airflow_provider_partition_registry.hooks.settings import DEFAULT_CONN_ID, of_connection
from airflow_provider_partition_registry.runs.endings import TIMEOUT_MARGIN, WaitFailedError
from airflow_provider_partition_registry.runs.interval import interval_of_run
from airflow_provider_partition_registry.runs.work import (
    nearest_upstream,
    reason_not_to_publish,
    require_lock,
)

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_partition_registry.domain.intervals import Instant, Interval
    from airflow_provider_partition_registry.domain.models import Holder, Partition
    from airflow_provider_partition_registry.hooks.partition_registry import PartitionRegistryHook
    from airflow_provider_partition_registry.store.base import RegistryStore

OnConflict = Literal["fail", "wait"]

# The parameters that a lock and its unlock have in common as they are written in the DAG.
WRITTEN = ("source_name", "provider_name", "start", "end")


class _PartitionOperator(BaseOperator):
    """What all operators on one partition share: which partition it is, and who writes it."""

    template_fields: Sequence[str] = (
        "source_name",
        "provider_name",
        "start",
        "end",
        "partition_registry_conn_id",
    )
    ui_color = "#fbe4c4"

    def __init__(
        self,
        *,
        source_name: str,
        provider_name: str | None = None,
        start: Instant | None = None,
        end: Instant | None = None,
        grain: Grain | None = None,
        timezone: str = "UTC",
        partition_registry_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source_name = source_name
        self.provider_name = provider_name
        self.start = start
        self.end = end
        self.grain = None if grain is None else check_grain(grain)
        self.timezone = timezone
        self.partition_registry_conn_id = partition_registry_conn_id
        # As written in the DAG, before templates are rendered: what the lock and its unlock have in common.
        self._written = tuple(getattr(self, name) for name in WRITTEN)

    @cached_property
    def hook(self) -> PartitionRegistryHook:
        """The registry."""
        from airflow_provider_partition_registry.hooks.partition_registry import PartitionRegistryHook

        return PartitionRegistryHook(self.partition_registry_conn_id)

    def _interval(self, context: Context) -> Interval:
        return interval_of_run(
            context, start=self.start, end=self.end, grain=self.grain, timezone=self.timezone
        )

    def _provider(self) -> str:
        if self.provider_name is not None:  # An empty one is a template that rendered to nothing.
            return self.provider_name
        return self.hook.settings.provider or self.dag_id

    @contextmanager
    def _registry(self) -> Iterator[RegistryStore]:
        """The registry. Whom a web service refuses is told what in Airflow says who a task is, and where it is."""
        try:
            yield self.hook.store
        except (StoreRefusedError, StoreUnavailableError) as error:
            raise of_connection(error, self.partition_registry_conn_id) from None
        except AccessDeniedError as error:
            if not self.hook.settings.is_service:
                raise
            raise error.continued(
                f"This task acts as provider {self._provider()!r} over the Airflow connection "
                f"{self.partition_registry_conn_id!r}, whose password is the access token. If the token is another "
                f"provider's, name that one in the connection's field Provider (without it, tasks act as their DAG's "
                f"id), or give this task a connection of its own (partition_registry_conn_id)."
            ) from None

    def _holder(self, context: Context, task_id: str | None = None, map_index: int | None = None) -> Holder:
        """This task as a lock holder, or another one of its run."""
        from airflow_provider_partition_registry.runs.identity import holder_of_task

        instance = self.hook.settings.instance
        return holder_of_task(context, instance=instance, task_id=task_id, map_index=map_index)


class PartitionRegisterOperator(_PartitionOperator):
    """Make a partition known before anybody writes it. Does nothing if it is known.

    Its result (XCom) names the partition: ``source_name``, ``provider_name``, ``start`` and ``end``.

    :param source_name: the source that the partition belongs to. (templated)
    :param provider_name: who supplies it; by default the connection's provider, else the DAG's id. (templated)
    :param start: first instant of the partition; text or datetime, naive means UTC. By default the run's own interval,
        see :func:`~airflow_provider_partition_registry.runs.interval.interval_of_run`. (templated)
    :param end: first instant after it. (templated)
    :param grain: how long a partition lasts, where only a date is known: "hour", "day", "week", "month" or a timedelta.
    :param timezone: in which a named grain begins.
    :param partition_registry_conn_id: the Airflow connection of the registry. (templated)
    """

    def execute(self, context: Context) -> dict[str, Any]:
        """Register the partition.

        :raises AccessDeniedError: the provider may not write to the source.
        """
        provider, interval = self._provider(), self._interval(context)
        try:
            with self._registry() as store:
                store.register_partition(self.source_name, provider, interval)
            self.log.info("Registered %s of source %s by provider %s.", interval, self.source_name, provider)
        except PartitionAlreadyRegisteredError as error:
            self.log.info("%s", error)
        return _address(self.source_name, provider, interval)


class PartitionLockOperator(_PartitionOperator):
    """Take the lock on a partition before writing it: from now on nobody is told that it may be read (R3).

    This Airflow needs a name of its own for that: see Instance in its connection.

    Its result (XCom) names the partition, the ``holder``, the ``generation`` and ``expires_at``. A retried or cleared
    task takes its own lock again.

    :param source_name: the source that the partition belongs to. (templated)
    :param provider_name: who supplies it; by default the connection's provider, else the DAG's id. (templated)
    :param start: first instant of the partition; text or datetime, naive means UTC. By default the run's own interval,
        see :func:`~airflow_provider_partition_registry.runs.interval.interval_of_run`. (templated)
    :param end: first instant after it. (templated)
    :param grain: how long a partition lasts, where only a date is known: "hour", "day", "week", "month" or a timedelta.
    :param timezone: in which a named grain begins.
    :param register: register the partition first if it is not known.
    :param lease: after which anybody with a grant may take the lock over, as a timedelta or in seconds; by default the
        lock lasts. Nothing renews it between the tasks: make it longer than the work can take, retries included.
    :param exclusive: conflict with overlapping locks of any provider, not only of this one.
    :param on_conflict: when somebody else holds a lock that conflicts: "fail", or "wait" until it is released. Who
        waits for others also waits for a registry that does not answer.
    :param poke_interval: time between two looks while waiting, as a timedelta or in seconds; deferred, the longest one.
    :param timeout: after which waiting ends with a failure, as a timedelta or in seconds.
    :param deferrable: wait in the triggerer, without a worker.
    :param partition_registry_conn_id: the Airflow connection of the registry. (templated)
    """

    def __init__(
        self,
        *,
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
        self.register = register
        self.lease = timedelta(seconds=lease) if isinstance(lease, (int, float)) else lease
        self.exclusive = exclusive
        self.on_conflict = on_conflict
        self.poke_interval = _in_seconds(poke_interval)
        self.timeout = _in_seconds(timeout)
        self.deferrable = deferrable
        if on_conflict not in ("fail", "wait"):
            raise InvalidInputError(f"on_conflict is 'fail' or 'wait', not {on_conflict!r}.")

    def execute(self, context: Context) -> dict[str, Any]:
        """Take the lock, or wait for it.

        :raises AmbiguousInstanceError: this Airflow has no name of its own.
        :raises PartitionLockedError: somebody else holds it, and is not or no longer to be waited for.
        :raises AccessDeniedError: the provider may not write to the source.
        """
        from airflow_provider_partition_registry.runs.identity import require_name

        require_name(self.hook.settings.instance, self.partition_registry_conn_id)
        return self._lock_by(context, datetime.now(UTC) + timedelta(seconds=self.timeout))

    def try_again(self, context: Context, event: Any) -> dict[str, Any]:
        """Called when the trigger found nobody in the way any more, or the time over, or that it cannot wait."""
        if event["status"] == "failed":
            raise WaitFailedError(event["message"])
        return self._lock_by(context, datetime.fromisoformat(event["deadline"]))

    def _lock_by(self, context: Context, deadline: datetime) -> dict[str, Any]:
        told = ""
        while True:
            try:
                return self._lock(context)
            except (PartitionLockedError, StoreUnavailableError) as error:
                if self.on_conflict == "fail" or datetime.now(UTC) >= deadline:
                    raise
                if str(error) != told:
                    told = str(error)
                    self.log.info("Waiting goes on. %s", told)
            if self.deferrable:
                self._defer(context, deadline)
            time.sleep(min(self.poke_interval, _seconds_until(deadline)))

    def _lock(self, context: Context) -> dict[str, Any]:
        with self._registry() as store:
            partition = store.lock(
                self.source_name,
                self._provider(),
                self._interval(context),
                holder=self._holder(context),
                lease=self.lease,
                exclusive=self.exclusive,
                register=self.register,
            )
        self.log.info(
            "Locked %s of source %s, generation %s.",
            partition.interval,
            self.source_name,
            partition.generation,
        )
        return _as_result(partition)

    def _defer(self, context: Context, deadline: datetime) -> None:
        from airflow_provider_partition_registry.triggers.partition_registry import PartitionLockTrigger

        interval = self._interval(context)
        self.defer(
            trigger=PartitionLockTrigger(
                partition_registry_conn_id=self.partition_registry_conn_id,
                source_name=self.source_name,
                provider_name=self._provider(),
                start=format_instant(interval.start),
                end=format_instant(interval.end),
                holder=self._holder(context).identity,
                exclusive=self.exclusive,
                poll_interval=self.poke_interval,
                deadline=deadline.isoformat(),
            ),
            method_name="try_again",
            timeout=timedelta(seconds=_seconds_until(deadline) + TIMEOUT_MARGIN),
        )


class PartitionUnlockOperator(_PartitionOperator):
    """Publish a partition after it was written: from now on it may be read (R4).

    It looks at the work between the lock and itself. If that did not succeed, the partition becomes failed, with the
    failed tasks as the reason, and so does this task. It therefore runs when everything before it is done, well or
    not (``trigger_rule="all_done"``), as a plain task and as a teardown alike.

    :param source_name: the source that the partition belongs to. (templated)
    :param provider_name: who supplies it; by default the connection's provider, else the DAG's id. (templated)
    :param start: first instant of the partition; text or datetime, naive means UTC. By default the run's own interval,
        see :func:`~airflow_provider_partition_registry.runs.interval.interval_of_run`. (templated)
    :param end: first instant after it. (templated)
    :param grain: how long a partition lasts, where only a date is known: "hour", "day", "week", "month" or a timedelta.
    :param timezone: in which a named grain begins.
    :param lock_task_id: the task that took the lock; by default the nearest :class:`PartitionLockOperator` upstream
        with the same source, provider and interval as they are written in the DAG.
    :param partition_registry_conn_id: the Airflow connection of the registry. (templated)
    """

    def __init__(self, *, lock_task_id: str | None = None, **kwargs: Any) -> None:
        kwargs.setdefault("trigger_rule", "all_done")
        super().__init__(**kwargs)
        self.lock_task_id = lock_task_id

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """Airflow's, with this operator's own trigger rule: a mapped task is not constructed before it runs."""
        kwargs.setdefault("trigger_rule", "all_done")
        return super().partial(**kwargs)

    def as_teardown(self, **kwargs: Any) -> Any:
        """Airflow's, but a run that could not publish has failed, unless ``on_failure_fail_dagrun=False`` says else."""
        kwargs.setdefault("on_failure_fail_dagrun", True)
        return super().as_teardown(**kwargs)

    def execute(self, context: Context) -> dict[str, Any]:
        """Publish, or fail the partition if the work did not succeed.

        :raises AirflowSkipException: the task that would take the lock was skipped.
        :raises AirflowFailException: that task or the work after it did not succeed.
        :raises NotLockHolderError: the lock is not, or no longer, this run's.
        """
        lock_task = self._lock_task()
        if lock_task is not None:
            require_lock(context, lock_task)
        holder = self._holder_of(lock_task, context)
        reason = reason_not_to_publish(context, self, lock_task)
        provider, interval = self._provider(), self._interval(context)
        with self._registry() as store:
            if reason is not None:
                short = reason[:MAX_TEXT_LENGTH]
                store.fail(self.source_name, provider, interval, reason=short, holder=holder)
                raise AirflowFailException(
                    f"Not published: {interval} of source {self.source_name}; it is marked as failed. {reason}"
                )
            partition = store.unlock(self.source_name, provider, interval, holder=holder)
        self.log.info(
            "Published %s of source %s, generation %s.", interval, self.source_name, partition.generation
        )
        return _as_result(partition)

    def _lock_task(self) -> Any | None:
        """The task that took the lock, as the DAG has it, or None if it was taken some other way."""
        if self.lock_task_id is not None:
            return self.dag.get_task(self.lock_task_id)
        return nearest_upstream(self, self._is_mine) or nearest_upstream(self, _is_lock)

    def _is_mine(self, task: Any) -> bool:
        if isinstance(task, PartitionLockOperator):
            return task._written == self._written
        # Of a mapped lock it is known only what all its instances have in common.
        common = getattr(task, "partial_kwargs", {})
        mine = dict(zip(WRITTEN, self._written, strict=True))
        return _is_lock(task) and all(common[name] == mine[name] for name in WRITTEN if name in common)

    def _holder_of(self, lock_task: Any | None, context: Context) -> Holder:
        if lock_task is None:
            return self._holder(context)
        index = context["ti"].map_index if _is_mapped(lock_task) else -1
        return self._holder(context, lock_task.task_id, index)


def _in_seconds(duration: timedelta | float) -> float:
    return duration.total_seconds() if isinstance(duration, timedelta) else duration


def _seconds_until(deadline: datetime) -> float:
    return max(0.0, (deadline - datetime.now(UTC)).total_seconds())


def _is_lock(task: Any) -> bool:
    kind = getattr(task, "operator_class", None)  # a mapped task knows its operator by this only
    return isinstance(task, PartitionLockOperator) or (
        isinstance(kind, type) and issubclass(kind, PartitionLockOperator)
    )


def _is_mapped(task: Any) -> bool:
    return not isinstance(task, BaseOperator) or task.get_closest_mapped_task_group() is not None


def _address(source_name: str, provider_name: str, interval: Interval) -> dict[str, Any]:
    return {
        "source_name": source_name,
        "provider_name": provider_name,
        "start": format_instant(interval.start),
        "end": format_instant(interval.end),
    }


def _as_result(partition: Partition) -> dict[str, Any]:
    lock = partition.lock
    expires_at = lock.expires_at if lock else None
    return {
        **_address(partition.source_name, partition.provider_name, partition.interval),
        "state": partition.state.value,
        "generation": partition.generation,
        "holder": lock.holder.identity if lock else None,
        "expires_at": format_instant(expires_at) if expires_at else None,
    }
