"""Links from tasks to the registry's timeline: where they lead, and when they are there."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from airflow.providers.common.compat.sdk import XCom
from airflow.providers_manager import ProvidersManager

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.links.partition_registry import (
    LINK,
    PartitionRegistryLink,
    store_link,
    store_link_from_trigger,
)
from airflow_provider_partition_registry.operators.partition_registry import PartitionRegisterOperator
from airflow_provider_partition_registry.operators.reading import (
    PartitionReadinessShortCircuitOperator,
    PartitionUnchangedOperator,
)
from airflow_provider_partition_registry.runtime import addresses
from airflow_provider_partition_registry.runtime.addresses import in_words, timeline_path
from airflow_provider_partition_registry.sensors.partition_registry import PartitionReadinessSensor
from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.triggers.partition_registry import PartitionReadinessTrigger
from tests.airflow.registries import DAY, THE_DAY, publish
from tests.airflow.runs import NewDag, RunDag, a_context, event_of
from tests.airflow.tasks import a_pair, write
from tests.airflow.versions import VERSION

WAIT = DAY | {"partition_registry_conn_id": "partition_registry_default"}
PAGE = "/partition-registry/partition_registry_default/source"
IN_NAVIGATION = "/plugin/partition-registry" if VERSION >= (3, 3) else ""


@pytest.fixture
def base_url(monkeypatch: pytest.MonkeyPatch) -> str:
    section = "API" if VERSION >= (3, 0) else "WEBSERVER"
    monkeypatch.setenv(f"AIRFLOW__{section}__BASE_URL", "https://emea.example.com/airflow")
    return "https://emea.example.com"


class TestAddresses:
    @pytest.mark.usefixtures("base_url")
    def test_they_lead_to_the_interval_and_what_is_around_it(self) -> None:
        parts = urlsplit(timeline_path("partition_registry_default", "shop/sales & more", THE_DAY))
        prefix = f"/airflow{IN_NAVIGATION}" if IN_NAVIGATION else ""
        assert parts.path == f"{prefix}/airflow{PAGE}"
        assert parse_qs(parts.query) == {
            "name": ["shop/sales & more"],
            "start": ["2026-11-01T00:00:00Z"],
            "end": ["2026-11-02T00:00:00Z"],
        }
        assert parse_qs(parts.fragment) == {"from": ["2026-10-31T12:00:00Z"], "to": ["2026-11-02T12:00:00Z"]}

    def test_the_first_and_the_last_instants_that_there_are(self) -> None:
        assert "from=0001" in timeline_path("a", "sales", Interval("0001-01-01", "9999-12-31"))

    def test_a_connection_s_name_cannot_lead_elsewhere(self) -> None:
        assert "/partition-registry/a%2F..%2F..%2Fb%3F/source" in timeline_path(
            "a/../../b?", "sales", THE_DAY
        )

    def test_logs_get_the_whole_address(self, base_url: str) -> None:
        assert in_words("/airflow/x") == f"Timeline: {base_url}/airflow/x"

    def test_without_an_address_of_its_own_there_is_none_for_logs(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(addresses, "base_url", lambda: "")
        assert in_words("/x") == ""
        assert timeline_path("a", "sales", THE_DAY).startswith(
            f"{IN_NAVIGATION}/partition-registry/a/source?"
        )


def link_of(run: Any, task_id: str) -> str:
    key = SimpleNamespace(dag_id=run.dag.dag_id, task_id=task_id, run_id=run.run_id, map_index=-1)
    if VERSION >= (3, 0):
        from airflow.serialization.definitions.operatorlink import XComOperatorLink

        link = XComOperatorLink(PartitionRegistryLink.name, PartitionRegistryLink().xcom_key)
        return link.get_link(None, ti_key=key)
    return PartitionRegistryLink().get_link(None, ti_key=key)


def test_every_task_on_partitions_has_one(registry: RegistryStore, new_dag: NewDag, run_dag: RunDag) -> None:
    with new_dag() as dag:
        lock, unlock = a_pair()
        register = PartitionRegisterOperator(task_id="register", **DAY)
        wait = PartitionReadinessSensor(task_id="wait", **DAY)
        ask = PartitionReadinessShortCircuitOperator(task_id="ask", **DAY)
        check = PartitionUnchangedOperator(task_id="check", answers=wait.output)
        register >> lock >> write() >> unlock >> wait >> ask >> check
    run = run_dag(dag)
    assert run.state == "success", run.errors
    path = timeline_path("partition_registry_default", "sales", THE_DAY)
    assert {link_of(run, each) for each in ("register", "lock", "unlock", "wait", "ask", "check")} == {path}
    assert link_of(run, "write") == ""


def test_one_that_waits_has_it_already(registry: RegistryStore) -> None:
    context, stored = a_context(), []
    context["ti"].xcom_push = lambda key, value: stored.append((key, value))
    sensor = PartitionReadinessSensor(task_id="wait", **DAY)
    for _ in range(3):
        assert not sensor.poke(context)
    assert stored == [(LINK, timeline_path("partition_registry_default", "sales", THE_DAY))]
    publish(registry)
    assert sensor.poke(context)


def test_a_link_that_cannot_be_stored_harms_no_task(
    registry: RegistryStore, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(**_: Any) -> None:
        raise ConnectionError("the API server is gone")

    publish(registry)
    context = a_context()
    context["ti"].xcom_push = fail
    assert PartitionReadinessSensor(task_id="wait", **DAY).poke(context)
    assert "could not be stored" in caplog.text


def test_an_airflow_without_pages_has_no_links(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "HAS_PAGES", False)
    assert store_link({}, "a", "sales", THE_DAY) == ""


@pytest.mark.skipif(VERSION < (3, 3), reason="tasks start in the triggerer on Airflow 3.3 and later")
class TestFromTheTriggerer:
    ti = SimpleNamespace(dag_id="a_dag", task_id="wait", run_id="a_run", map_index=None)

    def test_it_is_stored_for_the_task(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stored: list[Any] = []

        async def aset(key: str, value: Any, **of: Any) -> None:
            stored.append((key, value, of))

        monkeypatch.setattr(XCom, "aset", aset)
        asyncio.run(store_link_from_trigger(self.ti, "/a/path"))
        assert stored == [(LINK, "/a/path", vars(self.ti) | {"map_index": -1})]

    def test_if_that_fails_the_wait_goes_on(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def aset(*_: Any, **__: Any) -> None:
            raise ConnectionError("the supervisor is gone")

        monkeypatch.setattr(XCom, "aset", aset)
        caplog.set_level(logging.WARNING)
        asyncio.run(store_link_from_trigger(self.ti, "/a/path"))
        assert "could not be stored" in caplog.text

    def test_a_wait_does_not_wait_for_it(
        self, registry: RegistryStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Links of a thousand tasks that start at once go one by one through Airflow's supervisor."""
        publish(registry)
        order: list[str] = []

        async def aset(key: str, value: Any, **_: Any) -> None:
            await asyncio.sleep(1)
            order.append(key)

        trigger = PartitionReadinessTrigger(**WAIT)
        trigger.task_instance = self.ti
        take = trigger._take

        def take_and_note(*arguments: Any) -> Any:
            order.append("answered")
            return take(*arguments)

        monkeypatch.setattr(XCom, "aset", aset)
        monkeypatch.setattr(trigger, "_take", take_and_note)
        assert event_of(trigger).payload["status"] == "ready"
        assert order == ["answered", LINK]

    def test_a_wait_that_is_cancelled_leaves_nothing_behind(
        self, registry: RegistryStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def never(*_: Any, **__: Any) -> None:
            await asyncio.Event().wait()

        async def cancel_soon() -> None:
            trigger = PartitionReadinessTrigger(**WAIT)
            trigger.task_instance = self.ti
            running = asyncio.ensure_future(anext(trigger.run()))
            await asyncio.sleep(1)
            assert [each for each in asyncio.all_tasks() if "store_link" in repr(each)]
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(running, 5)
            assert not [each for each in asyncio.all_tasks() if "store_link" in repr(each)]

        monkeypatch.setattr(XCom, "aset", never)
        asyncio.run(cancel_soon())


def test_airflow_2_knows_the_class() -> None:
    name = f"{PartitionRegistryLink.__module__}.{PartitionRegistryLink.__qualname__}"
    assert name in ProvidersManager().extra_links_class_names
