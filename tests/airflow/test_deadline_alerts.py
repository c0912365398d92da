"""Notifiers in a triggerer, and for deadline alerts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from airflow_provider_partition_registry.notifications.partition_registry import (
    PartitionLockHeldNotifier,
    PartitionNotReadyNotifier,
)
from airflow_provider_partition_registry.store.contract import RegistryStore
from testbed.mail import MailServer, text_of
from tests.airflow.hearing import (
    HERE,
    LETTER,
    SMTP_NOTIFIER,
    Hearing,
    HearingInLoop,
    as_in_triggerer,
    hear,
    heard,
    lock,
)
from tests.airflow.registries import DAY, THE_DAY, publish
from tests.airflow.runs import NewDag
from tests.airflow.services import Place
from tests.airflow.versions import VERSION


class TestInTheTriggerer:
    @pytest.mark.parametrize(
        "teller",
        [
            hear,
            Hearing(),
            *([HearingInLoop()] if VERSION >= (3, 1) else []),
            {"path": f"{HERE}.hear", "kwargs": {"prefix": ""}},
            {"path": f"{HERE}.hear_in_loop"},
            {"path": f"{HERE}.Hearing", "kwargs": {"text": "{{ explanation }}"}},
        ],
    )
    def test_everybody_can_be_told(self, teller: Any, registry: RegistryStore) -> None:
        lock(registry)
        asyncio.run(as_in_triggerer(PartitionNotReadyNotifier(tell=teller, **DAY)))
        (told,) = heard
        assert "is being written by the-night-job" in told

    def test_nobody_is_told_if_it_is_ready(self, registry: RegistryStore) -> None:
        publish(registry)
        asyncio.run(as_in_triggerer(PartitionNotReadyNotifier(tell=hear, **DAY)))
        assert heard == []

    def test_by_way_of_a_service(self, place: Place) -> None:
        asyncio.run(as_in_triggerer(PartitionNotReadyNotifier(tell=hear, **place.day)))
        (told,) = heard
        assert "nobody has published" in told

    def test_the_loop_goes_on_meanwhile(
        self, registry: RegistryStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A slow registry holds up only this alert."""
        import time

        def slowly(*_: Any) -> str:
            time.sleep(0.5)
            return "slow"

        monkeypatch.setattr(PartitionNotReadyNotifier, "explain", slowly)

        async def both() -> list[float]:
            beats = []
            alert = asyncio.create_task(as_in_triggerer(PartitionNotReadyNotifier(tell=hear, **DAY)))
            while not alert.done():
                beats.append(asyncio.get_running_loop().time())
                await asyncio.sleep(0.02)
            return beats

        beats = asyncio.run(both())
        assert heard == ["slow"]
        assert max(later - sooner for sooner, later in pairwise(beats)) < 0.3


@pytest.mark.skipif(VERSION < (3, 1), reason="Airflow has deadline alerts since 3.1")
class TestDeadlineAlerts:
    """A deadline's callback goes through Airflow's database as JSON, and is then called by Airflow's own trigger."""

    @pytest.fixture
    def missed(self, new_dag: NewDag, miss_deadline: Callable[..., Any]) -> Callable[..., list[Any]]:
        from airflow.sdk import AsyncCallback, DeadlineAlert, DeadlineReference

        def miss(kind: Any, run: dict[str, Any] | None = None, **arguments: Any) -> list[Any]:
            alert = DeadlineAlert(
                reference=DeadlineReference.DAGRUN_QUEUED_AT,
                interval=timedelta(hours=2),
                callback=AsyncCallback(kind, kwargs=arguments),
            )
            with new_dag(dag_id="a_dag", deadline=alert) as dag:
                pass
            return miss_deadline(dag, **(run or {}))

        return miss

    def test_not_ready(self, registry: RegistryStore, missed: Callable[..., list[Any]]) -> None:
        lock(registry)
        events = missed(
            PartitionNotReadyNotifier,
            source_name="sales",
            start="{{ dag_run.logical_date }}",
            grain="day",
            run={"logical_date": "2026-11-01T00:00:00Z"},
            tell={
                "path": f"{HERE}.HearingInLoop",
                "kwargs": {
                    "text": "{{ dag_run.dag_run_id }} of {{ dag_run.dag_id }} is late. {{ explanation }}"
                },
            },
        )
        assert [each["state"] for each in events] == ["running", "success"], events
        (told,) = heard
        assert told.startswith(f"a_run of a_dag is late. Not ready: {THE_DAY} of source 'sales':")

    def test_a_letter(
        self, registry: RegistryStore, mail: MailServer, missed: Callable[..., list[Any]]
    ) -> None:
        lock(registry)
        missed(PartitionNotReadyNotifier, tell={"path": SMTP_NOTIFIER, "kwargs": LETTER}, **DAY)
        (letter,) = mail.received
        assert "is being written by the-night-job" in text_of(letter)

    @pytest.mark.parametrize(
        ("run", "told"),
        [
            (
                {"data_interval_start": "2026-11-01T00:00:00Z", "data_interval_end": "2026-11-02T00:00:00Z"},
                f"Not ready: {THE_DAY}",
            ),
            ({"partition_date": "2026-11-01T00:00:00Z"}, f"Not ready: {THE_DAY}"),
            ({}, "This run has no data interval"),
        ],
    )
    def test_the_interval_of_the_run(
        self, run: dict[str, Any], told: str, registry: RegistryStore, missed: Callable[..., list[Any]]
    ) -> None:
        grain = "day" if "partition_date" in run else None
        teller = {"path": f"{HERE}.hear"}
        missed(PartitionNotReadyNotifier, source_name="sales", grain=grain, run=run, tell=teller)
        (each,) = heard
        assert told in each

    @pytest.mark.parametrize("longer_than", [0, timedelta(0)])
    def test_held_locks(
        self, longer_than: Any, registry: RegistryStore, missed: Callable[..., list[Any]]
    ) -> None:
        lock(registry)
        missed(PartitionLockHeldNotifier, longer_than=longer_than, tell={"path": f"{HERE}.hear"})
        (told,) = heard
        assert "the-night-job" in told

    def test_in_an_executor(self, registry: RegistryStore) -> None:
        """Airflow makes the notifier with the context, and calls it with the same."""
        import structlog
        from airflow.sdk.execution_time.callback_supervisor import execute_callback

        path = f"{PartitionNotReadyNotifier.__module__}.{PartitionNotReadyNotifier.__name__}"
        kwargs = {**DAY, "tell": {"path": f"{HERE}.hear"}, "context": {"dag_run": {"run_id": "a_run"}}}
        assert execute_callback(path, kwargs, "", None, structlog.get_logger()) == (True, None)
        assert len(heard) == 1
