"""Publish a day of sales: lock, write, unlock.

While the lock is held, and if the work fails, readers of that day wait. The source and this provider were registered
once, on the command line::

    partition-registry source register shop.sales --owner sales-team@example.com
    partition-registry provider register example_producer
"""

from __future__ import annotations

from datetime import datetime, timezone

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_partition_registry.operators.partition_registry import (
    PartitionLockOperator,
    PartitionUnlockOperator,
)

DAY = {"source_name": "shop.sales", "start": "{{ params.day }}", "grain": "day"}

with DAG(
    dag_id="example_producer",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    params={"day": "2026-11-01"},
    tags=["partition-registry"],
    doc_md=__doc__,
) as dag:
    lock = PartitionLockOperator(task_id="lock", **DAY)

    @task
    def write_sales() -> None:
        """Write the day's sales to the table."""
        print("writing shop.sales")

    unlock = PartitionUnlockOperator(task_id="unlock", **DAY)

    lock >> write_sales() >> unlock
