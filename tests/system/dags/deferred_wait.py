"""A wait in the triggerer."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_partition_registry.sensors.partition_registry import PartitionReadinessSensor

with DAG(
    dag_id="deferred_wait",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    params={"day": "2026-11-01"},
) as dag:
    PartitionReadinessSensor(
        task_id="wait",
        source_name="system.deferred",
        start="{{ params.day }}",
        grain="day",
        deferrable=True,
        poke_interval=60,
        timeout=600,
    )
