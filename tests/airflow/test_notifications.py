"""People are told why data is not ready and which locks are held for long, in every way in which Airflow tells."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import BaseNotifier, task

from airflow_provider_partition_registry.domain.errors import InvalidInputError
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.notifications.partition_registry import (
    PartitionLockHeldNotifier,
    PartitionNotReadyNotifier,
)
from airflow_provider_partition_registry.sensors.partition_registry import PartitionReadinessSensor
from airflow_provider_partition_registry.store.contract import RegistryStore
from testbed.mail import MailServer, text_of
from tests.airflow.registries import DAY, THE_DAY, Connect, publish
from tests.airflow.runs import NewDag, RunDag
from tests.airflow.services import Place
from tests.airflow.versions import IS_AIRFLOW_3, VERSION

SMTP_NOTIFIER = "airflow.providers.smtp.notifications.smtp.SmtpNotifier"
LETTER = {
    "to": "team@example.com",
    "from_email": "airflow@example.com",
    "subject": "Late: {{ explanation.splitlines()[0] }}",
    "html_content": "<pre>{{ explanation | e }}</pre>",
    "smtp_conn_id": "mail",
}

heard: list[str] = []


def hear(context: Any, prefix: str = "") -> None:
    heard.append(prefix + context["explanation"])


async def hear_in_loop(context: Any) -> None:
    await asyncio.sleep(0)
    hear(context)


class Hearing(BaseNotifier):
    """As notifiers of providers are: it renders a text and sends it."""

    template_fields = ("text",)

    def __init__(self, text: str = "{{ explanation }}", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.text = text

    def notify(self, context: Any) -> None:
        heard.append(self.text)


class HearingInLoop(Hearing):
    def notify(self, context: Any) -> None:
        raise AssertionError("in a triggerer it is to be awaited")

    async def async_notify(self, context: Any) -> None:
        await asyncio.sleep(0)
        heard.append(self.text)


@pytest.fixture(autouse=True)
def nothing_heard_yet() -> None:
    heard.clear()


@pytest.fixture
def mail(monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    """A mail server, and Airflow's connection to it."""
    with MailServer() as server:
        monkeypatch.setenv("AIRFLOW_CONN_MAIL", server.connection)
        yield server


def lock(registry: RegistryStore, provider: str = "loader", source: str = "sales", **how: Any) -> None:
    registry.lock(PartitionKey(source, provider, THE_DAY), register=True, holder="the-night-job", **how)


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

    @pytest.mark.parametrize("teller", [hear, Hearing(), hear_in_loop, {"path": f"{__name__}.hear"}])
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


async def as_in_triggerer(notifier: Any, context: Any = None) -> None:
    """Have a notifier called as Airflow's triggerer does; Airflow 2 never does."""
    context = {"dag": None} if context is None else context
    notifier.render_template_fields(context)
    await notifier.async_notify(context)


class TestInTheTriggerer:
    @pytest.mark.parametrize(
        "teller",
        [
            hear,
            Hearing(),
            *([HearingInLoop()] if VERSION >= (3, 1) else []),
            {"path": f"{__name__}.hear", "kwargs": {"prefix": ""}},
            {"path": f"{__name__}.hear_in_loop"},
            {"path": f"{__name__}.Hearing", "kwargs": {"text": "{{ explanation }}"}},
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

        def miss(kind: Any, **arguments: Any) -> list[Any]:
            alert = DeadlineAlert(
                reference=DeadlineReference.DAGRUN_QUEUED_AT,
                interval=timedelta(hours=2),
                callback=AsyncCallback(kind, kwargs=arguments),
            )
            with new_dag(dag_id="a_dag", deadline=alert) as dag:
                pass
            return miss_deadline(dag)

        return miss

    def test_not_ready(self, registry: RegistryStore, missed: Callable[..., list[Any]]) -> None:
        lock(registry)
        events = missed(
            PartitionNotReadyNotifier,
            source_name="sales",
            start="{{ dag_run.logical_date }}",
            grain="day",
            tell={
                "path": f"{__name__}.HearingInLoop",
                "kwargs": {"text": "{{ dag_run.run_id }} of {{ dag_run.dag_id }} is late. {{ explanation }}"},
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

    def test_the_interval_of_the_run(self, registry: RegistryStore, missed: Callable[..., list[Any]]) -> None:
        missed(PartitionNotReadyNotifier, source_name="sales", tell={"path": f"{__name__}.hear"})
        (told,) = heard
        assert "This run has no data interval" in told

    @pytest.mark.parametrize("longer_than", [0, timedelta(0)])
    def test_held_locks(
        self, longer_than: Any, registry: RegistryStore, missed: Callable[..., list[Any]]
    ) -> None:
        lock(registry)
        missed(PartitionLockHeldNotifier, longer_than=longer_than, tell={"path": f"{__name__}.hear"})
        (told,) = heard
        assert "the-night-job" in told

    def test_in_an_executor(self, registry: RegistryStore) -> None:
        """Airflow makes the notifier with the context, and calls it with the same."""
        import structlog
        from airflow.sdk.execution_time.callback_supervisor import execute_callback

        path = f"{PartitionNotReadyNotifier.__module__}.{PartitionNotReadyNotifier.__name__}"
        kwargs = {**DAY, "tell": {"path": f"{__name__}.hear"}, "context": {"dag_run": {"run_id": "a_run"}}}
        assert execute_callback(path, kwargs, "", None, structlog.get_logger()) == (True, None)
        assert len(heard) == 1


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
