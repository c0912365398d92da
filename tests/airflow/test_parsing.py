"""DAG files are parsed every few seconds: that must be quick, silent and without side effects."""

# ruff: noqa: DTZ001 - naive datetimes are what users write, and taken as UTC

from __future__ import annotations

import json
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import Asset, task

from airflow_provider_partition_registry.domain.errors import InvalidInputError
from airflow_provider_partition_registry.operators.partition_registry import (
    PartitionLockOperator,
    PartitionRegisterOperator,
    PartitionUnlockOperator,
)
from airflow_provider_partition_registry.operators.reading import (
    PartitionReadinessBranchOperator,
    PartitionReadinessShortCircuitOperator,
    PartitionUnchangedOperator,
)
from airflow_provider_partition_registry.runtime.compat import HAS_ASSET_STATE, IS_AIRFLOW_3
from airflow_provider_partition_registry.runtime.waiting import Wait
from airflow_provider_partition_registry.sensors.partition_registry import PartitionReadinessSensor
from tests.airflow.registries import DAY
from tests.airflow.runs import NewDag, event_of

EXAMPLES = Path(__file__).parents[2] / "example_dags"
OPERATORS = (
    PartitionRegisterOperator,
    PartitionLockOperator,
    PartitionUnlockOperator,
    PartitionReadinessSensor,
    PartitionReadinessBranchOperator,
    PartitionReadinessShortCircuitOperator,
)
ALSO_REQUIRED: dict[type, dict[str, Any]] = {
    PartitionReadinessBranchOperator: {"follow_task_ids_if_ready": "go_on"}
}

HEAVY = {"sqlalchemy", "psycopg2", "urllib3", "alembic", "wtforms", "flask_appbuilder"}
IMPORT_OURS = """
import json, sys, warnings
warnings.filterwarnings("error", module="airflow_provider_partition_registry")
import airflow.triggers.base
from airflow.providers.common.compat.sdk import BaseHook, BaseOperator, BaseSensorOperator, conf
before = set(sys.modules)
import airflow_provider_partition_registry.decorators.partition_registry
import airflow_provider_partition_registry.notifications.partition_registry
import airflow_provider_partition_registry.operators.partition_registry
import airflow_provider_partition_registry.operators.reading
import airflow_provider_partition_registry.sensors.partition_registry
print(json.dumps(sorted(set(sys.modules) - before)))
"""


@pytest.fixture(
    scope="module",
    params=sorted(EXAMPLES.glob("**/*.py" if HAS_ASSET_STATE else "*.py")),
    ids=lambda path: path.stem,
)
def example(request: pytest.FixtureRequest) -> Path:
    return request.param


def test_examples_are_there() -> None:
    assert len(list(EXAMPLES.glob("*.py"))) >= 5


def test_examples_can_be_imported(example: Path, load_dags: Callable[[Path], Any]) -> None:
    dag_bag = load_dags(example)
    assert dag_bag.import_errors == {}
    assert dag_bag.captured_warnings == {}
    assert list(dag_bag.dags) == [example.stem]


def test_examples_explain_themselves(example: Path, load_dags: Callable[[Path], Any]) -> None:
    (dag,) = load_dags(example).dags.values()
    assert dag.doc_md
    assert "partition-registry" in dag.tags


def test_examples_can_be_stored(
    example: Path, load_dags: Callable[[Path], Any], through_the_database: Callable[[Any], Any]
) -> None:
    (dag,) = load_dags(example).dags.values()
    assert set(through_the_database(dag).task_ids) == set(dag.task_ids)


@pytest.mark.skipif(not IS_AIRFLOW_3, reason="Airflow 2 has no watchers of assets")
def test_importing_the_trigger_of_watchers_imports_no_database() -> None:
    trigger = "airflow_provider_partition_registry.triggers.partition_events"
    code = IMPORT_OURS.replace("airflow_provider_partition_registry.sensors.partition_registry", trigger)
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    newly_imported = json.loads(answer.stdout.splitlines()[-1])
    assert trigger in newly_imported
    assert not {name.partition(".")[0] for name in newly_imported} & HEAVY


