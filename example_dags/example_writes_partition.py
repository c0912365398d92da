"""Write a day in one task: the lock is taken before its code runs, and renewed while it does.

Nobody else can take the lock over while the task lives, however long it takes; if it dies, they can after five
minutes. If the function raises, the day is marked as failed with the exception's text; if the lock is lost, nothing
is published.
"""

from __future__ import annotations

from datetime import datetime, timezone

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_partition_registry.decorators.partition_registry import PartitionWrite, writes_partition

with DAG(
    dag_id="example_writes_partition",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    params={"day": "2026-11-01"},
    tags=["partition-registry"],
    doc_md=__doc__,
) as dag:

    @task
    @writes_partition(source_name="shop.returns", start="{{ params.day }}", grain="day")
    def load_returns(write: PartitionWrite) -> None:
        """Write the day's returns to the table."""
        print(f"writing {write.interval} as generation {write.generation}")
        # Before a step that two writers must not do at the same time:
        write.require_lock()
        print("replacing the day in shop.returns")

    load_returns()
