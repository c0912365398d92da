"""Register, lock, work, unlock in DAG runs, as far as one task at a time is concerned."""

# ruff: noqa: DTZ001 - naive datetimes are what users write, and taken as UTC

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import task

from airflow_provider_partition_registry.domain.errors import (
    NotLockHolderError,
    PartitionLockedError,
    StoreUnavailableError,
    UnknownPartitionError,
)
from airflow_provider_partition_registry.domain.intervals import Interval, format_instant
from airflow_provider_partition_registry.domain.models import PartitionState
from airflow_provider_partition_registry.hooks.partition_registry import RegistryConnectionNotFoundError
from airflow_provider_partition_registry.operators.partition_registry import (
    PartitionLockOperator,
    PartitionRegisterOperator,
    PartitionUnlockOperator,
)
from airflow_provider_partition_registry.runs.endings import WaitFailedError
from airflow_provider_partition_registry.runs.identity import AmbiguousInstanceError
from airflow_provider_partition_registry.sensors.partition_registry import PartitionReadinessSensor
from airflow_provider_partition_registry.store.base import RegistryStore
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore
from airflow_provider_partition_registry.triggers import partition_registry as triggers
from tests.airflow.registries import DAY, THE_DAY, publish
from tests.airflow.runs import Run, a_context

NewDag = Callable[..., Any]
RunDag = Callable[..., Run]
Later = Callable[..., None]

WAIT = {"on_conflict": "wait", "poke_interval": 0.1}


@task
def write() -> None:
    """The work."""


def lock_write_unlock(**partition: Any) -> None:
    lock = PartitionLockOperator(task_id="lock", **partition)
    lock >> write() >> PartitionUnlockOperator(task_id="unlock", **partition)


def the_partition(registry: RegistryStore, provider: str = "loader") -> Any:
    return registry.get_partition("sales", provider, THE_DAY)


def check_published(run: Run, registry: RegistryStore, provider: str = "loader") -> None:
    assert run.state == "success", run.errors
    assert set(run.states.values()) == {"success"}
    partition = the_partition(registry, provider)
    assert partition.state is PartitionState.READY
    assert partition.lock.holder.identity.endswith(f"/{run.dag.dag_id}/{run.run_id}/lock")


def test_lock_write_unlock(registry: RegistryStore, new_dag: NewDag, run_dag: RunDag) -> None:
    with new_dag() as dag:
        lock_write_unlock(**DAY)
    run = run_dag(dag)
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
def test_on_postgresql(postgres_registry: RegistryStore, new_dag: NewDag, run_dag: RunDag) -> None:
    with new_dag() as dag:
        lock_write_unlock(**DAY)
    check_published(run_dag(dag), postgres_registry)


def test_templates(
    registry: RegistryStore, registry_url: str, new_dag: NewDag, run_dag: RunDag, connect: Callable[..., None]
) -> None:
    connect("sqlite:////nowhere/registry.db")
    connect(registry_url, conn_id="eu_registry", extra={"instance": "eu"})
    with new_dag(params={"source": "sales", "who": "other", "day": "2026-11-01", "region": "eu"}) as dag:
        lock_write_unlock(
            source_name="{{ params.source }}",
            provider_name="{{ params.who }}",
            start="{{ params.day }}",
            end="{{ macros.ds_add(params.day, 1) }}",
            partition_registry_conn_id="{{ params.region }}_registry",
        )
    check_published(run_dag(dag), registry, "other")


def test_templates_see_the_configuration_of_the_run(
    registry: RegistryStore, new_dag: NewDag, run_dag: RunDag
) -> None:
    with new_dag(params={"day": "2026-01-01"}) as dag:
        lock_write_unlock(source_name="sales", start="{{ params.day }}", grain="day")
    check_published(run_dag(dag, run_conf={"day": "2026-11-01"}), registry)


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
    partition: dict[str, Any], registry: RegistryStore, new_dag: NewDag, run_dag: RunDag
) -> None:
    with new_dag() as dag:
        lock_write_unlock(source_name="sales", **partition)
    check_published(run_dag(dag), registry)


def test_the_dag_is_the_provider_by_default(
    registry: RegistryStore, registry_url: str, new_dag: NewDag, run_dag: RunDag, connect: Callable[..., None]
) -> None:
    connect(registry_url, extra={"instance": "here"})
    with new_dag(dag_id="other") as dag:
        lock_write_unlock(**DAY)
    check_published(run_dag(dag), registry, "other")


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
    is_registered: bool, registry: RegistryStore, new_dag: NewDag, run_dag: RunDag
) -> None:
    if is_registered:
        registry.register_partition("sales", "loader", THE_DAY)
    with new_dag() as dag:
        PartitionLockOperator(task_id="lock", register=False, **DAY)
    run = run_dag(dag)
    assert run.state == ("success" if is_registered else "failed")
    if not is_registered:
        assert isinstance(run.error("lock"), UnknownPartitionError)


