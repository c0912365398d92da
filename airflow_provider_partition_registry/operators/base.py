"""What all operators on partitions have in common: which partitions they are about, and who writes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_provider_partition_registry.domain.grains import Grain, check_grain
from airflow_provider_partition_registry.domain.intervals import format_instant
from airflow_provider_partition_registry.links.partition_registry import PartitionRegistryLink, store_link
from airflow_provider_partition_registry.proof.graph import WRITTEN, Role
from airflow_provider_partition_registry.runtime.acting import access_explained, acting_provider
from airflow_provider_partition_registry.runtime.compat import BaseOperator
from airflow_provider_partition_registry.runtime.interval import interval_of_run
from airflow_provider_partition_registry.runtime.settings import DEFAULT_CONN_ID, naming_connection

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_partition_registry.domain.intervals import Instant, Interval
    from airflow_provider_partition_registry.domain.models import Partition
    from airflow_provider_partition_registry.hooks.partition_registry import PartitionRegistryHook
    from airflow_provider_partition_registry.proof.notes import LockNote
    from airflow_provider_partition_registry.store.contract import RegistryStore


class PartitionOperator(BaseOperator):
    """The parameters that all operators on partitions share: which partitions they are about, and who writes them."""

    template_fields: Sequence[str] = (
        "source_name",
        "provider_name",
        "start",
        "end",
        "partition_registry_conn_id",
    )
    ui_color = "#fbe4c4"
    operator_extra_links = (PartitionRegistryLink(),)
    registry_role = Role.BYSTANDER
    split: Grain | None = None

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
        self._changed: Sequence[Partition] = ()
        # As written in the DAG, before templates are rendered: a lock and its unlock are matched by this.
        self.written = tuple(getattr(self, name) for name in WRITTEN)

    @cached_property
    def hook(self) -> PartitionRegistryHook:
        """The registry."""
        from airflow_provider_partition_registry.hooks.partition_registry import PartitionRegistryHook

        return PartitionRegistryHook(self.partition_registry_conn_id)

    def _interval(self, context: Context) -> Interval:
        return interval_of_run(
            context, start=self.start, end=self.end, grain=self.grain, timezone=self.timezone
        )

    def _show_timeline(self, context: Context) -> None:
        """Let the task have its link from now on, also while it waits."""
        told = store_link(context, self.partition_registry_conn_id, self.source_name, self._interval(context))
        if told:
            self.log.info("%s", told)

    def _provider(self) -> str:
        return acting_provider(self.provider_name, self.hook.settings, self.dag_id)

    @contextmanager
    def _registry(self) -> Iterator[RegistryStore]:
        """The registry. If a web service denies access, the error adds which settings decide who a task acts as."""
        settings, conn_id = self.hook.settings, self.partition_registry_conn_id
        with naming_connection(conn_id), access_explained(self._provider(), settings, conn_id):
            yield self.hook.store

    def note(
        self,
        context: Context,
        *,
        task_id: str | None = None,
        map_index: int | None = None,
        split: Grain | None = None,
    ) -> LockNote:
        """The lock that this task, or another one of this run, takes.

        :param task_id: the task that takes it, by default this one.
        :param map_index: that task's map index, by default that of this task.
        :param split: the grain of the partitions, if the lock is on several, by default that of this task.
        :raises InvalidIntervalError: neither the parameters nor the run say which interval is meant.
        """
        from airflow_provider_partition_registry.proof.notes import LockNote
        from airflow_provider_partition_registry.runtime.identity import holder_of_task

        instance = self.hook.settings.instance
        holder = holder_of_task(context, instance=instance, task_id=task_id, map_index=map_index)
        index = context["ti"].map_index if map_index is None else map_index
        interval = self._interval(context)
        split = split or self.split
        return LockNote(
            conn_id=self.partition_registry_conn_id,
            source_name=self.source_name,
            provider_name=self._provider(),
            start=format_instant(interval.start),
            end=format_instant(interval.end),
            holder=holder.identity,
            split=split.total_seconds() if isinstance(split, timedelta) else split,
            timezone=self.timezone,
            map_index=-1 if index is None else index,
            **self._lock_options(),
        )

    def get_openlineage_facets_on_complete(self, _task_instance: Any) -> Any:
        """Tell OpenLineage what this task has locked or published, as its output; nothing if it has failed."""
        from airflow_provider_partition_registry.runtime.lineage import lineage_of_writing

        return lineage_of_writing(self.hook, self._changed)

    def _lock_options(self) -> dict[str, Any]:
        """How this task takes the lock, if it does."""
        return {}
