"""One wait and one task, run before the first act, as the first time takes Airflow longer."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_partition_registry.sensors.partition_registry import PartitionReadinessSensor

with DAG(
    dag_id="demo_warm_up",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    params={"source": "shop.warm-up", "day": "2026-01-01"},
    tags=["partition-registry"],
    doc_md=__doc__,
) as dag:
    PartitionReadinessSensor(
        task_id="first_wait",
        source_name="{{ params.source }}",
        start="{{ params.day }}",
        grain="day",
        deferrable=True,
        poke_interval=1,
        timeout=300,
    )

    @task
    def first_task() -> None:
        """Do nothing."""

    first_task()
