"""Marks by people are told apart from tasks that succeeded by themselves; here in Airflow 3's API server.

Airflow 2, where the audit log is read, is tested with real instances in tests/system.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import task
from airflow.utils.session import create_session

from airflow_provider_partition_registry.runtime.marks import KEY, marks_by_people
from tests.airflow.registries import DAY
from tests.airflow.runs import NewDag, Rerun, Run, RunDag
from tests.airflow.tasks import a_pair, write
from tests.airflow.versions import IS_AIRFLOW_3

pytestmark = pytest.mark.skipif(not IS_AIRFLOW_3, reason="Airflow 2 tells no listener of what people do")

WRITE, SECOND = ("write", -1), ("double", 1)


@task
def double(number: int) -> int:
    return 2 * number


@task(trigger_rule="all_done")
def ask(**context: Any) -> list[str]:
    """Ask for marks as the unlock task does."""
    said = marks_by_people(context, ["write", "double"])
    assert all(datetime.now(UTC) - each < timedelta(minutes=10) for each in said.values())
    return sorted(f"{task_id}[{index}]" for task_id, index in said)


@pytest.fixture
def a_run(new_dag: NewDag, run_dag: RunDag, registry: Any) -> Run:
    with new_dag() as dag:
        lock, unlock = a_pair(DAY)
        lock >> [write(), double.expand(number=[1, 2])] >> ask() >> unlock
    return run_dag(dag)


def let_it_run(run: Run, *tasks: tuple[str, int]) -> None:
    """Let task instances look as if their code were running."""
    from airflow.models import TaskInstance

    with create_session() as session:
        for task_id, index in tasks:
            of_run = {"dag_id": run.dag.dag_id, "run_id": run.run_id}
            instance = session.query(TaskInstance).filter_by(**of_run, task_id=task_id, map_index=index)
            assert instance.update({"state": "running"}) == 1


def words(run: Run) -> set[tuple[str, int]]:
    from airflow.models.xcom import XComModel

    with create_session() as session:
        found = session.query(XComModel).filter_by(dag_id=run.dag.dag_id, run_id=run.run_id, key=KEY)
        return {(each.task_id, each.map_index) for each in found}


@pytest.fixture
def by_hand(through_the_database: Callable[[Any], Any]) -> SimpleNamespace:
    """Does what the API server does at a person's request, in one transaction."""
    from airflow.api_fastapi.core_api.datamodels.dag_run import DagRunMutableStates
    from airflow.api_fastapi.core_api.services.public.dag_run import patch_dag_run_state
    from airflow.api_fastapi.core_api.services.public.task_instances import _patch_task_instance_state
    from airflow.models import DagRun

    def mark_task(run: Run, task_id: str, map_index: int | None, state: str, *, fails: bool = False) -> None:
        body = SimpleNamespace(
            map_index=map_index,
            include_upstream=False,
            include_downstream=False,
            include_future=False,
            include_past=False,
        )
        with create_session(scoped=False) as session:
            dag = through_the_database(run.dag)
            _patch_task_instance_state(task_id, run.run_id, dag, body, {"new_state": state}, session)
            if fails:
                raise ConnectionError

    def mark_run(run: Run, state: str) -> None:
        with create_session(scoped=False) as session:
            dag_run = session.query(DagRun).filter_by(dag_id=run.dag.dag_id, run_id=run.run_id).one()
            dag = through_the_database(run.dag)
            patch_dag_run_state(dag=dag, dag_run=dag_run, state=DagRunMutableStates(state), session=session)

    return SimpleNamespace(mark_task=mark_task, mark_run=mark_run)


def test_marks_on_single_tasks_are_kept_until_these_run_again(
    a_run: Run, by_hand: SimpleNamespace, rerun: Rerun
) -> None:
    let_it_run(a_run, WRITE, SECOND)

    by_hand.mark_task(a_run, "write", None, "success")
    by_hand.mark_task(a_run, "double", 1, "success")

    assert rerun(a_run, "ask").results["ask"] == ["double[1]", "write[-1]"]
    assert rerun(a_run, "write").results["ask"] == ["double[1]"]


def test_marking_the_whole_run_withdraws_earlier_marks(a_run: Run, by_hand: SimpleNamespace) -> None:
    let_it_run(a_run, WRITE, SECOND)
    by_hand.mark_task(a_run, "write", None, "success")
    assert words(a_run) == {WRITE}

    by_hand.mark_run(a_run, "success")

    assert words(a_run) == set()


def test_failed_or_other_marks_are_not_recorded(a_run: Run, by_hand: SimpleNamespace) -> None:
    let_it_run(a_run, WRITE, SECOND)

    with pytest.raises(ConnectionError):
        by_hand.mark_task(a_run, "write", None, "success", fails=True)
    by_hand.mark_task(a_run, "double", 1, "failed")

    assert words(a_run) == set()


def test_no_marks_are_recorded_for_a_dag_without_our_operators(
    new_dag: NewDag, run_dag: RunDag, by_hand: SimpleNamespace
) -> None:
    with new_dag() as dag:
        write()
    run = run_dag(dag)
    let_it_run(run, WRITE)

    by_hand.mark_task(run, "write", None, "success")

    assert words(run) == set()
