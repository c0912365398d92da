"""``@writes_partition`` under ``@task``: what Airflow makes of the function, and what becomes of the partition."""

# ruff: noqa: SIM117 - nested as users write it

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSkipException, AirflowTaskTimeout, task

from airflow_provider_partition_registry.decorators.partition_registry import (
    PartitionWrite,
    write_partition,
    writes_partition,
)
from airflow_provider_partition_registry.domain.errors import InvalidInputError, PartitionLockedError
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import PartitionKey, PartitionState
from airflow_provider_partition_registry.runtime.identity import AmbiguousInstanceError
from airflow_provider_partition_registry.store.contract import RegistryStore
from tests.airflow.registries import DAY, THE_DAY, Connect, the_partition
from tests.airflow.runs import NewDag, RunDag
from tests.airflow.versions import VERSION

CallTask = Callable[..., Any]
Row = dict[str, int]


def state(registry: RegistryStore) -> PartitionState:
    return the_partition(registry).state


class TestInADag:
    def test_published_with_its_result(
        self, registry: RegistryStore, new_dag: NewDag, run_dag: RunDag
    ) -> None:
        seen: list[Any] = []

        @task(multiple_outputs=True)
        @writes_partition(source_name="{{ params.source }}", start="{{ params.day }}", grain="day")
        def load(rows: int, write: PartitionWrite, ti: Any = None) -> dict[str, int]:
            seen.extend([ti.task_id, write.generation, state(registry)])
            return {"rows": rows}

        @task
        def count() -> int:
            return 3

        with new_dag(params={"source": "sales", "day": "2026-11-01"}) as dag:
            load(count())
        run = run_dag(dag)
        assert run.state == "success", run.errors
        assert run.results["load"] == {"rows": 3}
        assert seen == ["load", 1, PartitionState.LOCKED]
        partition = the_partition(registry)
        assert partition.state is PartitionState.READY
        assert partition.lock.holder.identity == f"here/{dag.dag_id}/{run.run_id}/load"

    def test_each_mapped_task_writes_its_own(
        self, registry: RegistryStore, new_dag: NewDag, run_dag: RunDag
    ) -> None:
        @task
        @writes_partition(source_name="sales", start="{{ task.op_kwargs.day }}", grain="day")
        def load(day: str, factor: int) -> None:
            if day == "2026-11-02":
                raise ValueError(f"no data on {day}")

        with new_dag() as dag:
            load.override(task_id="write").partial(factor=2).expand(day=["2026-11-01", "2026-11-02"])
        run = run_dag(dag)
        assert run.states == {"write[0]": "success", "write[1]": "failed"}
        assert state(registry) is PartitionState.READY
        other = registry.get_partition(PartitionKey("sales", "loader", Interval("2026-11-02", "2026-11-03")))
        assert (other.state, other.reason) == (PartitionState.FAILED, "ValueError: no data on 2026-11-02")
        assert other.lock.holder.identity.endswith("/write/1")

    def test_a_failure_is_retried_under_a_new_lock(
        self, registry: RegistryStore, new_dag: NewDag, run_dag: RunDag
    ) -> None:
        seen: list[Any] = []

        @task(retries=1, retry_delay=timedelta(0))
        @writes_partition(**DAY)
        def load(write: PartitionWrite) -> None:
            seen.append(write.generation)
            if write.generation == 1:
                raise ValueError("disk full")

        with new_dag() as dag:
            load()
        run = run_dag(dag)
        assert run.state == "success"
        assert seen == [1, 2]
        assert str(run.error("load")) == "disk full"
        assert state(registry) is PartitionState.READY

    def test_a_skipped_task_releases(self, registry: RegistryStore, new_dag: NewDag, run_dag: RunDag) -> None:
        @task
        @writes_partition(**DAY)
        def load() -> None:
            raise AirflowSkipException("nothing new")

        with new_dag() as dag:
            load()
        assert run_dag(dag).states == {"load": "skipped"}
        assert state(registry) is PartitionState.REGISTERED

    def test_a_task_that_takes_too_long(
        self, registry: RegistryStore, new_dag: NewDag, run_dag: RunDag
    ) -> None:
        @task(execution_timeout=timedelta(seconds=1))
        @writes_partition(**DAY)
        def load() -> None:
            while True:
                pass

        with new_dag() as dag:
            load()
        with suppress(AirflowTaskTimeout):  # which ends Airflow 2's test run as well
            assert run_dag(dag).states == {"load": "failed"}
        partition = the_partition(registry)
        assert partition.state is PartitionState.FAILED
        assert "AirflowTaskTimeout" in partition.reason

    def test_a_context_manager_in_a_task(
        self, registry: RegistryStore, new_dag: NewDag, run_dag: RunDag
    ) -> None:
        @task
        def load(day: str) -> int:
            with write_partition(source_name="sales", start=day, grain="day") as write:
                return write.generation

        with new_dag() as dag:
            load("2026-11-01")
        assert run_dag(dag).results == {"load": 1}
        assert state(registry) is PartitionState.READY

    def test_an_asynchronous_task(self, registry: RegistryStore, new_dag: NewDag, run_dag: RunDag) -> None:
        async def load(write: PartitionWrite) -> int:
            return write.generation

        if VERSION < (3, 2):
            with pytest.raises(InvalidInputError, match=r"3\.2 and later"):
                writes_partition(**DAY)(load)
            return
        with new_dag() as dag:
            task(writes_partition(**DAY)(load))()
        assert run_dag(dag).results == {"load": 1}
        assert state(registry) is PartitionState.READY

    def test_a_generator_is_run_to_its_end(
        self, registry: RegistryStore, new_dag: NewDag, run_dag: RunDag
    ) -> None:
        seen: list[PartitionState] = []

        @task
        @writes_partition(**DAY)
        def load() -> Iterator[Any]:
            yield None
            seen.append(state(registry))
            return 7

        with new_dag() as dag:
            load()
        assert run_dag(dag).results == {"load": 7}
        assert seen == [PartitionState.LOCKED]
        assert state(registry) is PartitionState.READY

    def test_a_branch(self, registry: RegistryStore, new_dag: NewDag, run_dag: RunDag) -> None:
        @task.branch
        @writes_partition(**DAY)
        def load() -> str:
            return "left"

        @task
        def end() -> None: ...

        with new_dag() as dag:
            load() >> [end.override(task_id="left")(), end.override(task_id="right")()]
        assert run_dag(dag).states == {"load": "success", "left": "success", "right": "skipped"}
        assert state(registry) is PartitionState.READY


