"""A wrong setting in a connection ends a wait; an outage does not. Both errors name the connection."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout

from airflow_provider_partition_registry.domain.errors import (
    HostNotFoundError,
    InvalidInputError,
    StoreUnavailableError,
)
from airflow_provider_partition_registry.hooks.partition_registry import PartitionRegistryHook
from airflow_provider_partition_registry.runtime.errors import WaitFailedError
from airflow_provider_partition_registry.sensors import partition_registry as sensors
from airflow_provider_partition_registry.sensors.partition_registry import PartitionReadinessSensor
from airflow_provider_partition_registry.store import resolving
from airflow_provider_partition_registry.triggers.partition_registry import (
    PartitionLockTrigger,
    PartitionReadinessTrigger,
)
from tests.airflow.registries import DAY, IN_CONNECTION, Connect
from tests.airflow.runs import NewDag, Run, RunDag, a_context, event_of

HOST = "registry.invalid"
CONN_ID = "the_registry"
HOMES = [f"postgresql://{HOST}:5432/registry", f"http://{HOST}:5498"]
MODES: list[dict[str, Any]] = [{"mode": "poke"}, {"mode": "reschedule"}, {"deferrable": True}]
ENDLESS = 7 * 24 * 3600.0  # seconds: a test that waits this long does not end

Lookups = Callable[[int], None]


@pytest.fixture(autouse=True)
def never_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolving, "_found", set())


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> Lookups:
    """Makes all look-ups of that host fail with this error number, whatever the network here says."""

    def let(number: int) -> None:
        look_up = socket.getaddrinfo

        def fail(host: Any, *arguments: Any, **options: Any) -> Any:
            if host in (HOST, HOST.encode()):
                raise socket.gaierror(number, "what the resolver says")
            return look_up(host, *arguments, **options)

        monkeypatch.setattr(socket, "getaddrinfo", fail)

    return let


@pytest.fixture(params=HOMES, ids=["postgres", "http"])
def connected(request: pytest.FixtureRequest, connect: Connect) -> str:
    connect(request.param, conn_id=CONN_ID, extra=IN_CONNECTION | {"timeout": 1})
    return request.param


def a_sensor(**arguments: Any) -> PartitionReadinessSensor:
    return PartitionReadinessSensor(
        task_id="wait", partition_registry_conn_id=CONN_ID, poke_interval=0.1, **DAY, **arguments
    )


class TestAHostThatNobodyKnows:
    @pytest.mark.parametrize("mode", MODES, ids=["poke", "reschedule", "deferrable"])
    def test_ends_a_wait_at_once(
        self, connected: str, lookups: Lookups, mode: dict[str, Any], new_dag: NewDag, run_dag: RunDag
    ) -> None:
        lookups(socket.EAI_NONAME)
        with new_dag() as dag:
            a_sensor(timeout=ENDLESS, **mode)
        error = run_dag(dag).error("wait")
        assert isinstance(error, (HostNotFoundError, WaitFailedError))
        assert f"There is no host '{HOST}'" in str(error)
        assert f"The Airflow connection '{CONN_ID}' leads there." in str(error)

    @pytest.mark.parametrize(
        "trigger",
        [
            PartitionReadinessTrigger(partition_registry_conn_id=CONN_ID, **DAY),
            PartitionLockTrigger(
                partition_registry_conn_id=CONN_ID, provider_name="loader", holder="me", **DAY
            ),
        ],
    )
    def test_ends_a_wait_in_the_triggerer(self, connected: str, lookups: Lookups, trigger: Any) -> None:
        lookups(socket.EAI_NONAME)
        event = event_of(trigger)
        assert event.payload["status"] == "failed"
        assert f"There is no host '{HOST}'" in event.payload["message"]
        assert f"The Airflow connection '{CONN_ID}' leads there." in event.payload["message"]

    def test_ends_a_wait_for_a_lock(
        self, connected: str, lookups: Lookups, run_lock: Callable[..., Run]
    ) -> None:
        lookups(socket.EAI_NONAME)
        options = {"on_conflict": "wait", "timeout": ENDLESS, "partition_registry_conn_id": CONN_ID}
        error = run_lock(**options).error("lock")
        assert isinstance(error, HostNotFoundError)
        assert f"The Airflow connection '{CONN_ID}' leads there." in str(error)

    def test_is_waited_for_if_it_was_known_before(self, connected: str, lookups: Lookups) -> None:
        lookups(socket.EAI_NONAME)
        resolving.remember_host(HOST)
        assert not a_sensor().poke(a_context())

    def test_is_waited_for_if_an_earlier_process_knew_it(
        self, connected: str, lookups: Lookups, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lookups(socket.EAI_NONAME)
        monkeypatch.setattr(sensors, "read_note", lambda _: "what was missing then")
        monkeypatch.setattr(sensors, "keep_note", lambda *_: None)
        assert not a_sensor(mode="reschedule").poke(a_context())

    @pytest.mark.parametrize("number", [socket.EAI_AGAIN, socket.EAI_NODATA])
    def test_is_waited_for_if_dns_does_not_answer(
        self, connected: str, lookups: Lookups, number: int
    ) -> None:
        lookups(number)
        assert not a_sensor().poke(a_context())


@pytest.mark.parametrize("scheme", ["postgresql", "http"])
def test_an_invalid_host_name_ends_a_wait_at_once(scheme: str, connect: Connect) -> None:
    connect(f"{scheme}://{'x' * 70}/registry", conn_id=CONN_ID)
    with pytest.raises(HostNotFoundError, match="Check the name"):
        a_sensor().poke(a_context())


def test_a_host_that_was_reached_is_known(postgres_registry: Any) -> None:
    postgres_registry.get_source("sales")
    assert {"127.0.0.1"} <= resolving._found


@pytest.mark.parametrize("mode", MODES, ids=["poke", "reschedule", "deferrable"])
def test_a_connection_of_another_type_ends_a_wait_at_once(
    connect: Connect, mode: dict[str, Any], new_dag: NewDag, run_dag: RunDag
) -> None:
    connect("www.example.com", conn_id=CONN_ID, conn_type="http")
    with new_dag() as dag:
        a_sensor(timeout=ENDLESS, **mode)
    error = run_dag(dag).error("wait")
    assert isinstance(error, (InvalidInputError, WaitFailedError))
    assert f"The Airflow connection '{CONN_ID}' cannot be used. Its type is 'http'" in str(error)


@pytest.mark.parametrize("home", ["postgresql://127.0.0.1:1/registry", "http://127.0.0.1:1"])
class TestAPortThatNobodyListensOn:
    @pytest.mark.parametrize("mode", MODES, ids=["poke", "reschedule", "deferrable"])
    def test_is_waited_for(
        self, home: str, connect: Connect, mode: dict[str, Any], new_dag: NewDag, run_dag: RunDag
    ) -> None:
        connect(home, conn_id=CONN_ID, extra={"timeout": 1})
        with new_dag() as dag:
            a_sensor(timeout=1.5, **mode)
        error = run_dag(dag).error("wait")
        assert isinstance(error, AirflowSensorTimeout)
        assert "does not respond" in str(error)
        assert f"The Airflow connection '{CONN_ID}' leads there." in str(error)
        assert "goes on" not in str(error)

    def test_is_an_outage_without_waiting(self, home: str, connect: Connect) -> None:
        connect(home, extra={"timeout": 1})
        with pytest.raises(StoreUnavailableError):
            PartitionRegistryHook().get_conn().list_sources()
