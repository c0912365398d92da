"""Waiting for conditions over several sources: the same in every mode of the sensor, and across its processes."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout, task

from airflow_provider_partition_registry.domain.errors import InvalidInputError, UnknownSourceError
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.runtime.compat import CAN_START_FROM_TRIGGER
from airflow_provider_partition_registry.runtime.errors import TIMEOUT_MARGIN, UpstreamFailedError
from airflow_provider_partition_registry.sensors.partition_registry import PartitionReadinessSensor
from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.triggers.partition_registry import PartitionReadinessTrigger
from tests.airflow.registries import Later, fail, publish
from tests.airflow.runs import NewDag, Run, RunDag, event_of

Wait = Callable[..., Run]

DAY = {"start": "2026-11-01", "end": "2026-11-02"}
ALMOST = Interval("2026-11-01", "2026-11-01T23:00Z")
THE_DAY_BEFORE = Interval("2026-10-31", "2026-11-01")
CONN = {"partition_registry_conn_id": "partition_registry_default"}

MODES: dict[str, dict[str, Any]] = {
    "poke": {"mode": "poke"},
    "reschedule": {"mode": "reschedule"},
    "deferrable": {"deferrable": True},
}


@pytest.fixture(params=MODES)
def wait(request: pytest.FixtureRequest, new_dag: NewDag, run_dag: RunDag) -> Wait:
    """Runs a DAG with one sensor, in each mode."""

    def run(condition: Any, **arguments: Any) -> Run:
        defaults = {"poke_interval": 0.2, "timeout": 60} | MODES[request.param] | DAY
        with new_dag() as dag:
            PartitionReadinessSensor(task_id="wait", condition=condition, **defaults | arguments)
        return run_dag(dag)

    return run


def found(run: Run) -> list[dict[str, Any]]:
    """The result, without positions in the history."""
    assert run.state == "success", run.errors
    return [{name: each[name] for name in each if name != "as_of"} for each in run.results["wait"]]


def ready(source: str, start: str = "2026-11-01", end: str = "2026-11-02") -> dict[str, Any]:
    return {
        "source_name": source,
        "start": f"{start}T00:00:00Z",
        "end": f"{end}T00:00:00Z",
        "is_ready": True,
        "coverage": 1.0,
        "missing": [],
    }


class TestResults:
    def test_all(self, registry: RegistryStore, wait: Wait, later: Later) -> None:
        publish(registry)
        publish(registry, interval=THE_DAY_BEFORE)
        later(1.0, publish, registry, "clicks")
        run = wait("all(sales, clicks, sales[-1 day])")
        assert found(run) == [
            ready("sales"),
            ready("clicks"),
            ready("sales", "2026-10-31", "2026-11-01"),
        ]
        positions = {event.source_name: event.position for event in registry.events().items}
        assert [each["as_of"] for each in run.results["wait"]] == [
            positions[each["source_name"]] for each in run.results["wait"]
        ]

    def test_an_alternative_after_some_time(self, registry: RegistryStore, wait: Wait) -> None:
        publish(registry, "clicks")
        began_at = datetime.now(UTC)
        assert found(wait("sales else clicks after 2s")) == [ready("clicks")]
        assert datetime.now(UTC) - began_at >= timedelta(seconds=2)

    def test_an_alternative_after_a_time_of_day(self, registry: RegistryStore, wait: Wait) -> None:
        """Long ago, as the interval is: it does not matter when the wait begins."""
        publish(registry, "clicks")
        assert found(wait("sales else clicks after 08:00")) == [ready("clicks")]

    def test_partial_coverage(self, registry: RegistryStore, wait: Wait) -> None:
        publish(registry, interval=ALMOST)
        (answer,) = found(wait("sales else 95% after 1s"))
        assert answer == ready("sales") | {
            "is_ready": False,
            "coverage": 23 / 24,
            "missing": [{"start": "2026-11-01T23:00:00Z", "end": "2026-11-02T00:00:00Z"}],
        }

    def test_of_a_template(self, registry: RegistryStore, wait: Wait) -> None:
        publish(registry, "clicks")
        assert found(wait("any({{ ['sales', 'clicks'] | join(', ') }})")) == [ready("clicks")]

    def test_of_another_task(
        self, registry: RegistryStore, new_dag: NewDag, run_dag: RunDag, request: pytest.FixtureRequest
    ) -> None:
        publish(registry)

        @task
        def which() -> str:
            return "all(sales)"

        with new_dag() as dag:
            PartitionReadinessSensor(task_id="wait", condition=which(), deferrable=True, **DAY)
        assert found(run_dag(dag)) == [ready("sales")]

    def test_mapped(self, registry: RegistryStore, new_dag: NewDag, run_dag: RunDag) -> None:
        publish(registry, "clicks")
        with new_dag() as dag:
            PartitionReadinessSensor.partial(
                task_id="wait", poke_interval=0.2, timeout=60, deferrable=True, **DAY
            ).expand(condition=["any(sales, clicks)", "sales else clicks after 1s"])
        run = run_dag(dag)
        assert run.state == "success", run.errors
        for index in (0, 1):
            assert [each["source_name"] for each in run.results[f"wait[{index}]"]] == ["clicks"]

    def test_published_after_counts_for_all_parts(self, registry: RegistryStore, wait: Wait) -> None:
        publish(registry, "clicks")
        run = wait("any(sales, clicks)", published_after="2100-01-01", timeout=0.5)
        assert "not known to have been published since 2100-01-01" in str(run.error("wait"))


class TestEndings:
    def test_a_time_out_tells_what_was_missing_and_what_would_do(
        self, registry: RegistryStore, wait: Wait
    ) -> None:
        run = wait("sales else clicks after 2h", timeout=0.5)
        assert isinstance(run.error("wait"), AirflowSensorTimeout)
        told = str(run.error("wait"))
        assert "of source 'sales':" in told
        assert "on [2026-11-01T00:00:00Z, 2026-11-02T00:00:00Z) of source 'clicks' is enough." in told

    def test_an_unknown_source_fails_at_once(self, registry: RegistryStore, wait: Wait) -> None:
        publish(registry)
        run = wait("any(sales, typo)")
        assert isinstance(run.error("wait"), UnknownSourceError)

    def test_failed_writes(self, registry: RegistryStore, wait: Wait, later: Later) -> None:
        fail(registry)
        later(1.0, fail, registry, "clicks")
        run = wait("any(sales, clicks)", on_failed="fail")
        assert isinstance(run.error("wait"), UpstreamFailedError)
        assert "disk full" in str(run.error("wait"))

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            ({"condition": "{{ '' }}"}, "condition is empty"),
            ({"condition": "all(sales{{ '' }}"}, "cannot be read at its end"),
            ({"condition": "sales", "end": "2026-10-01"}, "is empty"),
            ({"condition": "{{ 'sales' }}", "source_name": "clicks"}, "neither source_name nor requires"),
            ({"condition": "sales[-1 day]", "timezone": "Mars/Olympus"}, "Mars/Olympus"),
            ({"condition": "sales", "published_after": "{{ '' }}"}, "published_after is empty"),
        ],
    )
    def test_mistakes_known_only_in_a_run(
        self, arguments: dict[str, Any], told: str, registry: RegistryStore, wait: Wait
    ) -> None:
        publish(registry)
        run = wait(soft_fail=True, **arguments)
        assert run.states == {"wait": "failed"}
        assert told in str(run.error("wait"))


class TestParsing:
    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            ({"condition": "all(sales, stock[-1 dya])"}, "at 'dya' (character 21)"),
            ({"condition": ""}, "at its end"),
            ({"condition": "sales", "source_name": "clicks"}, "neither source_name nor requires"),
            ({"condition": "sales", "requires": ["clicks"]}, "neither source_name nor requires"),
            ({"condition": ["sales"]}, "A condition is text"),
        ],
    )
    def test_mistakes_are_found_when_the_dag_is_parsed(self, arguments: dict[str, Any], told: str) -> None:
        with pytest.raises(InvalidInputError) as caught:
            PartitionReadinessSensor(task_id="wait", **arguments)
        assert told in str(caught.value)

    @pytest.mark.parametrize("deferrable", [False, True])
    def test_what_former_versions_do_not_know_is_stored_only_if_it_is_used(self, deferrable: bool) -> None:
        plain = PartitionReadinessSensor(task_id="wait", source_name="sales", deferrable=deferrable)
        new = {"condition", "timeout"}
        if deferrable and CAN_START_FROM_TRIGGER:
            assert not new & plain.start_trigger_args.trigger_kwargs.keys()
        _, stored = PartitionReadinessTrigger(**CONN, source_name="sales").serialize()
        assert not new & stored.keys()


class TestTrigger:
    def wait_since(self, began_at: datetime, condition: str, **arguments: Any) -> PartitionReadinessTrigger:
        """A trigger whose sensor waits for an hour."""
        deadline = began_at + timedelta(hours=1)
        return PartitionReadinessTrigger(
            **CONN, **DAY, condition=condition, deadline=deadline.isoformat(), timeout=3600, **arguments
        )

    def test_another_triggerer_goes_on_with_the_same_wait(
        self, registry: RegistryStore, trigger_from_row: Callable[..., Any]
    ) -> None:
        publish(registry, "clicks")
        trigger = self.wait_since(datetime.now(UTC) - timedelta(minutes=30), "sales else clicks after 30m")
        path, stored = trigger.serialize()
        assert json.loads(json.dumps(stored)) == stored
        event = event_of(trigger_from_row(path, stored))
        assert [each["source_name"] for each in event.payload["result"]] == ["clicks"]

    def test_does_not_count_the_time_before(self, registry: RegistryStore) -> None:
        publish(registry, "clicks")
        trigger = self.wait_since(datetime.now(UTC) - timedelta(minutes=29), "sales else clicks after 30m")
        event = event_of(trigger, lambda: publish(registry))
        assert [each["source_name"] for each in event.payload["result"]] == ["sales"]

    def test_a_wait_that_began_without_a_worker_knows_when(self, registry: RegistryStore) -> None:
        publish(registry, "clicks")
        trigger = PartitionReadinessTrigger(
            **CONN, **DAY, condition="sales else clicks after 50m", timeout=3600
        )
        trigger.timeout_after = datetime.now(UTC) + timedelta(minutes=10, seconds=TIMEOUT_MARGIN - 1)
        event = event_of(trigger)
        assert [each["source_name"] for each in event.payload["result"]] == ["clicks"]

    def test_starts_in_the_triggerer(
        self, registry: RegistryStore, new_dag: NewDag, start_in_triggerer: Callable[..., Any]
    ) -> None:
        publish(registry, "clicks")
        with new_dag() as dag:
            PartitionReadinessSensor(
                task_id="wait",
                condition="{{ dag_run.conf['final'] }} else clicks after 50m",
                timeout=3600,
                deferrable=True,
                **DAY,
            )
        trigger = start_in_triggerer(dag, "wait", conf={"final": "sales"})
        assert trigger.condition == "sales else clicks after 50m"
        trigger.timeout_after = datetime.now(UTC) + timedelta(minutes=10, seconds=TIMEOUT_MARGIN - 1)
        trigger.ends_task = False
        event = event_of(trigger)
        assert [each["source_name"] for each in event.payload["result"]] == ["clicks"]

    def test_a_moment_after_the_deadline_does_not_come(self, registry: RegistryStore) -> None:
        publish(registry, "clicks")
        began_at = datetime.now(UTC) - timedelta(hours=1) + timedelta(seconds=1)
        event = event_of(self.wait_since(began_at, "sales else clicks after 2h"))
        assert event.payload["status"] == "timeout"
        assert "of source 'clicks' is enough" in event.payload["message"]

    def test_the_log_tells_what_was_missing(
        self, registry: RegistryStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        publish(registry, interval=ALMOST)
        monkeypatch.setattr(PartitionReadinessTrigger, "log", logging.getLogger("trigger"))
        caplog.set_level(logging.INFO, logger="trigger")
        event_of(self.wait_since(datetime.now(UTC), "sales else 95%"))
        assert "Partly ready: 95.83 % of [2026-11-01T00:00:00Z" in caplog.text
        assert "nobody has published [2026-11-01T23:00:00Z, 2026-11-02T00:00:00Z)" in caplog.text
