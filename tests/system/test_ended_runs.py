"""A run that is over leaves no lock behind, however it ended; and what people say by hand is told apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import pytest
import sqlalchemy

from airflow_provider_partition_registry.domain.errors import UnknownPartitionError
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import Partition, PartitionKey, PartitionState
from airflow_provider_partition_registry.store.contract import RegistryStore
from testbed.airflow import AirflowInstance
from testbed.airflow_api import wait_for_airflow
from testbed.http_json import ApiError
from testbed.processes import wait_until

pytestmark = [pytest.mark.system, pytest.mark.timeout(900), pytest.mark.usefixtures("demo_beside")]

VERSIONS = (2, 3)
STATES = ("failed", "success")
TIMEOUT = 300.0
SOURCE, PROVIDER = "system.ended", "ended-loader"

Instances = Mapping[int, AirflowInstance]
Begin = Callable[[int, str], "Begun"]


class Begun:
    """A run, and the partition that it writes, which is its alone."""

    def __init__(
        self, instance: AirflowInstance, registry: RegistryStore, dag_id: str, day: datetime
    ) -> None:
        self.api: Any = instance.api
        self.registry = registry
        self.dag_id = dag_id
        self.interval = Interval(day, day + timedelta(days=1))
        self.api.wait_until_parsed(dag_id, TIMEOUT)
        self.api.unpause(dag_id)
        self.run_id = self.api.trigger_run(dag_id, {"day": f"{day:%Y-%m-%d}"})

    @property
    def partition(self) -> Partition:
        return self.registry.get_partition(PartitionKey(SOURCE, PROVIDER, self.interval))

    def wait_for(self, task_id: str, state: str, map_index: int = -1) -> None:
        self.api.wait_for_task_state(self.dag_id, self.run_id, task_id, state, TIMEOUT, map_index)

    def wait_for_work(self, task_id: str, map_index: int = -1) -> None:
        """Wait until the task's own code runs.

        Before that, Airflow 2 writes back what the task's process knows of its run, from before anybody touched it.
        """

        def is_at_work() -> bool:
            try:
                return bool(self.api.xcom(self.dag_id, self.run_id, task_id, "at_work", map_index))
            except ApiError as error:
                if error.status == HTTPStatus.NOT_FOUND:
                    return False
                raise

        wait_for_airflow(is_at_work, what=f"{task_id} of {self.dag_id} to be at work", timeout=TIMEOUT)

    def is_failed(self) -> bool:
        try:
            return self.partition.state is PartitionState.FAILED
        except UnknownPartitionError:  # its lock task has not begun yet
            return False

    def reason(self) -> str:
        """Why the partition failed, once it did, after the run's beginning words."""
        what = f"the partition of {self.dag_id} to fail"
        wait_until(self.is_failed, what=what, timeout=TIMEOUT, detail=lambda: self.partition)
        beginning = f"The run {self.run_id} of DAG {self.dag_id} "
        assert self.partition.reason is not None
        assert self.partition.reason.startswith(beginning), self.partition.reason
        return self.partition.reason.removeprefix(beginning)


@pytest.fixture(scope="module")
def begin(instances: Instances, registry: RegistryStore) -> Begin:
    days = iter(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number) for number in range(365))
    return lambda version, dag_id: Begun(instances[version], registry, dag_id, next(days))


HELD = "while its task lock held this lock."


@pytest.mark.parametrize("version", VERSIONS)
def test_a_decision_that_skips_the_unlock_leaves_no_lock(begin: Begin, version: int) -> None:
    begun = begin(version, "ended_by_decision")

    assert begun.reason() == f"ended as success {HELD}"