class TestFunctions:
    """Which arguments are passed on, and what a caller sees."""

    def test_arguments(self, registry: RegistryStore, call_task: CallTask) -> None:
        @writes_partition(**DAY)
        def load(a: int, write: PartitionWrite, *others: int, b: int = 0, **more: int) -> Any:
            return a, write.generation, others, b, more

        assert call_task(load, 1, 2, 3, b=4, c=5) == (1, 1, (2, 3), 4, {"c": 5})

    def test_without_the_parameter(self, registry: RegistryStore, call_task: CallTask) -> None:
        @writes_partition(**DAY)
        def load(*rows: int, **more: int) -> Any:
            return rows, more

        assert call_task(load, 1, more=2) == ((1,), {"more": 2})

    def test_a_wrapped_function(self, registry: RegistryStore, call_task: CallTask) -> None:
        def twice(function: Callable[..., int]) -> Callable[..., int]:
            @functools.wraps(function)
            def call(*args: Any, **kwargs: Any) -> int:
                return 2 * function(*args, **kwargs)

            return call

        @twice
        @writes_partition(**DAY)
        def load(write: PartitionWrite) -> int:
            return write.generation

        assert call_task(load) == 2

    def test_callers_cannot_fill_it(self, new_dag: NewDag) -> None:
        @task
        @writes_partition(**DAY)
        def load(day: str, write: PartitionWrite) -> None: ...

        with new_dag(), pytest.raises(TypeError, match="write"):
            load("2026-11-01", write=None)
        with new_dag(), pytest.raises(TypeError, match="write"):
            load.partial(day="2026-11-01").expand(write=[1, 2])

    def test_names_and_outputs(self, new_dag: NewDag) -> None:
        @task
        @writes_partition(**DAY)
        def load() -> Row:
            """Load the day."""

        with new_dag():
            operator = load().operator
        assert operator.task_id == "load"
        assert operator.doc_md == "Load the day."
        assert operator.multiple_outputs is True

    @pytest.mark.parametrize("later", ["coroutine", "generator"])
    def test_a_result_whose_work_is_not_done_is_refused(
        self, later: str, registry: RegistryStore, call_task: CallTask, recwarn: pytest.WarningsRecorder
    ) -> None:
        async def coroutine() -> None: ...

        def generator() -> Iterator[int]:
            yield 1

        work = {"coroutine": coroutine, "generator": generator}[later]()

        @writes_partition(**DAY)
        def load() -> Any:
            return work

        with pytest.raises(InvalidInputError, match="has not done its work yet"):
            call_task(load)
        work.close()
        assert state(registry) is PartitionState.FAILED

    def test_templates_can_name_the_callers_arguments(
        self, registry: RegistryStore, call_task: CallTask
    ) -> None:
        @writes_partition(source_name="sales", start="{{ task.op_kwargs.day }}", grain="day")
        def load(day: str) -> None: ...

        call_task(load, day="2026-11-01")
        assert state(registry) is PartitionState.READY

    @pytest.mark.usefixtures("as_task", "registry")
    def test_templates_are_refused_in_a_running_task(self) -> None:
        with pytest.raises(InvalidInputError, match="params"):
            with write_partition(source_name="sales", start="{{ params.day }}", grain="day"):
                pytest.fail("rendered what may come from outside")


