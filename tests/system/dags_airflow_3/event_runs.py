"""DAGs without any sensor: what other instances publish starts their runs."""

from __future__ import annotations

from airflow.sdk import DAG, Asset, AssetWatcher, PartitionedAssetTimetable, task

from airflow_provider_partition_registry import PartitionEventTrigger

days = Asset(
    "system.events",
    watchers=[AssetWatcher("days", trigger=PartitionEventTrigger("system.events", became_ready="day"))],
)

pushed = Asset("system.pushed")  # brought by `partition-registry push`

with DAG("event_runs", schedule=PartitionedAssetTimetable(assets=days), max_active_runs=32):

    @task
    def report(dag_run=None) -> str:
        return dag_run.partition_key

    report()


with DAG("pushed_runs", schedule=PartitionedAssetTimetable(assets=pushed), max_active_runs=32):

    @task(task_id="report")
    def report_pushed(dag_run=None) -> str:
        return dag_run.partition_key

    report_pushed()
