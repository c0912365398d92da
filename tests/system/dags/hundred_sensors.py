"""A hundred waits for different minutes of one day, which one unlock makes ready all at once."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_partition_registry.sensors.partition_registry import PartitionReadinessSensor

with DAG(
    dag_id="hundred_sensors",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    params={"day": "2026-11-01"},
) as dag:
    for number in range(100):
        minute = f"{{{{ params.day }}}}T{number // 60:02}:{number % 60:02}"
        PartitionReadinessSensor(
            task_id=f"wait_{number:03}",
            source_name="system.hundred",
            start=f"{minute}:00Z",
            end=f"{minute}:59Z",
            deferrable=True,
            poke_interval=60,
            timeout=600,
        )
