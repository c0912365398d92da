"""People are told why data is not ready and which locks are held for long, in every way in which Airflow tells."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import task

from airflow_provider_partition_registry.domain.errors import InvalidInputError
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.notifications.partition_registry import (
    PartitionLockHeldNotifier,
    PartitionNotReadyNotifier,
)
from airflow_provider_partition_registry.sensors.partition_registry import PartitionReadinessSensor
from airflow_provider_partition_registry.store.contract import RegistryStore
from testbed.mail import MailServer, text_of
from tests.airflow.hearing import HERE, LETTER, Hearing, as_in_triggerer, hear, hear_in_loop, heard, lock
from tests.airflow.registries import DAY, THE_DAY, Connect, publish
from tests.airflow.runs import NewDag, RunDag
from tests.airflow.versions import IS_AIRFLOW_3


def called(notifier: Any, **context: Any) -> None:
    """Call a notifier as Airflow does for a callback, but without a run."""
    notifier({"dag": None, **context})


class TestCallbacksOfTasks:
    """A sensor's time is over, and people are told what is missing now."""

    @pytest.fixture
    def wait_in_vain(self, new_dag: NewDag, run_dag: RunDag) -> Callable[..., Any]:
        def run(notifier: Any, **of_dag: Any) -> Any:
            with new_dag(params={"day": "2026-11-01"}, **of_dag) as dag:
                PartitionReadinessSensor(
                    task_id="wait", timeout=0.2, poke_interval=0.1, on_failure_callback=notifier, **DAY
                )
            return run_dag(dag)

        return run

    @pytest.mark.parametrize("teller", [hear, Hearing(), hear_in_loop, {"path": f"{HERE}.hear"}])
    def test_all_reasons(
        self, teller: Any, registry: RegistryStore, wait_in_vain: Callable[..., Any]
    ) -> None:
        lock(registry)
        wait_in_vain(PartitionNotReadyNotifier(tell=teller, **DAY))
        (told,) = heard
        assert told.startswith(f"Not ready: {THE_DAY} of source 'sales':\n  ")
        assert "is being written by the-night-job" in told

    def test_templates(self, registry: RegistryStore, wait_in_vain: Callable[..., Any]) -> None:
        notifier = PartitionNotReadyNotifier(
            tell=Hearing("{{ dag.dag_id }}: {{ explanation }}"),
            requires=["sales", {"source_name": "{{ 'clicks' }}"}],
            start="{{ params.day }}",
            grain="day",
        )
        run = wait_in_vain(notifier)
        (told,) = heard
        assert told.startswith(f"{run.dag.dag_id}: Not ready: {THE_DAY} of source 'sales'")
        assert f"\nNot ready: {THE_DAY} of source 'clicks'" in told

    def test_a_letter(
        self, registry: RegistryStore, mail: MailServer, wait_in_vain: Callable[..., Any]
    ) -> None:
        from airflow.providers.smtp.notifications.smtp import SmtpNotifier

        lock(registry)
        wait_in_vain(PartitionNotReadyNotifier(tell=SmtpNotifier(**LETTER), **DAY))
        (letter,) = mail.received
        assert letter["Subject"] == f"Late: Not ready: {THE_DAY} of source 'sales':"
        assert "is being written by the-night-job" in text_of(letter)

    def test_the_run_has_the_interval(
        self, registry: RegistryStore, new_dag: NewDag, run_dag: RunDag, daily_timetable: Any
    ) -> None:
        with new_dag(schedule=daily_timetable) as dag:

            @task(on_failure_callback=PartitionNotReadyNotifier(tell=hear, source_name="sales"))
            def fail() -> None:
                raise RuntimeError("too late")

            fail()
        run_dag(dag, logical_date=datetime(2026, 11, 2, tzinfo=UTC))
        (told,) = heard
        assert told.startswith(f"Not ready: {THE_DAY} of source 'sales'")

    def test_nobody_is_told_if_it_is_ready(self, registry: RegistryStore) -> None:
        publish(registry)
        called(PartitionNotReadyNotifier(tell=hear, **DAY))
        assert heard == []

    def test_without_anybody_to_tell_it_is_logged(
        self, registry: RegistryStore, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
    ) -> None:
        called(PartitionNotReadyNotifier(**DAY))
        assert "nobody has published" in caplog.text + capsys.readouterr().out

    def test_one_notifier_for_many_runs(self, registry: RegistryStore) -> None:
        """The one that sends renders its own fields for good, when it is called."""
        notifier = PartitionNotReadyNotifier(tell=Hearing(), **DAY)
        called(notifier)
        lock(registry)
        called(notifier)
        assert ["nobody" in told for told in heard] == [True, False]


