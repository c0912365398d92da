"""Waits for a condition that time alone ends, in the triggerer and in reschedule mode."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_partition_registry.sensors.partition_registry import PartitionReadinessSensor

# Airflow 3.3 sometimes fails a task that comes back while the supervisor of its last process has yet to notice its end.
MODES = {"deferred": {"deferrable": True}, "rescheduled": {"mode": "reschedule", "poke_interval": 15}}

with DAG(
    dag_id="condition_waits",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    params={"day": "2026-11-01"},
) as dag:
    for name, mode in MODES.items():
        PartitionReadinessSensor(
            task_id=name,
            condition="system.final else system.early after 60s",
            start="{{ params.day }}",
            grain="day",
            timeout=600,
            **mode,
        )
