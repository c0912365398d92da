"""A wait in reschedule mode: every question is asked by another process."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_partition_registry.sensors.partition_registry import PartitionReadinessSensor

with DAG(
    dag_id="rescheduled_wait",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    params={"day": "2026-11-01"},
) as dag:
    PartitionReadinessSensor(
        task_id="wait",
        source_name="system.rescheduled",
        start="{{ params.day }}",
        grain="day",
        mode="reschedule",
        poke_interval=3,
        timeout=600,
    )