@pytest.fixture(scope="module")
def newly_imported() -> list[str]:
    answer = subprocess.run([sys.executable, "-c", IMPORT_OURS], capture_output=True, text=True, check=True)
    return json.loads(answer.stdout.splitlines()[-1])


def test_importing_operators_imports_no_database(newly_imported: list[str]) -> None:
    packages = {name.partition(".")[0] for name in newly_imported}
    assert "airflow_provider_partition_registry" in packages
    assert not packages & HEAVY


def test_importing_operators_imports_little_of_ours(newly_imported: list[str]) -> None:
    """Whatever only a running task needs would cost time whenever a DAG file is parsed."""
    ours = {
        name.partition(".")[2]
        for name in newly_imported
        if name.startswith("airflow_provider_partition_registry.")
    }
    assert ours == {
        "decorators",
        "decorators.partition_registry",
        "domain",
        "domain.errors",
        "domain.grains",
        "domain.intervals",
        "domain.invalid_input",
        "domain.names",
        "domain.store_errors",
        "notifications",
        "notifications.partition_registry",
        "links",
        "links.partition_registry",
        "operators",
        "operators.base",
        "operators.partition_registry",
        "operators.reading",
        "proof",
        "proof.graph",
        "proof.parsing",
        "runtime",
        "runtime.acting",
        "runtime.compat",
        "runtime.conflicts",
        "runtime.errors",
        "runtime.holding",
        "runtime.interval",
        "runtime.settings",
        "runtime.telling",
        "sensors",
        "sensors.partition_registry",
        "store",
        "store.factory",
    }


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a constructor must not connect to anything")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(sqlite3, "connect", refuse)
    monkeypatch.setattr(sqlite3.dbapi2, "connect", refuse)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("kind", OPERATORS)
def test_constructors_touch_nothing(kind: type, new_dag: NewDag) -> None:
    also = ALSO_REQUIRED.get(kind, {})
    with new_dag():
        kind(task_id="plain", **DAY, **also)
        kind(task_id="templated", source_name="{{ params.source }}", start="{{ ds }}", grain="day", **also)
        six_hours = {"start": datetime(2026, 11, 1), "grain": timedelta(hours=6)}
        kind(task_id="typed", source_name="sales", **six_hours, **also)
        mapped = kind.partial(task_id="mapped", source_name="sales", grain="day", **also)
        mapped.expand(start=["2026-11-01"])


@pytest.mark.usefixtures("no_network")
def test_the_constructor_of_the_check_touches_nothing(new_dag: NewDag) -> None:
    with new_dag():
        wait = PartitionReadinessSensor.partial(task_id="wait", source_name="sales", grain="day").expand(
            start=["2026-11-01"]
        )
        together = PartitionUnchangedOperator(task_id="together", answers=wait.output)
        each = PartitionUnchangedOperator.partial(task_id="each").expand(answers=wait.output)
    assert together.upstream_task_ids == each.upstream_task_ids == {"wait"}


@pytest.mark.parametrize("kind", [*OPERATORS, PartitionUnchangedOperator])
def test_template_fields_are_assigned_as_they_are(kind: type) -> None:
    values: dict[str, Any] = {name: f"{{{{ params.{name} }}}}" for name in kind.template_fields}
    if "requires" in values:
        values["requires"] = [values["source_name"]]
    task = kind(task_id="a_task", **values, **ALSO_REQUIRED.get(kind, {}))
    assert {name: getattr(task, name) for name in kind.template_fields} == values


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (PartitionLockOperator, {"on_conflict": "ask"}),
        (PartitionReadinessSensor, {"on_failed": "ask"}),
        (PartitionReadinessSensor, {"on_missing_source": "ask"}),
    ],
)
def test_a_wrong_choice_is_an_import_error(kind: type, arguments: dict[str, str]) -> None:
    with pytest.raises(InvalidInputError, match=r"'wait', not 'ask'|'fail', not 'ask'"):
        kind(task_id="a_task", **DAY, **arguments)