@pytest.mark.parametrize("lease", [timedelta(hours=2), 7200, 7200.0])
def test_lease(lease: Any, registry: RegistryStore, new_dag: NewDag, run_dag: RunDag) -> None:
    with new_dag() as dag:
        PartitionLockOperator(task_id="lock", lease=lease, **DAY)
    run = run_dag(dag)
    lock = the_partition(registry).lock
    assert lock.expires_at - lock.locked_at == timedelta(hours=2)
    assert run.results["lock"]["expires_at"] == format_instant(lock.expires_at)


@pytest.mark.parametrize("exclusive", [True, False])
def test_exclusive(exclusive: bool, registry: RegistryStore, new_dag: NewDag, run_dag: RunDag) -> None:
    noon = Interval("2026-11-01T12:00", "2026-11-01T13:00")
    registry.lock("sales", "other", noon, register=True, holder="somebody")
    with new_dag() as dag:
        PartitionLockOperator(task_id="lock", exclusive=exclusive, **DAY)
    run = run_dag(dag)
    assert run.state == ("failed" if exclusive else "success")
    if exclusive:
        assert isinstance(run.error("lock"), PartitionLockedError)


class TestConflict:
    @pytest.fixture(autouse=True)
    def locked_by_somebody(self, registry: RegistryStore) -> None:
        registry.lock("sales", "loader", THE_DAY, register=True, holder="somebody")

    @pytest.fixture(autouse=True)
    def quick_triggers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(triggers, "RESUME_NOT_BEFORE", 0.2)

    def test_refused(self, registry: RegistryStore, new_dag: NewDag, run_dag: RunDag) -> None:
        with new_dag() as dag:
            lock_write_unlock(**DAY)
        run = run_dag(dag)
        assert run.state == "failed"
        assert run.states == {"lock": "failed", "write": "upstream_failed", "unlock": "failed"}
        assert isinstance(run.error("lock"), PartitionLockedError)
        assert "somebody" in str(run.error("lock"))
        assert "lock did not take the lock (failed)" in str(run.error("unlock"))
        partition = the_partition(registry)
        assert (partition.state, partition.lock.holder.identity) == (PartitionState.LOCKED, "somebody")

    def test_refused_as_setup(self, registry: RegistryStore, new_dag: NewDag, run_dag: RunDag) -> None:
        with new_dag() as dag:
            lock, unlock = (
                PartitionLockOperator(task_id="lock", **DAY),
                PartitionUnlockOperator(task_id="unlock", **DAY),
            )
            with unlock.as_teardown(setups=lock.as_setup()):
                write()
        run = run_dag(dag)
        assert run.state == "failed"
        assert run.states == {"lock": "failed", "write": "upstream_failed", "unlock": "upstream_failed"}
        assert the_partition(registry).lock.holder.identity == "somebody"

    @pytest.mark.parametrize("deferrable", [False, True])
    def test_waited_for(
        self, deferrable: bool, registry: RegistryStore, new_dag: NewDag, run_dag: RunDag, later: Later
    ) -> None:
        with new_dag() as dag:
            PartitionLockOperator(task_id="lock", deferrable=deferrable, timeout=60, **WAIT, **DAY)
        later(1.0, lambda: registry.unlock("sales", "loader", THE_DAY, holder="somebody"))
        run = run_dag(dag)
        assert run.state == "success"
        assert run.results["lock"]["generation"] == 2
        assert the_partition(registry).lock.holder.identity.endswith("/lock")

    @pytest.mark.parametrize("deferrable", [False, True])
    def test_waited_for_too_long(
        self, deferrable: bool, registry: RegistryStore, new_dag: NewDag, run_dag: RunDag
    ) -> None:
        with new_dag() as dag:
            PartitionLockOperator(task_id="lock", deferrable=deferrable, timeout=0.5, **WAIT, **DAY)
        run = run_dag(dag)
        assert run.state == "failed"
        assert isinstance(run.error("lock"), PartitionLockedError)
        assert the_partition(registry).lock.holder.identity == "somebody"

    def test_waiting_does_not_outlast_its_timeout(self, new_dag: NewDag, run_dag: RunDag) -> None:
        with new_dag() as dag:
            PartitionLockOperator(task_id="lock", on_conflict="wait", poke_interval=3600, timeout=0.5, **DAY)
        assert isinstance(run_dag(dag).error("lock"), PartitionLockedError)