@pytest.mark.parametrize("version", VERSIONS)
def test_a_lock_task_that_is_killed(begin: Begin, version: int) -> None:
    begun = begin(version, "ended_by_death")

    assert begun.reason() == (
        f"ended as failed {HELD} The task that took the lock died after it was granted: lock is failed."
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_a_time_out(instances: Instances, begin: Begin, version: int) -> None:
    begun = begin(version, "ended_by_time_out")
    begun.wait_for_work("work")

    let_time_pass(instances[version], begun)

    assert begun.reason() == f"timed out {HELD}"


def let_time_pass(instance: AirflowInstance, begun: Begun) -> None:
    """Let the run have begun two hours ago."""
    engine = sqlalchemy.create_engine(instance.metadata_url.replace("postgresql:", "postgresql+psycopg2:"))
    ago = datetime.now(UTC) - timedelta(hours=2)
    begin = ago if engine.dialect.name == "postgresql" else f"{ago:%Y-%m-%d %H:%M:%S.%f}"
    with engine.begin() as connection:
        changed = connection.execute(
            sqlalchemy.text("UPDATE dag_run SET start_date = :begin WHERE dag_id = :dag AND run_id = :run"),
            {"begin": begin, "dag": begun.dag_id, "run": begun.run_id},
        )
        assert changed.rowcount == 1
    engine.dispose()


@pytest.fixture(scope="module")
def ended_by_hand(begin: Begin) -> Mapping[tuple[int, str], Begun]:
    """Runs that a person marks: all at the same time, since Airflow 2 needs a while to notice."""
    runs = {(version, state): begin(version, "ended_by_hand") for version in VERSIONS for state in STATES}
    for (_, state), begun in runs.items():
        begun.wait_for_work("work")
        mark_run(begun, state)
    return runs


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("version", VERSIONS)
def test_a_person_ends_the_run(
    ended_by_hand: Mapping[tuple[int, str], Begun], version: int, state: str
) -> None:
    begun = ended_by_hand[version, state]

    # Airflow 2 tells nobody that it was a person.
    assert begun.reason() == (
        f"was marked {state} by hand {HELD}" if version == 3 else f"ended as {state} {HELD}"
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_reconciliation_finds_a_deleted_dag(instances: Instances, begin: Begin, version: int) -> None:
    """A DAG is deleted whose run a scheduler began that is not there any more."""
    one, other = begin(version, "deleted_one"), begin(version, "deleted_other")
    for each in (one, other):
        each.wait_for("lock", "success")
    instances[version].restart("scheduler", TIMEOUT)
    instances[version].hands.delete_dag(one.dag_id)

    said = instances[version].run_program("partition-registry-reconcile")

    assert f"The run {one.run_id} of DAG {one.dag_id} was deleted" in said
    assert one.reason() == f"was deleted {HELD}"
    assert other.partition.state is PartitionState.LOCKED

    instances[version].hands.delete_dag(other.dag_id)
    other.api.wait_until_parsed("example_reconcile")
    other.api.unpause("example_reconcile")
    run_id = other.api.trigger_run("example_reconcile")

    assert other.reason() == f"was deleted {HELD}"
    assert other.api.wait_for_run("example_reconcile", run_id, TIMEOUT) == "success"


def mark_task(begun: Begun, task_id: str, map_index: int | None = None) -> None:
    index = "" if map_index is None else f"/{map_index}"
    body = {"new_state": "success"} | ({"dry_run": False} if "v1" in begun.api.path else {})
    path = f"/dags/{begun.dag_id}/dagRuns/{begun.run_id}/taskInstances/{task_id}{index}"
    begun.api.call("PATCH", path, body)


def mark_run(begun: Begun, state: str) -> None:
    begun.api.call("PATCH", f"/dags/{begun.dag_id}/dagRuns/{begun.run_id}", {"state": state})


class TestMarksByHand:
    @pytest.fixture
    def working(self, begin: Begin, version: int) -> Begun:
        """A run whose tasks are at work, but for one that has ended by itself."""
        begun = begin(version, "marks_by_people")
        begun.wait_for_work("work")
        begun.wait_for("work_on", "success", 0)
        begun.wait_for_work("work_on", 1)
        return begun

    def heard(self, begun: Begun) -> Any:
        begun.wait_for("ask", "success")
        return begun.api.xcom(begun.dag_id, begun.run_id, "ask")

    @pytest.mark.parametrize("version", VERSIONS)
    def test_single_tasks_count_as_marked(self, working: Begun) -> None:
        mark_task(working, "work")
        mark_task(working, "work_on", 1)

        assert self.heard(working) == ["work[-1]", "work_on[1]"]

    @pytest.mark.parametrize("version", VERSIONS)
    def test_marking_the_whole_run_marks_no_task(self, working: Begun) -> None:
        mark_task(working, "work_on", 1)
        mark_run(working, "success")

        assert self.heard(working) == []
        assert working.api.task_instance(working.dag_id, working.run_id, "work")["state"] == "success"
