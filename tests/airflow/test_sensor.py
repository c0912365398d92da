"""The sensor in its three modes: the same answers, the same errors."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout, task

from airflow_provider_partition_registry.domain.errors import StoreUnavailableError, UnknownSourceError
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.hooks.partition_registry import PartitionRegistryHook
from airflow_provider_partition_registry.runtime.errors import UpstreamFailedError
from airflow_provider_partition_registry.sensors import partition_registry as sensors
from airflow_provider_partition_registry.sensors.partition_registry import PartitionReadinessSensor
from airflow_provider_partition_registry.store.contract import RegistryStore
from tests.airflow.registries import DAY, THE_DAY, Connect, Later, fail, publish
from tests.airflow.runs import NewDag, Rerun, Run, RunDag, a_context

Wait = Callable[..., Run]

MODES: dict[str, dict[str, Any]] = {
    "poke": {"mode": "poke"},
    "reschedule": {"mode": "reschedule"},
    "deferrable": {"deferrable": True},
}
RESULT = {
    "source_name": "sales",
    "start": "2026-11-01T00:00:00Z",
    "end": "2026-11-02T00:00:00Z",
    "is_ready": True,
}


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> dict[str, Any]:
    return MODES[request.param]


@pytest.fixture
def wait(new_dag: NewDag, run_dag: RunDag, mode: dict[str, Any]) -> Wait:
    """Runs a DAG with one sensor."""

    def run(**arguments: Any) -> Run:
        with new_dag() as dag:
            PartitionReadinessSensor(
                task_id="wait", **{"poke_interval": 0.1, "timeout": 60} | mode | arguments
            )
        return run_dag(dag)

    return run


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The questions that workers have asked."""
    asked: list[Any] = []
    ask = PartitionRegistryHook.check_readiness_many

    def listen(self: PartitionRegistryHook, questions: Any) -> Any:
        asked.append(questions)
        return ask(self, questions)

    monkeypatch.setattr(PartitionRegistryHook, "check_readiness_many", listen)
    return asked


class TestReady:
    def test_at_once(self, registry: RegistryStore, wait: Wait, asked: list[Any]) -> None:
        publish(registry)
        run = wait(poke_interval=3600, **DAY)
        assert run.state == "success", run.errors
        assert run.results["wait"] == RESULT | {"as_of": registry.events().items[-1].position}
        assert len(asked) == 1

    def test_later(self, registry: RegistryStore, wait: Wait, later: Later) -> None:
        later(1.0, publish, registry)
        run = wait(**DAY)
        assert run.state == "success", run.errors
        assert run.results["wait"] == RESULT | {"as_of": registry.events().items[-1].position}

    def test_of_several_sources(self, registry: RegistryStore, wait: Wait, later: Later) -> None:
        october = Interval("2026-10-01", "2026-11-01")
        publish(registry)
        later(0.5, publish, registry, "clicks", october)
        requires = ["sales", {"source_name": "clicks", "start": "2026-10-01", "end": "2026-11-01"}]
        run = wait(requires=requires, start="2026-11-01", grain="day")
        assert run.state == "success", run.errors
        assert [each["source_name"] for each in run.results["wait"]] == ["sales", "clicks"]
        assert [each["start"][:10] for each in run.results["wait"]] == ["2026-11-01", "2026-10-01"]

    def test_a_list_of_one_is_a_list(self, registry: RegistryStore, wait: Wait) -> None:
        publish(registry)
        run = wait(requires=["sales"], start=DAY["start"], end=DAY["end"])
        assert [each["source_name"] for each in run.results["wait"]] == ["sales"]


class TestTimeout:
    def test_tells_what_was_missing(self, registry: RegistryStore, wait: Wait) -> None:
        registry.lock(PartitionKey("sales", "other", THE_DAY), register=True, holder="the-night-job")
        run = wait(timeout=0.5, **DAY)
        assert run.state == "failed"
        assert isinstance(run.error("wait"), AirflowSensorTimeout)
        assert "the-night-job" in str(run.error("wait"))

    def test_skips_with_soft_fail(self, registry: RegistryStore, wait: Wait) -> None:
        run = wait(timeout=0.5, soft_fail=True, **DAY)
        assert run.states == {"wait": "skipped"}


