"""Runs that leave the lock on the day behind, and what Airflow knows of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from airflow.utils.session import create_session

from airflow_provider_partition_registry.domain.models import Partition
from airflow_provider_partition_registry.operators.partition_registry import PartitionLockOperator
from airflow_provider_partition_registry.runs.identity import HolderIdentity
from airflow_provider_partition_registry.store.base import RegistryStore
from tests.airflow.registries import DAY, THE_DAY, the_partition
from tests.airflow.running import START, store_dag
from tests.airflow.runs import NewDag
from tests.airflow.tasks import write
from tests.airflow.versions import IS_AIRFLOW_3


@dataclass
class Left:
    """A run that is over, and the registry in which its lock is left.

    :param dag: as the scheduler has it.
    """

    dag_id: str
    run_id: str
    dag: Any
    registry: RegistryStore
    state: str = "success"

    @property
    def partition(self) -> Partition:
        return the_partition(self.registry)

    @property
    def as_told(self) -> SimpleNamespace:
        """What a listener gets to see."""
        return SimpleNamespace(dag_id=self.dag_id, run_id=self.run_id, state=self.state, dag=self.dag)

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
        return {"dag_id": self.dag_id, "run_id": self.run_id}

    def _update(self, model: Any, state: str, **further: str) -> None:
        with create_session() as session:
            assert session.query(model).filter_by(**self._key, **further).update({"state": state}) == 1


@pytest.fixture
def left(
    new_dag: NewDag,
    airflow_home: Any,
    registry: RegistryStore,
    through_the_database: Callable[[Any], Any],
) -> Left:
    """None of its tasks really ran."""
    with new_dag() as dag:
        PartitionLockOperator(task_id="lock", **DAY) >> write()
    left = Left(dag.dag_id, f"run-{uuid4()}", through_the_database(dag), registry)
    create_run(dag, left)
    left.set_state("success")
    left.set_task_state("success")
    holder = HolderIdentity("here", left.dag_id, left.run_id, "lock")
    registry.lock("sales", "loader", THE_DAY, holder=str(holder), register=True)
    return left


def create_run(dag: Any, left: Left) -> None:
    from airflow.utils.types import DagRunType

    common = {"run_id": left.run_id, "run_type": DagRunType.MANUAL, "state": "running"}
    if IS_AIRFLOW_3:
        store_dag(dag)
    with create_session() as session:
        if IS_AIRFLOW_3:
            from airflow.utils.types import DagRunTriggeredByType

            by = DagRunTriggeredByType.TEST
            left.dag.create_dagrun(**common, run_after=START, triggered_by=by, session=session)
        else:
            # Tests of one name share a DAG, in which dates of runs are unique.
            date = START + timedelta(seconds=uuid4().int % 1_000_000)
            dag.create_dagrun(**common, execution_date=date, data_interval=(date, date), session=session)
