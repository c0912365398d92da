"""Running DAGs to their end in this process, on either Airflow, and reading what they leave."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import airflow.models.dagrun
import airflow.models.xcom
import pytest
from airflow.providers.common.compat.sdk import DAG
from airflow.utils.session import create_session

from tests.airflow.runs import Run, task_label
from tests.airflow.versions import IS_AIRFLOW_3

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def new_dag(request: pytest.FixtureRequest) -> Callable[..., DAG]:
    """Makes DAGs that remember how their tasks failed."""
    name = re.sub(r"[^\w.-]", "_", request.node.name)

    def make(**arguments: Any) -> DAG:
        errors: dict[str, list[BaseException]] = {}

        def remember(context: Any) -> None:
            errors.setdefault(task_label(context["ti"]), []).append(context["exception"])

        callbacks = {"on_failure_callback": remember, "on_retry_callback": remember}
        arguments["default_args"] = callbacks | arguments.get("default_args", {})
        dag = DAG(**{"dag_id": name, "schedule": None, "start_date": START, "catchup": False} | arguments)  # noqa: AIR002
        _errors[dag.dag_id] = errors
        return dag

    return make


_errors: dict[str, dict[str, list[BaseException]]] = {}


@pytest.fixture
def run_dag(airflow_home: Path) -> Callable[..., Run]:
    """Runs a DAG to its end in this process."""

    def run(dag: DAG, **arguments: Any) -> Run:
        store_dag(dag)
        if not IS_AIRFLOW_3 and "logical_date" in arguments:
            arguments["execution_date"] = arguments.pop("logical_date")
        return _what_is_left(dag, dag.test(**arguments).run_id)

    return run


@pytest.fixture
def rerun(airflow_home: Path) -> Callable[..., Run]:
    """Clears tasks of a run, downstream included, as the button in the UI does, and runs what has to run then."""
    return partial(_clear_and_run, include_downstream=True)


@pytest.fixture
def rerun_alone(airflow_home: Path) -> Callable[..., Run]:
    """As ``rerun``, but only the tasks themselves are cleared."""
    return partial(_clear_and_run, include_downstream=False)


def _clear_and_run(run: Run, *task_ids: str, include_downstream: bool) -> Run:
    scheduler_dag = _as_scheduler_has_it(run.dag)
    subset = scheduler_dag.partial_subset(
        list(task_ids), include_downstream=include_downstream, include_upstream=False
    )
    with create_session() as session:
        dag_run = _dag_run(run.dag.dag_id, run.run_id, session)
        when = (
            {"run_id": run.run_id}
            if IS_AIRFLOW_3
            else dict.fromkeys(("start_date", "end_date"), dag_run.execution_date)
        )
        subset.clear(**when, dag_run_state="running", session=session)
        session.commit()
        dag_run.dag = scheduler_dag
        _errors.get(run.dag.dag_id, {}).clear()
        _run_to_the_end(run.dag, dag_run, session)
    return _what_is_left(run.dag, run.run_id)


def _run_to_the_end(dag: DAG, dag_run: Any, session: Any) -> None:
    session.refresh(dag_run)
    while dag_run.state == "running":
        session.expire_all()
        for ti in dag_run.update_state(session=session)[0]:
            ti.try_number += ti.state != "up_for_reschedule"
            ti.state = "scheduled"
        session.commit()
        for ti in [each for each in dag_run.get_task_instances(session=session) if each.state == "scheduled"]:
            _run_task(dag, ti, session)


def _run_task(dag: DAG, ti: Any, session: Any) -> None:
    task = dag.task_dict[ti.task_id]
    if IS_AIRFLOW_3:
        from airflow.sdk.definitions.dag import _run_task

        _run_task(ti=ti, task=task)
        return
    from airflow.models.dag import _run_task

    ti.task = task
    try:
        _run_task(ti=ti, session=session)  # type: ignore[call-arg]
    except Exception:  # the run's errors have it
        logging.getLogger(__name__).debug("task failed", exc_info=True)


def store_dag(dag: DAG) -> None:
    """Airflow 3 runs only what is in its database."""
    if not IS_AIRFLOW_3:
        return
    from airflow.models.dagbundle import DagBundleModel
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.serialization.definitions.dag import SerializedDAG
    from airflow.serialization.serialized_objects import LazyDeserializedDAG

    serialized = LazyDeserializedDAG.from_dag(dag)
    with create_session() as session:
        session.merge(DagBundleModel(name="testing"))
        session.flush()
        SerializedDAG.bulk_write_to_db("testing", None, [serialized], session=session)
        SerializedDagModel.write_dag(serialized, bundle_name="testing", session=session)


def _as_scheduler_has_it(dag: DAG) -> Any:
    if not IS_AIRFLOW_3:
        return dag
    from airflow.serialization.serialized_objects import DagSerialization

    return DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))


def _dag_run(dag_id: str, run_id: str, session: Any) -> Any:
    model = airflow.models.dagrun.DagRun
    return session.query(model).filter(model.dag_id == dag_id, model.run_id == run_id).one()


def _what_is_left(dag: DAG, run_id: str) -> Run:
    xcoms = airflow.models.xcom.XComModel if IS_AIRFLOW_3 else airflow.models.xcom.XCom
    with create_session() as session:
        dag_run = _dag_run(dag.dag_id, run_id, session)
        found = session.query(xcoms).filter(
            xcoms.dag_id == dag.dag_id, xcoms.run_id == run_id, xcoms.key == "return_value"
        )
        return Run(
            dag=dag,
            run_id=run_id,
            state=str(dag_run.state),
            states={
                task_label(ti): ti.state and str(ti.state)
                for ti in dag_run.get_task_instances(session=session)
            },
            results={task_label(each): _value(each) for each in found},
            errors=dict(_errors.get(dag.dag_id, {})),
        )


@pytest.fixture
def pulled() -> Callable[[Run, str, str], Any]:
    """Reads an XCom that a task of a run left under a key of its own."""

    def pull(run: Run, task_id: str, key: str) -> Any:
        model = airflow.models.xcom.XComModel if IS_AIRFLOW_3 else airflow.models.xcom.XCom
        with create_session() as session:
            named = {"dag_id": run.dag.dag_id, "run_id": run.run_id, "task_id": task_id, "key": key}
            return _value(session.query(model).filter_by(**named).one())

    return pull


def _value(xcom: Any) -> Any:
    return xcom.deserialize_value(xcom) if IS_AIRFLOW_3 else xcom.value


@pytest.fixture
def daily_timetable() -> Any:
    """A schedule whose runs have the day before as their interval, in either version."""
    if IS_AIRFLOW_3:
        from airflow.sdk import CronDataIntervalTimetable
    else:
        from airflow.timetables.interval import CronDataIntervalTimetable
    return CronDataIntervalTimetable("0 0 * * *", timezone="UTC")


@pytest.fixture
def no_logical_date() -> dict[str, Any]:
    """Makes ``run_dag`` run without a date, as an asset would."""
    if not IS_AIRFLOW_3:
        pytest.skip("every run of Airflow 2 has a date and an interval")
    return {"logical_date": None}