def what_is_asked(trigger: Any) -> Any:
    return Wait.of_run(trigger._context, trigger).questions


class TestStartingInTheTriggerer:
    def test_what_the_scheduler_gets(
        self,
        new_dag: NewDag,
        through_the_database: Callable[[Any], Any],
        starts_from_trigger: bool,
    ) -> None:
        with new_dag() as dag:
            PartitionReadinessSensor(
                task_id="wait",
                requires=["sales", {"source_name": "clicks", "start": datetime(2026, 10, 1)}],
                start="{{ params.day }}",
                grain=timedelta(days=1),
                published_after=datetime(2026, 11, 1),
                deferrable=True,
                timeout=600,
            )
        stored = through_the_database(dag).get_task("wait")
        assert bool(stored.start_from_trigger) is starts_from_trigger
        if starts_from_trigger:
            arguments = stored.start_trigger_args
            assert arguments.next_method == "execute_complete"
            assert arguments.timeout == timedelta(seconds=660)

    @pytest.mark.parametrize(
        "arguments",
        [
            {"start": "{{ ti.xcom_pull('first') }}"},
            {"start": "{{ task_instance.xcom_pull(task_ids='first') }}"},
            {
                "requires": [{"source_name": "{% set x = ti.xcom_pull('first') %}{{ x }}"}],
                "source_name": None,
            },
        ],
    )
    def test_not_with_results_of_other_tasks(self, arguments: dict[str, Any]) -> None:
        sensor = PartitionReadinessSensor(task_id="wait", **DAY | arguments, deferrable=True)
        assert not sensor.start_from_trigger
        assert sensor.start_trigger_args is None

    def test_not_with_an_xcom_argument(self, new_dag: NewDag) -> None:
        @task
        def first() -> str:
            return "2026-11-01"

        with new_dag():
            sensor = PartitionReadinessSensor(
                task_id="wait", source_name="sales", start=first(), grain="day", deferrable=True
            )
            nested = PartitionReadinessSensor(
                task_id="nested",
                requires=[{"source_name": "sales", "start": first()}],
                grain="day",
                deferrable=True,
            )
        assert not sensor.start_from_trigger
        assert not nested.start_from_trigger

    def test_not_when_mapped(self, new_dag: NewDag, through_the_database: Callable[[Any], Any]) -> None:
        with new_dag() as dag:
            PartitionReadinessSensor.partial(
                task_id="wait", source_name="sales", grain="day", deferrable=True
            ).expand(start=["2026-11-01", "2026-11-02"])
        assert not through_the_database(dag).get_task("wait").start_from_trigger

    def test_not_unless_deferrable(self) -> None:
        assert not PartitionReadinessSensor(task_id="wait", **DAY).start_from_trigger
        assert PartitionReadinessSensor.start_from_trigger is False

    @pytest.mark.parametrize(
        "arguments",
        [
            {"on_execute_callback": print},
            {"pre_execute": print},
            # Airflow would apply it to the wait, and the sensor would take that limit for one with its own margin.
            {"execution_timeout": timedelta(seconds=30)},
        ],
    )
    def test_not_with_options_that_need_a_worker(self, arguments: dict[str, Any]) -> None:
        sensor = PartitionReadinessSensor(task_id="wait", deferrable=True, **DAY, **arguments)
        assert not sensor.start_from_trigger

    @pytest.mark.parametrize(
        ("arguments", "ends_there"),
        [
            ({}, True),
            ({"on_failure_callback": print}, True),
            ({"on_success_callback": print}, False),
            ({"post_execute": print}, False),
            ({"multiple_outputs": True}, False),
            ({"outlets": [Asset("x-test://sales/today")]}, False),
            ({"inlets": [Asset("x-test://sales/today")]}, False),  # only then is OpenLineage told of it
        ],
    )
    def test_ending_there(
        self, arguments: dict[str, Any], ends_there: bool, starts_from_trigger: bool
    ) -> None:
        sensor = PartitionReadinessSensor(task_id="wait", deferrable=True, **DAY, **arguments)
        if starts_from_trigger:
            assert sensor.start_trigger_args.trigger_kwargs["ends_task"] is ends_there

    def test_a_template_that_cannot_be_rendered(
        self, new_dag: NewDag, start_in_triggerer: Callable[..., Any]
    ) -> None:
        """If it broke the trigger, ``soft_fail`` would skip the task."""
        with new_dag() as dag:
            PartitionReadinessSensor(
                task_id="wait", source_name="sales", start="{{ 1 // 0 }}", grain="day", deferrable=True
            )
        event = event_of(start_in_triggerer(dag, "wait"))
        assert event.payload["status"] == "failed"
        assert "ZeroDivisionError" in event.payload["message"]

    def test_not_with_macros_of_the_dag(self, new_dag: NewDag) -> None:
        with new_dag(user_defined_macros={"a_day": lambda: "2026-11-01"}):
            macro = PartitionReadinessSensor(
                task_id="macro", source_name="sales", start="{{ a_day() }}", grain="day", deferrable=True
            )
        with new_dag(user_defined_filters={"next": lambda day: day}):
            filtered = PartitionReadinessSensor(
                task_id="filter",
                source_name="sales",
                start="{{ '2026-11-01' | next }}",
                grain="day",
                deferrable=True,
            )
        assert not macro.start_from_trigger
        assert not filtered.start_from_trigger

    def test_templates_are_rendered_there(
        self, new_dag: NewDag, start_in_triggerer: Callable[..., Any]
    ) -> None:
        with new_dag(params={"day": "2026-11-01"}) as dag:
            PartitionReadinessSensor(
                task_id="wait",
                requires=[
                    {"source_name": "{{ dag_run.conf.source }}", "end": "{{ macros.ds_add(params.day, 2) }}"}
                ],
                start="{{ params.day }}",
                deferrable=True,
            )
        trigger = start_in_triggerer(dag, "wait", conf={"source": "sales"})
        (question,) = what_is_asked(trigger)
        assert str(question) == "[2026-11-01T00:00:00Z, 2026-11-03T00:00:00Z) of source 'sales'"

    @pytest.mark.parametrize(
        ("run", "grain"),
        [
            ({"partition_key": "2026-11-01", "partition_date": "2026-11-01T00:00:00Z"}, "day"),
            (
                {"data_interval_start": "2026-11-01T00:00:00Z", "data_interval_end": "2026-11-02T00:00:00Z"},
                None,
            ),
        ],
    )
    def test_the_run_is_known_there(
        self,
        run: dict[str, Any],
        grain: str | None,
        new_dag: NewDag,
        start_in_triggerer: Callable[..., Any],
    ) -> None:
        with new_dag() as dag:
            PartitionReadinessSensor(task_id="wait", source_name="sales", grain=grain, deferrable=True)
        (question,) = what_is_asked(start_in_triggerer(dag, "wait", **run))
        assert str(question) == "[2026-11-01T00:00:00Z, 2026-11-02T00:00:00Z) of source 'sales'"


LISTENED_TO = """
from airflow.providers.common.compat.sdk import DAG
from airflow_provider_partition_registry.sensors.partition_registry import PartitionReadinessSensor

with DAG("listened_to", schedule=None):
    PartitionReadinessSensor(task_id="wait", source_name="sales", start="2026-11-01", grain="day", deferrable=True)
"""


def test_our_listener_does_not_stop_sensors_from_ending_in_the_triggerer(
    tmp_path: Path, load_dags: Callable[[Path], Any]
) -> None:
    """Airflow refuses tasks with ``end_from_trigger=True`` if there are listeners; it must not refuse our sensors."""
    from airflow.listeners.listener import get_listener_manager

    (tmp_path / "listened_to.py").write_text(LISTENED_TO)

    dag_bag = load_dags(tmp_path)

    assert any(type(each).__name__ == "RegistryListener" for each in get_listener_manager().pm.get_plugins())
    assert dag_bag.import_errors == {}
    assert list(dag_bag.dags) == ["listened_to"]
