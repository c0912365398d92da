"""Two providers fill one source, each its half of the day; a reader of the whole day waits for both."""

from __future__ import annotations

from datetime import datetime, timezone

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_partition_registry.sensors.partition_registry import PartitionReadinessSensor
from airflow_provider_partition_registry.task_groups.partition_registry import partition_lock

NOON = "{{ params.day }}T12:00:00Z"
HALVES = {
    "morning": {"start": "{{ params.day }}T00:00:00Z", "end": NOON},
    "afternoon": {"start": NOON, "end": "{{ macros.ds_add(params.day, 1) }}T00:00:00Z"},
}


with DAG(
    dag_id="example_several_providers",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    params={"day": "2026-11-01"},
    tags=["partition-registry"],
    doc_md=__doc__,
) as dag:

    @task
    def write(half: str) -> None:
        """Write one half of the day."""
        print(f"writing the {half}")

    for half, interval in HALVES.items():
        with partition_lock(half, source_name="shop.visits", provider_name=f"{half}-loader", **interval):
            write(half)

    PartitionReadinessSensor(
        task_id="wait_for_the_day",
        source_name="shop.visits",
        start="{{ params.day }}",
        grain="day",
        poke_interval=5,
        timeout=3600,
    )
