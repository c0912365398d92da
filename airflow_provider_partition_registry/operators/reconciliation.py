"""The operator that ends locks which no task will end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_partition_registry.runtime.compat import AirflowFailException, BaseOperator
from airflow_provider_partition_registry.runtime.settings import DEFAULT_CONN_ID

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class PartitionReconcileOperator(BaseOperator):
    """End the locks of this Airflow that no task will end: their run is over or deleted, or their task died (R12).

    Their partitions become failed, and say why. The operator asks this Airflow about the runs and tasks that hold
    locks, in all DAGs, and leaves everybody else's locks alone. Airflow notifies listeners when most runs end; this is
    for the rest: a DAG or run that was deleted, a lock task that was killed, and whatever happened while the registry
    was down.

    Its result (XCom) says how many locks were ``looked_at``, and which were ``ended``.

    :param partition_registry_conn_id: the Airflow connection of the registry. (templated)
    :param dry_run: only say which locks would be ended.
    """

    template_fields: Sequence[str] = ("partition_registry_conn_id",)
    ui_color = "#fbe4c4"

    def __init__(
        self, *, partition_registry_conn_id: str = DEFAULT_CONN_ID, dry_run: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.partition_registry_conn_id = partition_registry_conn_id
        self._is_dry_run = dry_run  # not as dry_run, which is a method of every operator

    def execute(self, context: Context) -> dict[str, Any]:
        """End the locks.

        :raises AmbiguousInstanceError: this Airflow has no name of its own.
        :raises AirflowFailException: the registry did not let it end some of them.
        """
        from airflow_provider_partition_registry.hooks.partition_registry import PartitionRegistryHook
        from airflow_provider_partition_registry.runtime.identity import own_name
        from airflow_provider_partition_registry.runtime.reconciliation import reconcile
        from airflow_provider_partition_registry.runtime.states import ask_in_task

        hook = PartitionRegistryHook(self.partition_registry_conn_id)
        instance = own_name(hook.settings.instance, self.partition_registry_conn_id)
        found = reconcile(hook.store, instance, ask_in_task(context["ti"]), dry_run=self._is_dry_run)
        self.log.info("%s", found)
        if found.refused:
            raise AirflowFailException(
                f"{len(found.refused)} locks could not be ended; the log above says which, and why."
            )
        return found.as_result()
