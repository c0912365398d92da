"""Waits for what nobody has published yet, in the ways in which a sensor can wait, and a writer."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_partition_registry import PartitionReadinessSensor, partition_lock

DAY = {"source_name": "shop.orders", "start": "2026-01-02", "grain": "day"}
START = datetime(2026, 1, 1)  # noqa: DTZ001

with DAG("waits", schedule=None, start_date=START, catchup=False):
    PartitionReadinessSensor(task_id="deferred", deferrable=True, poke_interval=1, **DAY)
    # Airflow 3.3 at times fails a task that is rescheduled for less than five seconds (see RESUME_NOT_BEFORE).
    PartitionReadinessSensor(task_id="rescheduled", mode="reschedule", poke_interval=10, **DAY)

with (
    DAG("writes", schedule=None, start_date=START, catchup=False),
    partition_lock(**DAY, provider_name="orders-load"),
):

    @task
    def write() -> None:
        """The work."""

    write()
