"""Read a day of sales, and use what was read only if nobody has rewritten the day meanwhile.

If somebody has, `unchanged` fails, and says who and when. Clear `wait_for_sales` with everything downstream: the day is
read again once it is ready.
"""

from __future__ import annotations

from datetime import datetime, timezone

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_partition_registry.operators.reading import PartitionUnchangedOperator
from airflow_provider_partition_registry.sensors.partition_registry import PartitionReadinessSensor

with DAG(
    dag_id="example_careful_reader",
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
    def read(answer: dict) -> float:
        """Read the day, which may take hours."""
        print(f"Reading {answer['source_name']} from {answer['start']} to {answer['end']}")
        return 1234.5

    @task
    def send_report(revenue: float) -> None:
        """Reached only if the day that was read is still the day that is there."""
        print(f"Revenue: {revenue}")

    revenue = read(wait_for_sales.output)
    unchanged = PartitionUnchangedOperator(task_id="unchanged", answers=wait_for_sales.output)
    revenue >> unchanged >> send_report(revenue)