class TestAlertsAreNeverSilent:
    @pytest.mark.parametrize("notifier", [PartitionNotReadyNotifier, PartitionLockHeldNotifier])
    @pytest.mark.parametrize(
        ("conn_id", "told"),
        [
            ("nowhere", "AIRFLOW_CONN_NOWHERE"),
            ("down", "The Airflow connection 'down' leads there."),
            ("{{ 1 // 0 }}", "A template cannot be rendered: ZeroDivisionError"),
        ],
    )
    def test_when_the_registry_cannot_be_asked(
        self, notifier: Any, conn_id: str, told: str, connect: Connect
    ) -> None:
        connect("postgresql://nobody@127.0.0.1:1/registry", conn_id="down", extra={"timeout": "1"})
        about = DAY if notifier is PartitionNotReadyNotifier else {"longer_than": 60}
        for_loop = notifier(tell=Hearing(), partition_registry_conn_id=conn_id, **about)
        called(notifier(tell=hear, partition_registry_conn_id=conn_id, **about))
        asyncio.run(as_in_triggerer(for_loop))
        assert len(heard) == 2
        for each in heard:
            assert " is not known. " in each
            assert told in each

    @pytest.mark.parametrize(
        ("question", "told"),
        [
            ({"source_name": "typo"}, "'typo' is not registered"),
            ({"source_name": None}, "Give either source_name or requires"),
            ({"start": None, "end": None}, "This run has no data interval"),
            ({"start": ""}, "start is empty"),
        ],
    )
    def test_when_it_asks_something_wrong(
        self, question: dict[str, Any], told: str, registry: RegistryStore
    ) -> None:
        called(PartitionNotReadyNotifier(tell=hear, **DAY | question))
        (each,) = heard
        assert told in each


@pytest.mark.parametrize("teller", ["a.path", {"class": "a.path"}, {"path": "a.b", "args": []}, 5])
def test_who_cannot_be_told_is_an_import_error(teller: Any) -> None:
    with pytest.raises(InvalidInputError, match="Who is told is a notifier"):
        PartitionNotReadyNotifier(tell=teller, **DAY)


@pytest.mark.skipif(IS_AIRFLOW_3, reason="Airflow 3 has no SLAs")
def test_when_a_run_is_late_on_airflow_2(registry: RegistryStore) -> None:
    """Airflow calls ``sla_miss_callback`` with five arguments, of which one lists the tasks that are late."""
    slas = [SimpleNamespace(execution_date=datetime(2026, 11, 1, tzinfo=UTC))]
    about = {"source_name": "sales", "start": "{{ slas[0].execution_date }}", "grain": "day"}
    PartitionNotReadyNotifier(tell=hear, **about)(None, "wait", "", slas, [])
    (told,) = heard
    assert told.startswith(f"Not ready: {THE_DAY} of source 'sales'")


class TestHeldLocks:
    def test_by_whom_and_since_when(self, registry: RegistryStore) -> None:
        lock(registry, lease=timedelta(hours=1))
        called(PartitionLockHeldNotifier(longer_than=0, tell=hear))
        (told,) = heard
        assert told.startswith(
            f"Locked for longer than 0:00:00:\n  source 'sales': {THE_DAY} of provider 'loader' is being written by "
            f"the-night-job since 20"
        )
        assert ", lease until 20" in told

    def test_nobody_is_told_if_there_are_none(self, registry: RegistryStore) -> None:
        lock(registry)
        called(PartitionLockHeldNotifier(longer_than=timedelta(hours=1), tell=hear))
        assert heard == []

    def test_only_those_that_are_asked_for(self, registry: RegistryStore) -> None:
        lock(registry, "loader", "sales")
        lock(registry, "other", "clicks")
        called(PartitionLockHeldNotifier(longer_than=0, source_name="{{ 'cli' ~ 'cks' }}", tell=hear))
        called(PartitionLockHeldNotifier(longer_than=0, provider_name="loader", tell=hear))
        called(
            PartitionLockHeldNotifier(longer_than=0, source_name="sales", provider_name="other", tell=hear)
        )
        assert ["source 'clicks'" in told for told in heard] == [True, False]
        assert ["source 'sales'" in told for told in heard] == [False, True]

    def test_one_whose_lease_is_over(self, registry: RegistryStore) -> None:
        import time

        lock(registry, lease=timedelta(milliseconds=10))
        time.sleep(0.05)
        called(PartitionLockHeldNotifier(longer_than=0, tell=hear))
        (told,) = heard
        assert "was left locked by the-night-job" in told

    def test_many(self, registry: RegistryStore) -> None:
        from airflow_provider_partition_registry.domain.intervals import Interval

        for hour in range(12):
            key = PartitionKey(
                "sales", "loader", Interval(f"2026-11-01T{hour:02}:00", f"2026-11-01T{hour + 1:02}:00")
            )
            registry.lock(key, register=True)
        called(PartitionLockHeldNotifier(longer_than=0, tell=hear))
        (told,) = heard
        assert told.endswith("\n  and 2 more locks")
