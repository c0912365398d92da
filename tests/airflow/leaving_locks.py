"""Runs that leave a lock behind, and what Airflow knows of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from airflow.utils.session import create_session

from airflow_provider_partition_registry.domain.models import Partition, PartitionKey, PartitionState
from airflow_provider_partition_registry.operators.partition_registry import PartitionLockOperator
from airflow_provider_partition_registry.plugins import ended_runs, registries
from airflow_provider_partition_registry.runtime.identity import HolderIdentity
from airflow_provider_partition_registry.store.contract import RegistryStore
from testbed.proxy import LosingProxy
from testbed.service_process import ServiceProcess
from tests.airflow.registries import DAY, IN_CONNECTION, THE_DAY, Connect, the_partition
from tests.airflow.running import START, store_dag
from tests.airflow.runs import NewDag
from tests.airflow.services import Place
from tests.airflow.tasks import write
from tests.airflow.versions import IS_AIRFLOW_3


@dataclass
class Left:
    """A run that is over, and the registry in which it left its lock.

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
        """The run as a listener gets it."""
        return SimpleNamespace(dag_id=self.dag_id, run_id=self.run_id, state=self.state, dag=self.dag)

    def set_state(self, state: str) -> None:
        """Set the state of the run."""
        from airflow.models import DagRun

        self.state = state
        self._update(DagRun, state)

    def set_task_state(self, state: str) -> None:
        """Set the state of the task that took the lock."""
        from airflow.models import TaskInstance

        self._update(TaskInstance, state, task_id="lock")

    def delete(self) -> None:
        """Delete the run as the button in the UI does."""
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
    """A run that left its lock; none of its tasks really ran."""
    with new_dag() as dag:
        PartitionLockOperator(task_id="lock", **DAY) >> write()
    left = Left(dag.dag_id, f"run-{uuid4()}", through_the_database(dag), registry)
    create_run(dag, left)
    left.set_state("success")
    left.set_task_state("success")
    holder = HolderIdentity("here", left.dag_id, left.run_id, "lock")
    registry.lock(PartitionKey("sales", "loader", THE_DAY), holder=str(holder), register=True)
    return left


@dataclass
class Cut:
    """A connection to a service that stays cut until it is released. Behind it, a run has left its lock."""

    proxy: LosingProxy
    place: Place
    provider: str

    @property
    def state(self) -> PartitionState:
        """The state of the partition."""
        return the_partition(self.place.store, self.place.source, self.provider).state


@pytest.fixture
def cut(left: Left, service: ServiceProcess, place: Place, connect: Connect) -> Iterator[Cut]:
    """A cut connection to which Airflow's connection leads, and a run that has failed."""
    left.set_state("failed")
    lock = left.partition.lock
    assert lock is not None
    provider = f"loader-{place.source.partition('-')[2]}"
    place.store.lock(PartitionKey(place.source, provider, THE_DAY), holder=lock.holder, register=True)
    with LosingProxy(urlsplit(service.url).port or 0) as proxy:
        extra = IN_CONNECTION | {"timeout": "0.5"}
        connect(f"http://127.0.0.1:{proxy.port}", password=place.tokens["loader"], extra=extra)
        proxy.hold()
        yield Cut(proxy, place, provider)


@pytest.fixture
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Shortens all waits of the background work on ended runs, and leaves none of it to go on after the test."""
    monkeypatch.setattr(ended_runs, "AFTER_COMMIT", 0.05)
    monkeypatch.setattr(ended_runs, "AFTER_KILLS", 0.2)
    monkeypatch.setattr(registries, "LONGEST_DELAY", 0.2)
    yield
    ended_runs.ended_runs.__init__()


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
            # Tests of the same name share a DAG, in which the dates of runs are unique.
            date = START + timedelta(seconds=uuid4().int % 1_000_000)
            dag.create_dagrun(**common, execution_date=date, data_interval=(date, date), session=session)