class TestUnknownSource:
    @pytest.mark.parametrize("soft_fail", [False, True])
    def test_fails_at_once(
        self, soft_fail: bool, registry: RegistryStore, wait: Wait, asked: list[Any]
    ) -> None:
        run = wait(soft_fail=soft_fail, **DAY | {"source_name": "typo"})
        assert run.state == "failed"
        assert isinstance(run.error("wait"), UnknownSourceError)
        assert len(asked) == 1

    def test_waited_for(self, registry: RegistryStore, wait: Wait, later: Later) -> None:
        def appear() -> None:
            registry.register_provider("newcomer", registry.register_source("new", "a-team").access_token)
            publish(registry, "new", provider="newcomer")

        later(1.0, appear)
        run = wait(on_missing_source="wait", **DAY | {"source_name": "new"})
        assert run.state == "success", run.errors


class TestMisconfiguration:
    """A wrong setting fails at once, even with ``soft_fail``."""

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            ({"partition_registry_conn_id": "nowhere"}, "AIRFLOW_CONN_NOWHERE"),
            ({"partition_registry_conn_id": "empty"}, "host is empty"),
            ({"start": "2026-11-02", "end": "2026-11-01"}, "is empty"),
            ({"end": None}, "set end as well"),
            ({"requires": ["sales"]}, "not both"),
            ({"published_after": "{{ '' }}"}, "published_after is empty"),
            ({"source_name": None, "requires": "['sales']"}, "render_template_as_native_obj"),
            ({"source_name": None, "requires": [{"source": "sales"}]}, "A requirement is"),
        ],
    )
    def test_fails_at_once_and_says_why(
        self, arguments: dict[str, Any], told: str, registry: RegistryStore, connect: Connect, wait: Wait
    ) -> None:
        publish(registry)
        connect("", conn_id="empty")
        run = wait(soft_fail=True, **DAY | arguments)
        assert run.states == {"wait": "failed"}
        assert told in str(run.error("wait"))


class TestFailedUpstream:
    def test_fails(self, registry: RegistryStore, wait: Wait) -> None:
        fail(registry)
        run = wait(on_failed="fail", **DAY)
        assert run.state == "failed"
        assert isinstance(run.error("wait"), UpstreamFailedError)
        assert "disk full" in str(run.error("wait"))

    def test_fails_later(self, registry: RegistryStore, wait: Wait, later: Later) -> None:
        later(1.0, fail, registry)
        run = wait(on_failed="fail", **DAY)
        assert run.state == "failed"
        assert isinstance(run.error("wait"), UpstreamFailedError)

    def test_skips_with_soft_fail(self, registry: RegistryStore, wait: Wait) -> None:
        fail(registry)
        assert wait(on_failed="fail", soft_fail=True, **DAY).states == {"wait": "skipped"}

    def test_waits_for_its_repair(self, registry: RegistryStore, wait: Wait, later: Later) -> None:
        fail(registry)
        later(1.0, publish, registry)
        assert wait(**DAY).state == "success"


def test_a_retry_asks_again(registry: RegistryStore, wait: Wait) -> None:
    fail(registry)

    def repair(_: Any) -> None:
        publish(registry)

    run = wait(on_failed="fail", retries=1, retry_delay=timedelta(0), on_retry_callback=repair, **DAY)
    assert run.state == "success", run.errors
    assert run.results["wait"]["is_ready"]


def test_a_clear_asks_again(registry: RegistryStore, wait: Wait, rerun: Rerun) -> None:
    publish(registry)
    run = wait(**DAY)
    publish(registry)
    again = rerun(run, "wait")
    assert again.state == "success", again.errors
    assert again.results["wait"]["as_of"] > run.results["wait"]["as_of"]


def test_mapped(
    registry: RegistryStore, new_dag: NewDag, run_dag: RunDag, mode: dict[str, Any], later: Later
) -> None:
    publish(registry)
    later(1.0, publish, registry, "sales", Interval("2026-11-02", "2026-11-03"))
    with new_dag() as dag:
        PartitionReadinessSensor.partial(
            task_id="wait", source_name="sales", grain="day", poke_interval=0.1, timeout=60, **mode
        ).expand(start=["2026-11-01", "2026-11-02"])
    run = run_dag(dag)
    assert run.state == "success", run.errors
    assert [run.results[f"wait[{index}]"]["start"][:10] for index in (0, 1)] == ["2026-11-01", "2026-11-02"]


