"""The triggers by themselves: one wait, one event."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.triggers.base import TaskSuccessEvent

from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.domain.questions import Question
from airflow_provider_partition_registry.domain.waiting import explain_missing
from airflow_provider_partition_registry.runtime import connections
from airflow_provider_partition_registry.runtime.errors import TIMEOUT_MARGIN
from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.triggers import partition_registry as triggers
from airflow_provider_partition_registry.triggers.partition_registry import (
    PartitionLockTrigger,
    PartitionReadinessTrigger,
)
from tests.airflow.registries import DAY, PROVIDERS, THE_DAY, Connect, fail, publish
from tests.airflow.runs import event_of

CONN = {"partition_registry_conn_id": "partition_registry_default"}
WAIT = CONN | DAY | {"poll_interval": 0.1}
LOCK = WAIT | {"provider_name": "loader", "holder": "me"}


def soon(seconds: float = 0.5) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        each.getMessage() for each in caplog.records if (each.name, each.levelname) == ("trigger", "WARNING")
    ]


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (PartitionReadinessTrigger, CONN | DAY),
        (
            PartitionReadinessTrigger,
            CONN
            | {
                "requires": [
                    "sales",
                    {"source_name": "clicks", "start": "2026-10-01", "published_after": None},
                ],
                "start": "{{ ds }}",
                "grain": 3600.0,
                "timezone": "Europe/Paris",
                "on_failed": "fail",
                "on_missing_source": "wait",
                "poll_interval": 5.0,
                "deadline": "2026-11-01T00:00:00+00:00",
                "ends_task": True,
                "pushes_result": False,
            },
        ),
        (PartitionLockTrigger, LOCK | {"exclusive": True, "deadline": "2026-11-01T00:00:00+00:00"}),
    ],
)
def test_serialization(kind: type, arguments: dict[str, Any], trigger_from_row: Callable[..., Any]) -> None:
    path, stored = kind(**arguments).serialize()
    assert json.loads(json.dumps(stored)) == stored
    assert arguments.items() <= stored.items()
    again = trigger_from_row(path, stored)
    assert type(again) is kind
    assert again.serialize() == (path, stored)


class TestReadiness:
    @pytest.mark.parametrize("poll_interval", [0.1, 3600])
    def test_ready_at_once(self, poll_interval: float, registry: RegistryStore) -> None:
        publish(registry)
        event = event_of(PartitionReadinessTrigger(**WAIT | {"poll_interval": poll_interval}))
        assert event.payload["status"] == "ready"
        assert event.payload["result"]["source_name"] == "sales"
        json.dumps(event.payload)

    def test_ready_later(self, registry: RegistryStore) -> None:
        event = event_of(PartitionReadinessTrigger(**WAIT), lambda: publish(registry))
        assert event.payload["result"]["is_ready"]

    def test_several_sources(self, registry: RegistryStore) -> None:
        publish(registry)
        requires = {"source_name": None, "requires": ["sales", "clicks"]}
        event = event_of(PartitionReadinessTrigger(**WAIT | requires), lambda: publish(registry, "clicks"))
        assert [each["source_name"] for each in event.payload["result"]] == ["sales", "clicks"]

    def test_the_first_question_is_asked_however_late_it_is(self, registry: RegistryStore) -> None:
        over = soon(-60)
        misspelt = event_of(PartitionReadinessTrigger(**WAIT | {"source_name": "typo"}, deadline=over))
        assert misspelt.payload["code"] == "unknown_source"
        missing = event_of(PartitionReadinessTrigger(**WAIT, deadline=over))
        assert (missing.payload["status"], "nobody has published" in missing.payload["message"]) == (
            "timeout",
            True,
        )
        publish(registry)
        assert event_of(PartitionReadinessTrigger(**WAIT, deadline=over)).payload["status"] == "ready"

    def test_a_task_is_not_resumed_while_its_worker_finishes_the_deferral(
        self, registry: RegistryStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        publish(registry)

        def seconds_until_event(**arguments: Any) -> float:
            began = time.monotonic()
            event_of(PartitionReadinessTrigger(**WAIT, **arguments))
            return time.monotonic() - began

        monkeypatch.setattr(triggers, "RESUME_NOT_BEFORE", 60.0)
        seconds_until_event()  # the task started in the triggerer
        seconds_until_event(deadline=soon(600), ends_task=True)
        monkeypatch.setattr(triggers, "RESUME_NOT_BEFORE", 1.0)
        assert seconds_until_event(deadline=soon(600)) >= 1.0

    def test_ending_the_task(self, registry: RegistryStore) -> None:
        publish(registry)
        assert isinstance(event_of(PartitionReadinessTrigger(**WAIT, ends_task=True)), TaskSuccessEvent)

    @pytest.mark.parametrize("pushes_result", [True, False])
    def test_ending_the_task_with_its_result(
        self, pushes_result: bool, registry: RegistryStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pushed: list[Any] = []

        async def push(_: Any, result: Any) -> None:
            pushed.append(result)

        monkeypatch.setattr(triggers, "push_result", push)
        publish(registry)
        trigger = PartitionReadinessTrigger(**WAIT, ends_task=True, pushes_result=pushes_result)
        trigger.task_instance = SimpleNamespace(task_id="wait")
        assert isinstance(event_of(trigger), TaskSuccessEvent)
        as_elsewhere = event_of(PartitionReadinessTrigger(**WAIT)).payload["result"]
        assert pushed == ([as_elsewhere] if pushes_result else [])

    def test_a_deadline_ends_the_wait(self, registry: RegistryStore) -> None:
        registry.lock(PartitionKey("sales", "loader", THE_DAY), register=True, holder="the-night-job")
        event = event_of(PartitionReadinessTrigger(**WAIT, deadline=soon()))
        assert event.payload["status"] == "timeout"
        assert "the-night-job" in event.payload["message"]

    def test_airflows_own_time_out_ends_the_wait(self, registry: RegistryStore) -> None:
        trigger = PartitionReadinessTrigger(**WAIT)
        trigger.timeout_after = datetime.now(UTC) + timedelta(seconds=TIMEOUT_MARGIN + 0.5)
        assert event_of(trigger).payload["status"] == "timeout"

    def test_unknown_source(self, registry: RegistryStore) -> None:
        event = event_of(PartitionReadinessTrigger(**WAIT | {"source_name": "typo"}))
        assert (event.payload["status"], event.payload["code"]) == ("failed", "unknown_source")
        assert "'typo'" in event.payload["message"]

    def test_failed_upstream(self, registry: RegistryStore) -> None:
        event = event_of(PartitionReadinessTrigger(**WAIT, on_failed="fail"), lambda: fail(registry))
        assert (event.payload["status"], event.payload["code"]) == ("failed", "upstream_failed")
        assert "disk full" in event.payload["message"]

    @pytest.mark.usefixtures("airflow_home")
    def test_no_connection(self) -> None:
        event = event_of(PartitionReadinessTrigger(**WAIT | {"partition_registry_conn_id": "nowhere"}))
        assert (event.payload["status"], event.payload["code"]) == ("failed", "no_connection")
        assert "AIRFLOW_CONN_NOWHERE" in event.payload["message"]

    def test_a_sqlite_registry_causes_a_warning_once_in_a_process(
        self, registry: RegistryStore, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connections, "_warned_of", set())
        publish(registry)
        for _ in range(3):
            assert event_of(PartitionReadinessTrigger(**WAIT)).payload["status"] == "ready"
        assert caplog.text.count("SQLite file, which the processes of one host share") == 1

    def test_what_the_worker_has_told_is_not_told_again(
        self, registry: RegistryStore, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(PartitionReadinessTrigger, "log", logging.getLogger("trigger"))
        caplog.set_level(logging.INFO, logger="trigger")
        told = explain_missing(registry.check_readiness_many([Question("sales", THE_DAY)]))
        trigger = PartitionReadinessTrigger(**WAIT, deadline=soon(60), told=told)
        assert event_of(trigger, lambda: publish(registry)).payload["status"] == "ready"
        assert [each.getMessage() for each in caplog.records if each.name == "trigger"] == ["Ready."]

    def test_its_log_says_where_to_look(
        self, registry: RegistryStore, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://emea.example.com/airflow")
        monkeypatch.setattr(PartitionReadinessTrigger, "log", logging.getLogger("trigger"))
        caplog.set_level(logging.INFO, logger="trigger")
        event_of(PartitionReadinessTrigger(**WAIT), lambda: publish(registry))
        missing, ready = (each.getMessage() for each in caplog.records if each.name == "trigger")
        assert missing.splitlines()[-1].startswith("Timeline: https://emea.example.com/airflow/")
        assert ready == "Ready."

    @pytest.mark.postgres
    def test_a_postgresql_registry_causes_no_warning(
        self, postgres_registry: RegistryStore, caplog: pytest.LogCaptureFixture
    ) -> None:
        publish(postgres_registry)
        assert event_of(PartitionReadinessTrigger(**WAIT)).payload["status"] == "ready"
        assert "SQLite" not in caplog.text

    def test_nothing_to_wait_for(self, registry: RegistryStore) -> None:
        event = event_of(PartitionReadinessTrigger(**CONN, source_name="sales"))
        assert (event.payload["status"], event.payload["code"]) == ("failed", "invalid_interval")

    def test_a_registry_that_is_down(
        self, connect: Connect, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(PartitionReadinessTrigger, "log", logging.getLogger("trigger"))
        connect("127.0.0.1", port=1, schema="registry", password="geheim", login="me")
        event = event_of(PartitionReadinessTrigger(**WAIT, deadline=soon(2)))
        assert event.payload["status"] == "timeout"
        assert "does not respond" in event.payload["message"]
        assert "geheim" not in event.payload["message"] + caplog.text
        assert len(warnings(caplog)) == 1


class TestLock:
    def test_nobody_is_in_the_way(self, registry: RegistryStore) -> None:
        publish(registry)
        registry.lock(PartitionKey("sales", PROVIDERS[1], THE_DAY), register=True, holder="somebody")
        deadline = soon(600)
        event = event_of(PartitionLockTrigger(**LOCK, deadline=deadline))
        assert event.payload == {"status": "try_again", "deadline": deadline}

    def test_my_own_lock_is_not_in_the_way(self, registry: RegistryStore) -> None:
        registry.lock(PartitionKey("sales", "loader", THE_DAY), register=True, holder="me")
        assert event_of(PartitionLockTrigger(**LOCK))

    @pytest.mark.parametrize("end", ["unlock", "fail"])
    def test_until_it_is_released(self, end: str, registry: RegistryStore) -> None:
        key = PartitionKey("sales", "loader", THE_DAY)
        registry.lock(key, register=True, holder="somebody")
        release = {
            "unlock": lambda: registry.unlock(key, holder="somebody"),
            "fail": lambda: registry.fail(key, holder="somebody", reason="disk full"),
        }
        assert event_of(PartitionLockTrigger(**LOCK), release[end])

    def test_until_its_lease_is_over(self, registry: RegistryStore) -> None:
        registry.lock(
            PartitionKey("sales", "loader", THE_DAY),
            register=True,
            holder="somebody",
            lease=timedelta(seconds=2),
        )
        assert event_of(PartitionLockTrigger(**LOCK), lambda: None)

    def test_exclusive(self, registry: RegistryStore) -> None:
        registry.lock(PartitionKey("sales", "other", THE_DAY), register=True, holder="somebody")
        release = lambda: registry.unlock(PartitionKey("sales", "other", THE_DAY), holder="somebody")  # noqa: E731
        assert event_of(PartitionLockTrigger(**LOCK, exclusive=True), release)

    def test_a_deadline_ends_the_wait(self, registry: RegistryStore) -> None:
        registry.lock(PartitionKey("sales", "loader", THE_DAY), register=True, holder="somebody")
        deadline = soon()
        assert event_of(PartitionLockTrigger(**LOCK, deadline=deadline)).payload["deadline"] == deadline

    def test_a_registry_that_is_down(
        self,
        connect: Connect,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setattr(PartitionLockTrigger, "log", logging.getLogger("trigger"))
        connect("127.0.0.1", port=1, schema="registry")
        event = event_of(PartitionLockTrigger(**LOCK, deadline=soon(2)))
        assert event.payload["status"] == "try_again"
        assert len(warnings(caplog)) == 1

    @pytest.mark.usefixtures("airflow_home")
    def test_no_connection(self) -> None:
        event = event_of(PartitionLockTrigger(**LOCK | {"partition_registry_conn_id": "nowhere"}))
        assert event.payload["status"] == "failed"
        assert "AIRFLOW_CONN_NOWHERE" in event.payload["message"]
