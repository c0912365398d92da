"""DAGs that many tests run: a lock, some work, an unlock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import task

from airflow_provider_partition_registry.operators.partition_registry import (
    PartitionLockOperator,
    PartitionUnlockOperator,
)
from tests.airflow.registries import DAY
from tests.airflow.runs import NewDag, Run, RunDag


@task
def write() -> None:
    """The work."""


def a_pair(partition: dict[str, Any] = DAY, name: str = "") -> tuple[Any, Any]:
    return (
        PartitionLockOperator(task_id=f"lock{name}", **partition),
        PartitionUnlockOperator(task_id=f"unlock{name}", **partition),
    )


@pytest.fixture
def run_lock(new_dag: NewDag, run_dag: RunDag) -> Callable[..., Run]:
    """Runs a DAG that only locks the day."""

    def run(**arguments: Any) -> Run:
        with new_dag() as dag:
            PartitionLockOperator(task_id="lock", **DAY | arguments)
        return run_dag(dag)

    return run


@pytest.fixture
def lock_write_unlock(new_dag: NewDag, run_dag: RunDag) -> Callable[..., Run]:
    """Runs a DAG that locks a partition, by default the day, writes it, and unlocks it."""

    def run(partition: dict[str, Any] = DAY, run_conf: dict[str, Any] | None = None, **of_dag: Any) -> Run:
        with new_dag(**of_dag) as dag:
            lock, unlock = a_pair(partition)
            lock >> write() >> unlock
        return run_dag(dag, run_conf=run_conf)

    return run
