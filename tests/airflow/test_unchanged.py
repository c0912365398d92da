"""Readers are told what was rewritten after they asked (R7)."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, task

from airflow_provider_partition_registry.domain.errors import (
    InvalidInputError,
    StoreUnavailableError,
    UnknownSourceError,
)
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.operators.reading import (
    PartitionUnchangedOperator,
)
from airflow_provider_partition_registry.sensors.partition_registry import PartitionReadinessSensor
from airflow_provider_partition_registry.store import maintenance
from airflow_provider_partition_registry.store.contract import RegistryStore
from tests.airflow.registries import DAY, THE_DAY, Connect, publish
from tests.airflow.runs import NewDag, Rerun, Run, RunDag
from tests.airflow.services import Place

NEXT_DAY = Interval("2026-11-02", "2026-11-03")
OCTOBER = Interval("2026-10-01", "2026-11-01")

READY = {
    "source_name": "sales",
    "start": "2026-11-01T00:00:00Z",
    "end": "2026-11-02T00:00:00Z",
    "is_ready": True,
}

Act = Callable[[], Any]
Read = Callable[..., Run]


@pytest.fixture
def read(new_dag: NewDag, run_dag: RunDag) -> Read:
    """Runs a DAG that waits for data, reads it, checks that it is unchanged, and goes on."""

    def run(meanwhile: Act = lambda: None, check: dict[str, Any] | None = None, **wait: Any) -> Run:
        with new_dag() as dag:
            asked = PartitionReadinessSensor(task_id="wait", **(wait or DAY))

            @task
            def read_it() -> None:
                meanwhile()

            @task
            def use() -> None: ...

            unchanged = PartitionUnchangedOperator(
                task_id="unchanged", **{"answers": asked.output, **(check or {})}
            )
            asked >> read_it() >> unchanged >> use()
        return run_dag(dag)

    return run


def assert_told(run: Run, *texts: str) -> None:
    assert run.states["unchanged"] == "failed", run.errors
    assert isinstance(run.error("unchanged"), AirflowFailException)
    for text in texts:
        assert text in str(run.error("unchanged"))


class TestUnchanged:
    def test_nothing_was_rewritten(self, registry: RegistryStore, read: Read) -> None:
        publish(registry)
        publish(registry, interval=NEXT_DAY)
        run = read(lambda: publish(registry, interval=NEXT_DAY))
        assert run.state == "success", run.errors

    def test_published_anew(self, registry: RegistryStore, read: Read) -> None:
        publish(registry)
        as_of = registry.last_position()

        def rewrite() -> None:
            key = PartitionKey("sales", "loader", THE_DAY)
            registry.lock(key, holder="the-night-job")
            registry.unlock(key, holder="the-night-job")

        run = read(rewrite)

        assert_told(
            run,
            f"Rewritten after event {as_of}: {THE_DAY} of source 'sales':\n  ",
            f"{THE_DAY} of provider 'loader' was locked by the-night-job at 20",
            f"{THE_DAY} of provider 'loader' was published by the-night-job at 20",
            "Clear wait with everything downstream",
        )
        assert run.states["use"] == "upstream_failed"

    def test_still_being_written(self, registry: RegistryStore, read: Read) -> None:
        publish(registry)
        inside = PartitionKey("sales", "other", Interval("2026-11-01T10:00", "2026-11-01T11:00"))
        run = read(lambda: registry.lock(inside, register=True, holder="an-hour"))
        assert_told(run, "of provider 'other' was locked by an-hour")

    def test_declared_bad_by_a_person(self, registry: RegistryStore, read: Read) -> None:
        publish(registry)
        key = PartitionKey("sales", "loader", THE_DAY)
        run = read(lambda: registry.invalidate(key, reason="wrong\ncurrency", by="ann"))
        assert_told(run, "was declared bad by ann at 20", ": wrong currency")

    def test_one_of_several_sources(self, registry: RegistryStore, read: Read) -> None:
        publish(registry)
        publish(registry, "clicks", OCTOBER)
        requires = ["sales", {"source_name": "clicks", "start": "2026-10-01", "end": "2026-11-01"}]
        run = read(
            lambda: publish(registry, "clicks", Interval("2026-10-31", "2026-11-01")),
            requires=requires,
            start="2026-11-01",
            grain="day",
        )
        assert_told(run, f"{OCTOBER} of source 'clicks'")
        assert "of source 'sales'" not in str(run.error("unchanged"))

    def test_it_does_not_try_again(self, registry: RegistryStore, read: Read) -> None:
        publish(registry)
        run = read(lambda: publish(registry), check={"retries": 3})
        assert len(run.errors["unchanged"]) == 1

    def test_a_skip(self, registry: RegistryStore, read: Read) -> None:
        publish(registry)
        run = read(lambda: publish(registry), check={"on_changed": "skip"})
        assert run.states == {
            "wait": "success",
            "read_it": "success",
            "unchanged": "skipped",
            "use": "skipped",
        }

    def test_a_wrong_choice_is_an_import_error(self) -> None:
        with pytest.raises(InvalidInputError, match="'fail' or 'skip', not 'ask'"):
            PartitionUnchangedOperator(task_id="unchanged", answers={}, on_changed="ask")

    def test_a_source_that_is_gone(self, registry: RegistryStore, read: Read) -> None:
        publish(registry)
        answer = {
            "source_name": "gone",
            "start": "2026-11-01",
            "end": "2026-11-02",
            "is_ready": True,
            "as_of": 1,
        }
        assert isinstance(read(check={"answers": answer}).error("unchanged"), UnknownSourceError)

    def test_after_a_restored_backup(
        self, registry: RegistryStore, registry_url: str, read: Read, tmp_path: Path
    ) -> None:
        """The answer is from a part of the history that the backup does not have."""
        publish(registry)
        maintenance.back_up(registry_url, tmp_path / "backup.db")
        publish(registry)
        registry.close()

        def restore() -> None:
            for file in tmp_path.glob("registry.db*"):
                file.unlink()
            shutil.copy(tmp_path / "backup.db", tmp_path / "registry.db")

        assert_told(read(restore), "The history does not say how.", "restored from a backup")

    def test_after_the_history_was_pruned(
        self, registry: RegistryStore, registry_url: str, read: Read
    ) -> None:
        publish(registry)

        def rewrite_and_prune() -> None:
            publish(registry)
            publish(registry)
            assert list(maintenance.prune(registry_url, datetime.now(UTC)))

        run = read(rewrite_and_prune)
        assert_told(run, "Rewritten after event ", "The history does not say how.", "it was pruned")

    def test_a_long_history(
        self, registry: RegistryStore, read: Read, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("airflow_provider_partition_registry.runtime.rewriting.EVENTS_READ_AT_MOST", 2)
        publish(registry)

        def rewrite() -> None:
            publish(registry, interval=NEXT_DAY)
            publish(registry)

        assert_told(read(rewrite), "The next 2 events of its source do not say how.")

    def test_many_events_are_counted(self, registry: RegistryStore, read: Read) -> None:
        publish(registry)

        def rewrite() -> None:
            for _ in range(8):
                publish(registry)

        run = read(rewrite)
        assert_told(run, "\n  and 6 more events\n")

    def test_many_answers_are_counted(self, registry: RegistryStore, read: Read) -> None:
        publish(registry)
        answer = READY | {"as_of": registry.last_position()}
        run = read(lambda: publish(registry), check={"answers": [answer] * 12})
        assert_told(run, "\nAnd 2 more were rewritten.\n")
        assert str(run.error("unchanged")).count("Rewritten after event") == 10

    def test_a_registry_that_is_down(self, registry: RegistryStore, read: Read, connect: Connect) -> None:
        publish(registry)
        connect("postgresql://nobody@127.0.0.1:1/registry", conn_id="down", extra={"timeout": "1"})
        run = read(check={"partition_registry_conn_id": "down", "retries": 1, "retry_delay": timedelta(0)})
        assert len(run.errors["unchanged"]) == 2
        assert isinstance(run.error("unchanged"), StoreUnavailableError)
        assert "The Airflow connection 'down' leads there." in str(run.error("unchanged"))


class TestRunsThatAreRepeated:
    def test_a_reader_that_tries_again(
        self, registry: RegistryStore, new_dag: NewDag, run_dag: RunDag
    ) -> None:
        """Its first try may have read the former version, and kept a part of it."""
        publish(registry)
        tries: list[int] = []

        with new_dag() as dag:
            wait = PartitionReadinessSensor(task_id="wait", **DAY)

            @task(retries=1, retry_delay=timedelta(0))
            def read_it() -> None:
                tries.append(1)
                if len(tries) == 1:
                    publish(registry)
                    raise RuntimeError("out of memory")

            wait >> read_it() >> PartitionUnchangedOperator(task_id="unchanged", answers=wait.output)
        assert_told(run_dag(dag), "Clear wait")

    def test_what_is_cleared(
        self, registry: RegistryStore, read: Read, rerun: Rerun, rerun_alone: Rerun
    ) -> None:
        publish(registry)
        rewrites = [lambda: publish(registry)]
        run = read(lambda: rewrites.pop()() if rewrites else None)
        assert_told(run)

        assert_told(rerun_alone(run, "unchanged"), "Clear wait")
        assert_told(rerun(run, "read_it"), "Clear wait")
        again = rerun(run, "wait")
        assert again.state == "success", again.errors


class TestMapped:
    @pytest.fixture
    def both_days(self, registry: RegistryStore) -> None:
        publish(registry)
        publish(registry, interval=NEXT_DAY)

    @pytest.mark.usefixtures("both_days")
    @pytest.mark.parametrize("rewritten", [THE_DAY, NEXT_DAY])
    def test_each_answer_by_itself(
        self, rewritten: Interval, registry: RegistryStore, new_dag: NewDag, run_dag: RunDag
    ) -> None:
        with new_dag() as dag:
            wait = a_mapped_sensor()

            @task
            def read_it() -> None:
                publish(registry, interval=rewritten)

            unchanged = PartitionUnchangedOperator.partial(task_id="unchanged").expand(answers=wait.output)
            wait >> read_it() >> unchanged
        run = run_dag(dag)
        states = [run.states[f"unchanged[{index}]"] for index in (0, 1)]
        assert states == (["failed", "success"] if rewritten == THE_DAY else ["success", "failed"])
        (error,) = (errors[-1] for name, errors in run.errors.items() if name.startswith("unchanged"))
        assert str(rewritten) in str(error)

    @pytest.mark.usefixtures("both_days")
    def test_all_answers_together(self, registry: RegistryStore, new_dag: NewDag, run_dag: RunDag) -> None:
        with new_dag() as dag:
            wait = a_mapped_sensor()

            @task
            def read_it() -> None:
                publish(registry, interval=NEXT_DAY)

            wait >> read_it() >> PartitionUnchangedOperator(task_id="unchanged", answers=wait.output)
        assert_told(run_dag(dag), f"{NEXT_DAY} of source 'sales'", "Clear wait")

    @pytest.mark.usefixtures("both_days")
    def test_results_of_several_sensors(self, new_dag: NewDag, run_dag: RunDag) -> None:
        with new_dag() as dag:
            waits = [PartitionReadinessSensor(task_id=name, **DAY) for name in ("one", "two")]
            PartitionUnchangedOperator(task_id="unchanged", answers=[each.output for each in waits])
        assert run_dag(dag).state == "success"


def a_mapped_sensor() -> Any:
    return PartitionReadinessSensor.partial(task_id="wait", source_name="sales", grain="day").expand(
        start=["2026-11-01", "2026-11-02"]
    )


class TestWhatIsNoAnswer:
    @pytest.mark.parametrize(
        ("answers", "told"),
        [
            (None, "do_xcom_push=False"),
            ([], "do_xcom_push=False"),
            ("{{ ti.xcom_pull('wait') }}", "render_template_as_native_obj"),
            ({"source_name": "sales"}, "has no 'start'"),
            (17, "An answer has source_name, start"),
        ],
    )
    def test_is_refused(self, answers: Any, told: str, registry: RegistryStore, read: Read) -> None:
        publish(registry)
        run = read(check={"answers": answers})
        assert isinstance(run.error("unchanged"), InvalidInputError)
        assert told in str(run.error("unchanged"))

    def test_a_sensor_without_result(self, registry: RegistryStore, read: Read) -> None:
        publish(registry)
        run = read(do_xcom_push=False, **DAY)
        assert isinstance(run.error("unchanged"), InvalidInputError)

    def test_a_template_that_renders_to_the_object(
        self, registry: RegistryStore, new_dag: NewDag, run_dag: RunDag
    ) -> None:
        publish(registry)
        with new_dag(render_template_as_native_obj=True) as dag:
            wait = PartitionReadinessSensor(task_id="wait", **DAY)
            wait >> PartitionUnchangedOperator(task_id="unchanged", answers="{{ ti.xcom_pull('wait') }}")
        assert run_dag(dag).state == "success"


def test_by_way_of_a_service(place: Place, new_dag: NewDag, run_dag: RunDag) -> None:
    def publish_there() -> None:
        (loader,) = [
            each.name for each in place.store.list_providers(place.source).items if "loader" in each.name
        ]
        key = PartitionKey(place.source, loader, THE_DAY)
        place.store.lock(key, register=True, holder="the-night-job")
        place.store.unlock(key, holder="the-night-job")

    publish_there()
    with new_dag() as dag:
        wait = PartitionReadinessSensor(task_id="wait", **place.day)

        @task
        def read_it() -> None:
            publish_there()

        wait >> read_it() >> PartitionUnchangedOperator(task_id="unchanged", answers=wait.output)
    assert_told(run_dag(dag), "was published by the-night-job")