class TestRefusals:
    """What is refused when the DAG file is parsed."""

    def test_the_decorator_above_a_task(self) -> None:
        with pytest.raises(InvalidInputError, match="under @task"):

            @writes_partition(**DAY)
            @task
            def load() -> None: ...

    def test_asynchronous_generators(self) -> None:
        with pytest.raises(InvalidInputError, match="asynchronous generators"):

            @writes_partition(**DAY)
            async def load() -> Any:
                yield 1

    def test_the_result_of_another_task(self, new_dag: NewDag) -> None:
        @task
        def day() -> str:
            return "2026-11-01"

        with new_dag(), pytest.raises(InvalidInputError, match="start cannot be another task's result"):
            writes_partition(source_name="sales", start=day(), grain="day")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"on_conflict": "ask"}, "'wait', not 'ask'"),
            ({"grain": "fortnight"}, "fortnight"),
            ({"lease": 0}, "at least a second"),
        ],
    )
    def test_wrong_arguments(self, arguments: dict[str, Any], message: str) -> None:
        with pytest.raises(InvalidInputError, match=message):
            writes_partition(**DAY | arguments)


@pytest.mark.usefixtures("as_task")
class TestOtherErrors:
    def test_somebody_else_holds_it(self, registry: RegistryStore, call_task: CallTask) -> None:
        registry.lock(PartitionKey("sales", "loader", THE_DAY), register=True, holder="somebody")

        @writes_partition(**DAY)
        def load() -> None:
            pytest.fail("wrote without the lock")

        with pytest.raises(PartitionLockedError):
            call_task(load)

    def test_an_airflow_without_a_name(
        self, registry: RegistryStore, registry_url: str, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connect(registry_url, extra={"provider": "loader"})
        for section in ("API", "WEBSERVER"):
            monkeypatch.setenv(f"AIRFLOW__{section}__BASE_URL", "http://localhost:8080")
        with pytest.raises(AmbiguousInstanceError), write_partition(**DAY):
            pytest.fail("wrote without a name")

    def test_a_token_of_another_provider(self, place: Any) -> None:
        with pytest.raises(Exception, match="acts as provider 'nobody' over the Airflow connection"):
            with write_partition(**place.day, provider_name="nobody"):
                pytest.fail("wrote without a grant")

    def test_over_a_web_service(self, place: Any) -> None:
        with write_partition(**place.day, lease=2) as write:
            write.require_lock()
        assert place.store.check_readiness(place.source, THE_DAY).is_ready
