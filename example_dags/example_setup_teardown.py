"""The parts of a partition_lock group for those who want them: lock and unlock as setup and teardown.

The unlock runs whatever happens to the work, and publishes only what is proved: if a task failed, the day is marked as
failed and readers go on waiting. Clearing a task clears its setup and teardown as well, so that the repair locks and
publishes again by itself; clear the first task with everything downstream, as all of them have to run under that lock.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_partition_registry.operators.partition_registry import (
    PartitionLockOperator,
    PartitionUnlockOperator,
)

DAY = {
    "source_name": "shop.stock",
    "provider_name": "stock-loader",
    "start": "{{ params.day }}",
    "grain": "day",
}

with DAG(
    dag_id="example_setup_teardown",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    params={"day": "2026-11-01"},
    tags=["partition-registry"],
    doc_md=__doc__,
) as dag:
    # Should this Airflow vanish while it writes, others may take the lock over after two hours.
    lock = PartitionLockOperator(task_id="lock", lease=timedelta(hours=2), **DAY)
    unlock = PartitionUnlockOperator(task_id="unlock", **DAY)

    @task
    def extract() -> None:
        """Fetch the day's stock."""
        print("extracting")

    @task
    def load() -> None:
        """Write it."""
        print("loading")

    with unlock.as_teardown(setups=lock.as_setup()):
        extract() >> load()
