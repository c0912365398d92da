"""Runs that end, or are ended, in ways that leave a lock behind; and one that asks what people said."""

from __future__ import annotations

import os
import signal
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_partition_registry.operators.partition_registry import (
    PartitionLockOperator,
    PartitionUnlockOperator,
)
from airflow_provider_partition_registry.runtime.marks import marks_by_people

DAY = {
    "source_name": "system.ended",
    "provider_name": "ended-loader",
    "start": "{{ params.day }}",
    "grain": "day",
}
COMMON: dict[str, Any] = {
    "start_date": datetime(2026, 1, 1, tzinfo=UTC),
    "catchup": False,
    "params": {"day": "2026-11-01"},
}


class DyingLockOperator(PartitionLockOperator):
    """Is killed when the lock is granted."""

    def execute(self, context: Any) -> Any:
        super().execute(context)
        os.kill(os.getpid(), signal.SIGKILL)


@task
def work(ti: Any = None) -> None:
    """Takes longer than anybody waits for it."""
    ti.xcom_push(key="at_work", value=True)
    time.sleep(600)


@task
def work_on(number: int, ti: Any = None) -> None:
    """The first ends by itself."""
    ti.xcom_push(key="at_work", value=True)
    time.sleep(600 if number else 0)


def lock() -> PartitionLockOperator:
    return PartitionLockOperator(task_id="lock", **DAY)


def unlock() -> PartitionUnlockOperator:
    return PartitionUnlockOperator(task_id="unlock", **DAY)


with DAG("ended_by_hand", schedule=None, **COMMON):
    lock() >> work() >> unlock()

with DAG("ended_by_time_out", schedule=None, dagrun_timeout=timedelta(hours=1), **COMMON):
    lock() >> work() >> unlock()

with DAG("ended_by_decision", schedule=None, **COMMON):

    @task.short_circuit
    def decide() -> bool:
        """There is nothing to be done."""
        return False

    lock() >> decide() >> work() >> unlock()

with DAG("ended_by_death", schedule=None, **COMMON):
    DyingLockOperator(task_id="lock", **DAY) >> work()

for one in ("one", "other"):
    with DAG(f"deleted_{one}", schedule=None, **COMMON):
        # Nobody runs in this pool, so no task is in the way of the deletion.
        lock() >> work.override(pool="of_nobody")() >> unlock()

with DAG("marks_by_people", schedule=None, **COMMON):

    @task
    def ask(**context: Any) -> list[str]:
        """What people said, as text."""
        words = marks_by_people(context, ["work", "work_on"])
        assert all(said.tzinfo for said in words.values())
        return sorted(f"{task_id}[{index}]" for task_id, index in words)

    # Tasks of ours are what makes Airflow 3 keep words.
    asked = ask()
    locked = lock()
    locked >> [work(), work_on.expand(number=[0, 1])] >> asked.as_teardown(setups=locked)
