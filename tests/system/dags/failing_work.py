"""Like example_setup_teardown, but the work fails at its first try."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_partition_registry.operators.partition_registry import (
    PartitionLockOperator,
    PartitionUnlockOperator,
)

DAY = {
    "source_name": "system.failing",
    "provider_name": "failing-loader",
    "start": "{{ params.day }}",
    "grain": "day",
}

with DAG(
    dag_id="failing_work",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    params={"day": "2026-11-01"},
) as dag:
    lock = PartitionLockOperator(task_id="lock", **DAY)
    unlock = PartitionUnlockOperator(task_id="unlock", **DAY)

    @task
    def extract() -> None:
        """Works always."""

    @task
    def load(ti=None) -> None:
        """Works after it was cleared."""
        if ti.try_number == 1:
            raise ValueError("the first try fails")

    with unlock.as_teardown(setups=lock.as_setup()):
        extract() >> load()