def test_published_after(registry: RegistryStore, wait: Wait) -> None:
    publish(registry)
    assert wait(published_after="2020-01-01", **DAY).state == "success"
    late = wait(published_after="2100-01-01", timeout=0.5, **DAY)
    assert "not known to have been published since 2100-01-01" in str(late.error("wait"))


def test_parameters_from_another_task(
    registry: RegistryStore, new_dag: NewDag, run_dag: RunDag, mode: dict[str, Any]
) -> None:
    publish(registry)

    @task
    def the_day() -> str:
        return "2026-11-01"

    with new_dag() as dag:
        PartitionReadinessSensor(task_id="wait", source_name="sales", start=the_day(), grain="day", **mode)
    run = run_dag(dag)
    assert run.state == "success", run.errors
    assert run.results["wait"]["start"] == "2026-11-01T00:00:00Z"


class TestTheLog:
    @pytest.fixture
    def sensor(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> PartitionReadinessSensor:
        logger = logging.getLogger("sensor")
        monkeypatch.setattr(PartitionReadinessSensor, "log", logger)
        caplog.set_level(logging.INFO, logger="sensor")
        return PartitionReadinessSensor(task_id="wait", **DAY)

    @staticmethod
    def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
        ours = "sensors/partition_registry.py"  # Airflow's own base class uses the same logger
        return [each.getMessage() for each in caplog.records if each.pathname.endswith(ours)]

    def test_says_what_is_missing_only_when_it_changes(
        self, registry: RegistryStore, sensor: PartitionReadinessSensor, caplog: pytest.LogCaptureFixture
    ) -> None:
        for _ in range(3):
            assert not sensor.poke(a_context())
        registry.lock(PartitionKey("sales", "loader", THE_DAY), register=True, holder="the-night-job")
        for _ in range(3):
            assert not sensor.poke(a_context())
        missing, locked = self.lines(caplog)
        assert "nobody has published [2026-11-01T00:00:00Z, 2026-11-02T00:00:00Z)" in missing
        assert "the-night-job" in locked

    @pytest.mark.parametrize("mode", ["reschedule"], indirect=True)
    def test_rescheduled_processes_remember_what_was_said(
        self,
        registry: RegistryStore,
        wait: Wait,
        asked: list[Any],
        rerun: Rerun,
        sensor: PartitionReadinessSensor,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        run = wait(timeout=2, **DAY)
        (missing,) = self.lines(caplog)
        assert "nobody has published" in missing
        assert len(asked) > 2
        rerun(run, "wait")
        assert self.lines(caplog) == [missing] * 2  # another try has a log of its own

    def test_a_later_process_tells_what_has_changed_since_an_earlier_one(
        self, registry: RegistryStore, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kept: list[str] = []
        monkeypatch.setattr(sensors, "keep_note", lambda _, text: kept.append(text))
        monkeypatch.setattr(sensors, "read_note", lambda _: kept[-1] if kept else "")
        monkeypatch.setattr(PartitionReadinessSensor, "log", logging.getLogger("sensor"))
        caplog.set_level(logging.INFO, logger="sensor")

        def poke() -> None:
            PartitionReadinessSensor(task_id="wait", mode="reschedule", **DAY).poke(a_context())

        poke()
        poke()
        registry.lock(PartitionKey("sales", "loader", THE_DAY), register=True, holder="the-night-job")
        poke()
        poke()
        missing, locked = self.lines(caplog)
        assert "nobody has published" in missing
        assert locked.startswith("Still not ready:")
        assert "is being written by the-night-job" in locked
        assert "nobody has published" not in locked

    def test_a_registry_that_is_down_is_waited_for(
        self,
        registry: RegistryStore,
        sensor: PartitionReadinessSensor,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def down(*_: Any) -> None:
            raise StoreUnavailableError("connection refused")

        with monkeypatch.context() as patch:
            patch.setattr(PartitionRegistryHook, "check_readiness_many", down)
            assert [bool(sensor.poke(a_context())) for _ in range(3)] == [False] * 3
        publish(registry)
        assert sensor.poke(a_context()).xcom_value["is_ready"]
        leads = "The Airflow connection 'partition_registry_default' leads there."
        assert self.lines(caplog) == [f"Still waiting. connection refused {leads}"]