class TestRegistryThatIsDown:
    @pytest.fixture(autouse=True)
    def quick_triggers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(triggers, "RESUME_NOT_BEFORE", 0.2)

    @pytest.fixture
    def outages(self, registry: RegistryStore, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """What is wrong at each of the next attempts to lock, one after the other."""
        outages: list[str] = []
        lock = SqlRegistryStore.lock

        def stumble(*arguments: Any, **options: Any) -> Any:
            if outages:
                raise StoreUnavailableError(outages.pop(0))
            return lock(*arguments, **options)

        monkeypatch.setattr(SqlRegistryStore, "lock", stumble)
        return outages

    @pytest.mark.parametrize("deferrable", [False, True])
    def test_is_waited_for(
        self, deferrable: bool, outages: list[str], registry: RegistryStore, new_dag: NewDag, run_dag: RunDag
    ) -> None:
        outages += ["connection refused"] * 3
        with new_dag() as dag:
            PartitionLockOperator(task_id="lock", deferrable=deferrable, timeout=60, **WAIT, **DAY)
        run = run_dag(dag)
        assert run.state == "success", run.errors
        assert outages == []
        assert the_partition(registry).state is PartitionState.LOCKED

    @pytest.mark.parametrize("deferrable", [False, True])
    def test_is_waited_for_too_long(
        self, deferrable: bool, outages: list[str], new_dag: NewDag, run_dag: RunDag
    ) -> None:
        outages += ["connection refused"] * 1000
        with new_dag() as dag:
            PartitionLockOperator(task_id="lock", deferrable=deferrable, timeout=0.5, **WAIT, **DAY)
        assert isinstance(run_dag(dag).error("lock"), StoreUnavailableError)

    def test_is_an_error_at_once_for_who_does_not_wait(
        self, outages: list[str], new_dag: NewDag, run_dag: RunDag
    ) -> None:
        outages += ["connection refused"] * 2
        with new_dag() as dag:
            PartitionLockOperator(task_id="lock", **DAY)
        assert isinstance(run_dag(dag).error("lock"), StoreUnavailableError)
        assert len(outages) == 1

    def test_is_told_when_that_changes(
        self, outages: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(PartitionLockOperator, "log", logging.getLogger("lock"))
        caplog.set_level(logging.INFO, logger="lock")
        outages += ["connection refused"] * 3 + ["too slow"] * 3
        PartitionLockOperator(task_id="lock", on_conflict="wait", poke_interval=0.01, **DAY).execute(
            a_context()
        )
        told = [record.getMessage() for record in caplog.records if "Waiting" in record.getMessage()]
        assert told == ["connection refused Waiting goes on.", "too slow Waiting goes on."]


def test_waiting_that_fails_in_the_triggerer(
    registry: RegistryStore,
    new_dag: NewDag,
    run_dag: RunDag,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Trying again would end in the triggerer again, at once and for hours."""

    async def missing(_: str) -> None:
        raise RegistryConnectionNotFoundError("not in the triggerer's environment")

    monkeypatch.setattr(triggers, "watcher_of", missing)
    monkeypatch.setattr(triggers, "RESUME_NOT_BEFORE", 0.0)
    registry.lock("sales", "loader", THE_DAY, register=True, holder="somebody")
    with new_dag() as dag:
        PartitionLockOperator(task_id="lock", deferrable=True, timeout=60, **WAIT, **DAY)
    error = run_dag(dag).error("lock")
    assert isinstance(error, WaitFailedError)
    assert str(error) == "not in the triggerer's environment"


class TestAnAirflowWithoutAName:
    """Another one like it would take its locks for its own."""

    @pytest.fixture(autouse=True)
    def unnamed(self, registry: RegistryStore, registry_url: str, connect: Callable[..., None]) -> None:
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
        registry.force_release("sales", "loader", THE_DAY, reason="it hangs", by="an operator")
        registry.lock("sales", "loader", THE_DAY, holder="somebody")

    with new_dag() as dag:
        lock = PartitionLockOperator(task_id="lock", **DAY)
        lock >> lose() >> PartitionUnlockOperator(task_id="unlock", **DAY)
    run = run_dag(dag)
    assert run.state == "failed"
    assert isinstance(run.error("unlock"), NotLockHolderError)
    partition = the_partition(registry)
    assert (partition.state, partition.lock.holder.identity) == (PartitionState.LOCKED, "somebody")


def test_unlock_without_a_lock_task(registry: RegistryStore, new_dag: NewDag, run_dag: RunDag) -> None:
    registry.register_partition("sales", "loader", THE_DAY)
    with new_dag() as dag:
        write() >> PartitionUnlockOperator(task_id="unlock", **DAY)
    assert run_dag(dag).state == "success"
    assert the_partition(registry).state is PartitionState.READY
