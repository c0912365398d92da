"""Publish a day of sales: everything in the group writes it under its lock.

While it is being written, and if the work fails, readers of that day wait. The source and this provider were registered
once, on the command line::

    partition-registry source register shop.sales --owner sales-team@example.com
    partition-registry provider register example_producer
"""

from __future__ import annotations

from datetime import datetime, timezone

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_partition_registry.task_groups.partition_registry import partition_lock

with DAG(
    dag_id="example_producer",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    params={"day": "2026-11-01"},
    tags=["partition-registry"],
    doc_md=__doc__,
) as dag:

    @task
    def extract() -> list[str]:
        """The shops that sold something."""
        return ["north", "south"]

    @task
    def write_sales(shop: str) -> None:
        """Write a shop's sales of the day to the table."""
        print(f"writing the sales of shop {shop}")

    with partition_lock(source_name="shop.sales", start="{{ params.day }}", grain="day"):
        write_sales.expand(shop=extract())
