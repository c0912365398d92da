"""Runs that leave the lock on the day behind, and what Airflow knows of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.utils.session import create_session

from airflow_provider_partition_registry.domain.models import Partition
from airflow_provider_partition_registry.operators.partition_registry import PartitionLockOperator
from airflow_provider_partition_registry.store.base import RegistryStore
from tests.airflow.registries import DAY, the_partition
from tests.airflow.runs import NewDag, Run, RunDag
from tests.airflow.tasks import write


@dataclass
class Left:
    """A run that is over, and the registry in which its lock is left.

    :param dag: as the scheduler has it.
    """

    run: Run
    dag: Any
    registry: RegistryStore

    @property
    def partition(self) -> Partition:
        return the_partition(self.registry)

    @property
    def as_told(self) -> SimpleNamespace:
        """What a listener gets to see."""
        return SimpleNamespace(
            dag_id=self.run.dag.dag_id, run_id=self.run.run_id, state=self.state, dag=self.dag
        )

    state: str = "success"

    def set_state(self, state: str) -> None:
        """Of the run."""
        from airflow.models import DagRun

        self.state = state
        self._update(DagRun, state)

    def set_task_state(self, state: str) -> None:
        """Of the task that took the lock."""
        from airflow.models import TaskInstance

        self._update(TaskInstance, state, task_id="lock")

    def delete(self) -> None:
        """As the button in the UI does."""
        from airflow.models import DagRun

        with create_session() as session:
            session.query(DagRun).filter_by(**self._key).delete()

    @property
    def _key(self) -> dict[str, str]:
        return {"dag_id": self.run.dag.dag_id, "run_id": self.run.run_id}

    def _update(self, model: Any, state: str, **further: str) -> None:
        with create_session() as session:
            assert session.query(model).filter_by(**self._key, **further).update({"state": state}) == 1


@pytest.fixture
def left(
    new_dag: NewDag,
    run_dag: RunDag,
    registry: RegistryStore,
    through_the_database: Callable[[Any], Any],
) -> Left:
    with new_dag() as dag:
        PartitionLockOperator(task_id="lock", **DAY) >> write()
    return Left(run_dag(dag), through_the_database(dag), registry)
