"""Register, lock, work and unlock in DAG runs, as far as single tasks are concerned."""

# ruff: noqa: DTZ001 - naive datetimes are what users write, and taken as UTC

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import task

from airflow_provider_partition_registry.domain.errors import (
    NotLockHolderError,
    PartitionLockedError,
    UnknownPartitionError,
)
from airflow_provider_partition_registry.domain.intervals import Interval, format_instant
from airflow_provider_partition_registry.domain.models import PartitionKey, PartitionState
from airflow_provider_partition_registry.operators.partition_registry import (
    PartitionLockOperator,
    PartitionRegisterOperator,
    PartitionUnlockOperator,
)
from airflow_provider_partition_registry.runtime.identity import AmbiguousInstanceError
from airflow_provider_partition_registry.sensors.partition_registry import PartitionReadinessSensor
from airflow_provider_partition_registry.store.contract import RegistryStore
from tests.airflow.registries import DAY, THE_DAY, Connect, publish, the_partition
from tests.airflow.runs import NewDag, Run, RunDag, a_context
from tests.airflow.tasks import a_pair, write

LockWriteUnlock = Callable[..., Run]


def check_published(run: Run, registry: RegistryStore, provider: str = "loader") -> None:
    assert run.state == "success", run.errors
    assert set(run.states.values()) == {"success"}
    partition = the_partition(registry, provider=provider)
    assert partition.state is PartitionState.READY
    assert partition.lock.holder.identity.endswith(f"/{run.dag.dag_id}/{run.run_id}/lock")


def test_lock_write_unlock(registry: RegistryStore, lock_write_unlock: LockWriteUnlock) -> None:
    run = lock_write_unlock()
    check_published(run, registry)
    partition = the_partition(registry)
    address = {
        "source_name": "sales",
        "provider_name": "loader",
        "start": "2026-11-01T00:00:00Z",
        "end": "2026-11-02T00:00:00Z",
        "generation": 1,
        "holder": partition.lock.holder.identity,
        "expires_at": None,
    }
    assert run.results == {"lock": address | {"state": "locked"}, "unlock": address | {"state": "ready"}}
    assert partition.lock.holder.identity.startswith("here/")
    assert partition.lock.holder.details["try_number"] == "1"
    assert partition.lock.holder.details["host"]


@pytest.mark.postgres
def test_on_postgresql(postgres_registry: RegistryStore, lock_write_unlock: LockWriteUnlock) -> None:
    check_published(lock_write_unlock(), postgres_registry)


def test_templates(
    registry: RegistryStore, registry_url: str, lock_write_unlock: LockWriteUnlock, connect: Connect
) -> None:
    connect("sqlite:////nowhere/registry.db")
    connect(registry_url, conn_id="eu_registry", extra={"instance": "eu"})
    partition = {
        "source_name": "{{ params.source }}",
        "provider_name": "{{ params.who }}",
        "start": "{{ params.day }}",
        "end": "{{ macros.ds_add(params.day, 1) }}",
        "partition_registry_conn_id": "{{ params.region }}_registry",
    }
    params = {"source": "sales", "who": "other", "day": "2026-11-01", "region": "eu"}
    check_published(lock_write_unlock(partition, params=params), registry, "other")


def test_templates_see_the_configuration_of_the_run(
    registry: RegistryStore, lock_write_unlock: LockWriteUnlock
) -> None:
    partition = {"source_name": "sales", "start": "{{ params.day }}", "grain": "day"}
    run = lock_write_unlock(partition, params={"day": "2026-01-01"}, run_conf={"day": "2026-11-01"})
    check_published(run, registry)


@pytest.mark.parametrize(
    "partition",
    [
        {"start": datetime(2026, 11, 1), "end": datetime(2026, 11, 2)},
        {"start": "2026-11-01T00:00:00", "end": "2026-11-02T01:00:00+01:00"},
        {"start": datetime(2026, 11, 1, 17, 30), "grain": "day"},
        {"start": "2026-11-01T05:00:00+03:00", "grain": timedelta(days=1)},
    ],
    ids=["naive datetimes", "naive text", "a day's instant", "a timedelta"],
)
def test_ways_to_say_when(
    partition: dict[str, Any], registry: RegistryStore, lock_write_unlock: LockWriteUnlock
) -> None:
    check_published(lock_write_unlock({"source_name": "sales"} | partition), registry)


def test_the_dag_is_the_provider_by_default(
    registry: RegistryStore, registry_url: str, lock_write_unlock: LockWriteUnlock, connect: Connect
) -> None:
    connect(registry_url, extra={"instance": "here"})
    check_published(lock_write_unlock(dag_id="other"), registry, "other")


@pytest.mark.usefixtures("registry")
def test_a_provider_that_rendered_to_nothing_is_not_the_default_one(run_lock: Callable[..., Run]) -> None:
    run = run_lock(provider_name="{{ '' }}")
    assert "provider name must not be empty" in str(run.error("lock"))


def test_register(registry: RegistryStore, new_dag: NewDag, run_dag: RunDag) -> None:
    with new_dag() as dag:
        register = PartitionRegisterOperator(task_id="register", **DAY)
        register >> PartitionRegisterOperator(task_id="again", **DAY)
    run = run_dag(dag)
    assert run.state == "success"
    assert run.results["register"] == run.results["again"]
    assert run.results["again"]["provider_name"] == "loader"
    assert the_partition(registry).state is PartitionState.REGISTERED


