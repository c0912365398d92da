"""Hourly partitions, written by mapped tasks, make up the day that a reader asks for; no length is agreed on."""

from __future__ import annotations

from datetime import datetime, timezone

from airflow.providers.common.compat.sdk import DAG, task, task_group

from airflow_provider_partition_registry.sensors.partition_registry import PartitionReadinessSensor
from airflow_provider_partition_registry.task_groups.partition_registry import partition_lock

with DAG(
    dag_id="example_hourly_into_daily",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    params={"day": "2026-11-01", "hours": 24},
    tags=["partition-registry"],
    doc_md=__doc__,
) as dag:

    @task
    def hours_of_the_day(params: dict | None = None) -> list[str]:
        """The starts of the day's hours."""
        return [f"{params['day']}T{hour:02}:00:00Z" for hour in range(params["hours"])]

    @task_group
    def publish_hour(hour: str) -> None:
        """Lock, write and publish one hour."""

        @task
        def write(hour: str) -> None:
            """Write the hour's clicks."""
            print(f"writing the hour from {hour}")

        with partition_lock(
            source_name="shop.clicks", provider_name="click-loader", start=hour, grain="hour"
        ):
            write(hour)

    publish_hour.expand(hour=hours_of_the_day())

    PartitionReadinessSensor(
        task_id="wait_for_the_day",
        source_name="shop.clicks",
        start="{{ params.day }}",
        grain="day",
        deferrable=True,
        timeout=6 * 3600,
    )
