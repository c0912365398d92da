"""Read a day of sales as soon as it is ready, and not before; in whichever Airflow this runs."""

from __future__ import annotations

from datetime import datetime, timezone

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_partition_registry.sensors.partition_registry import PartitionReadinessSensor

with DAG(
    dag_id="example_consumer",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    params={"day": "2026-11-01"},
    tags=["partition-registry"],
    doc_md=__doc__,
) as dag:
    wait_for_sales = PartitionReadinessSensor(
        task_id="wait_for_sales",
        source_name="shop.sales",
        start="{{ params.day }}",
        grain="day",
        deferrable=True,
        timeout=6 * 3600,
    )

    @task
    def report(answer: dict) -> None:
        """Build the report; the answer says what exactly was ready, and as of which event."""
        print(f"{answer['source_name']} is ready from {answer['start']} to {answer['end']}")

    report(wait_for_sales.output)