@pytest.mark.parametrize("is_registered", [True, False])
def test_lock_only_what_is_registered(
    is_registered: bool, registry: RegistryStore, run_lock: Callable[..., Run]
) -> None:
    if is_registered:
        registry.register_partition(PartitionKey("sales", "loader", THE_DAY))
    run = run_lock(register=False)
    assert run.state == ("success" if is_registered else "failed")
    if not is_registered:
        assert isinstance(run.error("lock"), UnknownPartitionError)


@pytest.mark.parametrize("lease", [timedelta(hours=2), 7200, 7200.0])
def test_lease(lease: Any, registry: RegistryStore, run_lock: Callable[..., Run]) -> None:
    run = run_lock(lease=lease)
    lock = the_partition(registry).lock
    assert lock.expires_at - lock.locked_at == timedelta(hours=2)
    assert run.results["lock"]["expires_at"] == format_instant(lock.expires_at)


@pytest.mark.parametrize("exclusive", [True, False])
def test_exclusive(exclusive: bool, registry: RegistryStore, run_lock: Callable[..., Run]) -> None:
    noon = Interval("2026-11-01T12:00", "2026-11-01T13:00")
    registry.lock(PartitionKey("sales", "other", noon), register=True, holder="somebody")
    run = run_lock(exclusive=exclusive)
    assert run.state == ("failed" if exclusive else "success")
    if exclusive:
        assert isinstance(run.error("lock"), PartitionLockedError)


class TestAnAirflowWithoutAName:
    """Another Airflow without a name would take its locks for its own."""

    @pytest.fixture(autouse=True)
    def unnamed(self, registry: RegistryStore, registry_url: str, connect: Connect) -> None:
        connect(registry_url, extra={"provider": "loader"})

    @pytest.fixture
    def web_address(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
        def define(url: str) -> None:
            for section in ("API", "WEBSERVER"):
                monkeypatch.setenv(f"AIRFLOW__{section}__BASE_URL", url)

        return define

    @pytest.mark.parametrize(
        "url", ["", "http://localhost:8080", "http://LOCALHOST/a", "http://127.0.0.1:80/", "http://[::1]"]
    )
    def test_cannot_lock(self, url: str, registry: RegistryStore, web_address: Callable[[str], None]) -> None:
        web_address(url)
        with pytest.raises(AmbiguousInstanceError) as raised:
            PartitionLockOperator(task_id="lock", **DAY).execute(a_context())
        for part in ("'partition_registry_default'", "field Instance", '"extra": {"instance": '):
            assert part in str(raised.value)
        assert not registry.list_partitions("sales").items

    def test_can_lock_with_a_web_address_of_its_own(
        self, registry: RegistryStore, web_address: Callable[[str], None]
    ) -> None:
        web_address("https://airflow.example.com/eu")
        PartitionLockOperator(task_id="lock", **DAY).execute(a_context())
        assert the_partition(registry).lock.holder.identity == "airflow.example.com/a_dag/a_run/a_task"

    def test_can_register_and_read(
        self, registry: RegistryStore, new_dag: NewDag, run_dag: RunDag, web_address: Callable[[str], None]
    ) -> None:
        web_address("http://localhost:8080")
        publish(registry)
        with new_dag() as dag:
            PartitionRegisterOperator(task_id="register", **DAY)
            PartitionReadinessSensor(task_id="wait", **DAY)
        assert run_dag(dag).state == "success"


def test_a_retry_takes_up_its_own_lock(registry: RegistryStore, new_dag: NewDag, run_dag: RunDag) -> None:
    tries: list[Any] = []

    def fail_once(*_: Any, **__: Any) -> None:
        tries.append(the_partition(registry))
        if len(tries) == 1:
            raise RuntimeError("the worker died after the lock was taken")

    with new_dag() as dag:
        lock = PartitionLockOperator(
            task_id="lock", retries=1, retry_delay=timedelta(0), post_execute=fail_once, **DAY
        )
        lock >> write() >> PartitionUnlockOperator(task_id="unlock", **DAY)
    run = run_dag(dag)
    check_published(run, registry)
    assert [partition.generation for partition in tries] == [1, 2]
    assert tries[0].lock.holder == tries[1].lock.holder
    assert tries[1].lock.holder.details["try_number"] == "2"


def test_a_lock_that_was_taken_over(registry: RegistryStore, new_dag: NewDag, run_dag: RunDag) -> None:
    @task
    def lose() -> None:
        registry.force_release(PartitionKey("sales", "loader", THE_DAY), reason="it hangs", by="an operator")
        registry.lock(PartitionKey("sales", "loader", THE_DAY), holder="somebody")

    with new_dag() as dag:
        lock, unlock = a_pair()
        lock >> lose() >> unlock
    run = run_dag(dag)
    assert run.state == "failed"
    assert isinstance(run.error("unlock"), NotLockHolderError)
    partition = the_partition(registry)
    assert (partition.state, partition.lock.holder.identity) == (PartitionState.LOCKED, "somebody")
