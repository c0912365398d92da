"""Airflow for the tests of the Airflow layer: one migrated home per session, and all that differs between versions.

Nothing here starts a scheduler, a triggerer or a server; DAGs run by ``dag.test()``.
"""

from __future__ import annotations

import json
import logging
import os
import pkgutil
import re
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

HOME = Path(tempfile.mkdtemp(prefix="airflow-home-"))
# Before Airflow is imported for the first time: it reads these then.
for _name in [name for name in os.environ if name.startswith("AIRFLOW")]:
    del os.environ[_name]
os.environ |= {
    "AIRFLOW_HOME": str(HOME),
    "AIRFLOW__CORE__DAGS_FOLDER": str(HOME / "dags"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{HOME}/airflow.db",
    "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
}

with warnings.catch_warnings():
    # What Airflow says while it imports itself; nothing of ours is imported here.
    warnings.simplefilter("ignore")
    import airflow
    import airflow.models.dagrun
    import airflow.models.xcom
    import airflow.providers_manager
    import airflow.serialization.serialized_objects
    import airflow.utils.db
    from airflow.providers.common.compat.sdk import DAG
    from airflow.utils.session import create_session

from tests.airflow.registries import (  # noqa: E402, F401 - fixtures
    connect,
    later,
    postgres_registry,
    registry,
    registry_template,
    registry_url,
)
from tests.airflow.runs import Run, task_label  # noqa: E402
from tests.airflow.services import new_place, place, service  # noqa: E402, F401 - fixtures
from tests.airflow.tasks import lock_write_unlock, run_lock  # noqa: E402, F401 - fixtures

VERSION = tuple(int(part) for part in airflow.__version__.split(".")[:2])
IS_AIRFLOW_3 = VERSION >= (3, 0)
START = datetime(2026, 1, 1, tzinfo=UTC)

# Whose warnings are none of our business: Airflow's, and those of the libraries that it calls.
NOT_OURS = (
    r"airflow\.",
    "connexion",
    "fastapi",
    "flask",
    "jsonschema",
    "marshmallow",
    "sqlalchemy",
    "starlette",
)


def pytest_itemcollected(item: pytest.Item) -> None:
    if Path(__file__).parent in item.path.parents:
        for module in NOT_OURS:
            item.add_marker(pytest.mark.filterwarnings(f"ignore:::{module}"))


@pytest.fixture(scope="session")
def airflow_home() -> Iterator[Path]:
    """With a migrated metadata database."""
    (HOME / "dags").mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        airflow.utils.db.initdb()
    yield HOME
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.fixture(autouse=True)
def workers_rest_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker has to be waited for where triggers run inline."""
    monkeypatch.setattr(
        "airflow_provider_partition_registry.triggers.partition_registry.RESUME_NOT_BEFORE", 0.0
    )


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
        _store(dag)
        if not IS_AIRFLOW_3 and "logical_date" in arguments:
            arguments["execution_date"] = arguments.pop("logical_date")
        return _what_is_left(dag, dag.test(**arguments).run_id)

    return run


@pytest.fixture
def rerun(airflow_home: Path) -> Callable[..., Run]:
    """Clears tasks of a run as the button in the UI does, downstream included, and runs what is then to be run."""

    def clear_and_run(run: Run, *task_ids: str) -> Run:
        scheduler_dag = _as_scheduler_has_it(run.dag)
        subset = scheduler_dag.partial_subset(list(task_ids), include_downstream=True, include_upstream=False)
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
            _errors[run.dag.dag_id].clear()
            _run_to_the_end(run.dag, dag_run, session)
        return _what_is_left(run.dag, run.run_id)

    return clear_and_run


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
        _run_task(ti=ti, session=session)
    except Exception:  # what it was is in the run's errors
        logging.getLogger(__name__).debug("task failed", exc_info=True)


def _store(dag: DAG) -> None:
    """Airflow 3 runs only what is in its database."""
    if not IS_AIRFLOW_3:
        return
    from airflow.models.dagbundle import DagBundleModel
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.serialization.definitions.dag import SerializedDAG

    serialized = airflow.serialization.serialized_objects.LazyDeserializedDAG.from_dag(dag)
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


def _value(xcom: Any) -> Any:
    return xcom.deserialize_value(xcom) if IS_AIRFLOW_3 else xcom.value


@pytest.fixture
def hook_info() -> Any:
    """What Airflow knows of our hook."""
    if IS_AIRFLOW_3:
        from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime as ProvidersManager
    else:
        from airflow.providers_manager import ProvidersManager
    return ProvidersManager().hooks["partition_registry"]


@pytest.fixture
def connection_form() -> dict[str, Any]:
    """What the form of our connection type shows: its name, and per field label and placeholder."""
    return _form_of_3() if IS_AIRFLOW_3 else _form_of_2()


def _form_of_3() -> dict[str, Any]:
    from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService

    (form,) = [
        each for each in HookMetaService.hook_meta_data() if each.connection_type == "partition_registry"
    ]
    standard = {name: field for name, field in form.standard_fields.model_dump().items() if field}
    return {
        "name": form.hook_name,
        "labels": {name: field["title"] for name, field in standard.items() if field["title"]},
        "placeholders": {
            name: field["placeholder"] for name, field in standard.items() if field["placeholder"]
        },
        "hidden": [name for name, field in standard.items() if field["hidden"]],
        "extra": {
            name: (field["schema"]["title"], field["description"])
            for name, field in (form.extra_fields or {}).items()
        },
    }


def _form_of_2() -> dict[str, Any]:
    manager = airflow.providers_manager.ProvidersManager()
    behaviour = manager.field_behaviours["partition_registry"]
    widgets = [
        each
        for key, each in manager.connection_form_widgets.items()
        if key.startswith("extra__partition_registry__")
    ]
    schema_is_called = {"schema": "url_schema"}  # in the form of Airflow 3
    return {
        "name": manager.hooks["partition_registry"].hook_name,
        "labels": {
            schema_is_called.get(name, name): label for name, label in behaviour["relabeling"].items()
        },
        "placeholders": {
            schema_is_called.get(name, name): text for name, text in behaviour["placeholders"].items()
        },
        "hidden": behaviour["hidden_fields"],
        "extra": {
            each.field_name: (each.field.args[0], each.field.kwargs["description"]) for each in widgets
        },
    }


@pytest.fixture
def redact() -> Callable[[str], str]:
    """What this Airflow's logs make of a text."""
    if IS_AIRFLOW_3:
        from airflow.sdk.log import redact
    else:
        from airflow.utils.log.secrets_masker import redact
    return redact


@pytest.fixture
def shown_by_rest_api() -> Callable[[Any], dict[str, Any]]:
    """What this Airflow's REST API says of a stored connection."""
    if IS_AIRFLOW_3:
        from airflow.api_fastapi.core_api.datamodels.connections import ConnectionResponse

        return lambda connection: ConnectionResponse.model_validate(connection).model_dump()
    from airflow.api_connexion.schemas.connection_schema import connection_schema

    return connection_schema.dump


@pytest.fixture
def starts_from_trigger() -> bool:
    """Whether a deferrable sensor of ours starts in the triggerer here."""
    return VERSION >= (3, 3)


@pytest.fixture
def through_the_database() -> Callable[[DAG], Any]:
    """A DAG as this Airflow's scheduler gets it back from the database."""

    def there_and_back(dag: DAG) -> Any:
        from airflow.serialization import serialized_objects

        kind = serialized_objects.DagSerialization if IS_AIRFLOW_3 else serialized_objects.SerializedDAG
        return kind.from_dict(json.loads(json.dumps(kind.to_dict(dag))))

    return there_and_back


@pytest.fixture
def trigger_from_row() -> Callable[[str, dict[str, Any]], Any]:
    """A trigger as this Airflow's triggerer gets it from the database, from its class path and arguments."""
    from airflow.models.trigger import Trigger

    def inflate(path: str, arguments: dict[str, Any]) -> Any:
        stored = Trigger._decrypt_kwargs(Trigger(classpath=path, kwargs=arguments).encrypted_kwargs)
        if IS_AIRFLOW_3:
            from airflow.serialization.decoders import smart_decode_trigger_kwargs

            stored = {name: smart_decode_trigger_kwargs(value) for name, value in stored.items()}
        return pkgutil.resolve_name(path)(**stored)

    return inflate


@pytest.fixture
def start_in_triggerer(
    starts_from_trigger: bool, trigger_from_row: Callable[[str, dict[str, Any]], Any]
) -> Callable[..., Any]:
    """A sensor's trigger as the triggerer starts it without a worker, templates rendered."""
    if not starts_from_trigger:
        pytest.skip("only Airflow 3.3 and later render templates in the triggerer")
    from airflow.executors.workloads import TaskInstanceDTO
    from airflow.jobs.triggerer_job_runner import TriggerRunner
    from airflow.serialization.serialized_objects import DagSerialization

    def start(dag: DAG, task_id: str, **run: Any) -> Any:
        data = DagSerialization.to_dict(dag)
        arguments = DagSerialization.from_dict(data).get_task(task_id).start_trigger_args
        trigger = trigger_from_row(arguments.trigger_cls, arguments.trigger_kwargs)
        names = {"dag_id": dag.dag_id, "run_id": "a_run"}
        absent = dict.fromkeys(
            ("logical_date", "data_interval_start", "data_interval_end", "end_date", "partition_key")
        )
        known = {
            "run_after": START,
            "start_date": START,
            "run_type": "manual",
            "state": "running",
            "conf": {},
        }
        ti = TaskInstanceDTO.model_construct(id=uuid4(), **names, task_id=task_id, try_number=1, map_index=-1)
        runtime_ti = TriggerRunner.create_runtime_ti(
            ti, data, {**names, **absent, **known, "consumed_asset_events": [], **run}
        )
        trigger.task_instance = runtime_ti
        trigger.render_template_fields(context=runtime_ti.get_template_context())
        return trigger

    return start


@pytest.fixture
def load_dags() -> Callable[[Path], Any]:
    """What this Airflow's DAG processor makes of a folder."""

    def load(folder: Path) -> Any:
        if IS_AIRFLOW_3:
            from airflow.dag_processing.dagbag import DagBag

            return DagBag(dag_folder=folder)
        from airflow.models.dagbag import DagBag

        return DagBag(dag_folder=folder, include_examples=False)

    return load


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
