"""Report on a day of bookings as soon as they are final; if they are late, on the estimates. In whichever Airflow."""

from __future__ import annotations

from datetime import datetime, timezone

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_partition_registry.sensors.partition_registry import PartitionReadinessSensor
from airflow_provider_partition_registry.task_groups.partition_registry import partition_lock

THE_DAY = {"start": "{{ params.day }}", "grain": "day"}

with DAG(
    dag_id="example_conditions",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    params={"day": "2026-11-01"},
    tags=["partition-registry"],
    doc_md=__doc__,
) as dag:

    @task
    def estimate() -> None:
        """Write what is known by now."""
        print("estimating")

    with partition_lock("early", source_name="shop.estimates", provider_name="estimate-loader", **THE_DAY):
        estimate()

    # Whoever loads the bookings is late today. "after 08:00" would wait for them until the next morning.
    wait_for_data = PartitionReadinessSensor(
        task_id="wait_for_data",
        condition="shop.bookings else shop.estimates after 10s",
        deferrable=True,
        timeout=6 * 3600,
        **THE_DAY,
    )

    @task
    def report(answers: list[dict]) -> None:
        """Build the report; the answers say which data it is about, and what is missing of it."""
        for answer in answers:
            missing = answer["missing"] or "nothing"
            print(f"{answer['source_name']}: {answer['coverage']:.0%} is there, {missing} is missing")

    report(wait_for_data.output)
