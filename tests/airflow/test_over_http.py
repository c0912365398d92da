"""DAGs whose connection leads to a web service run without changes, and its errors are raised as themselves."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import task

from airflow_provider_partition_registry.domain.errors import (
    AccessDeniedError,
    InvalidTokenError,
    NotLockHolderError,
    PartitionLockedError,
    StoreUnavailableError,
    UnknownSourceError,
)
from airflow_provider_partition_registry.domain.models import (
    EventType,
    Partition,
    PartitionKey,
    PartitionState,
)
from airflow_provider_partition_registry.hooks.partition_registry import PartitionRegistryHook
from airflow_provider_partition_registry.operators.partition_registry import (
    PartitionLockOperator,
    PartitionUnlockOperator,
)
from airflow_provider_partition_registry.runtime.errors import UpstreamFailedError
from airflow_provider_partition_registry.sensors.partition_registry import PartitionReadinessSensor
from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.task_groups.partition_registry import partition_lock
from airflow_provider_partition_registry.triggers import partition_registry as triggers
from testbed.service_process import ServiceProcess
from tests.airflow.registries import THE_DAY, Connect, Later
from tests.airflow.runs import NewDag, Run, RunDag
from tests.airflow.services import Place, service_on
from tests.airflow.tasks import a_pair, write

LockWriteUnlock = Callable[..., Run]
MODES: dict[str, dict[str, Any]] = {
    "poke": {"mode": "poke"},
    "reschedule": {"mode": "reschedule"},
    "deferrable": {"deferrable": True},
}


def provider_of(place: Place, kind: str = "loader") -> str:
    (name,) = [
        each.name for each in place.store.list_providers(place.source).items if each.name.startswith(kind)
    ]
    return name


def the_partition(place: Place) -> Partition:
    return place.store.get_partition(PartitionKey(place.source, provider_of(place), THE_DAY))


def lock_as(place: Place, holder: str) -> None:
    place.store.lock(PartitionKey(place.source, provider_of(place), THE_DAY), register=True, holder=holder)


def publish(place: Place) -> None:
    lock_as(place, "somebody")
    place.store.unlock(PartitionKey(place.source, provider_of(place), THE_DAY), holder="somebody")


def test_many_partitions_by_way_of_a_service(place: Place, new_dag: NewDag, run_dag: RunDag) -> None:
    @task
    def load(partition: dict[str, str]) -> None: ...

    with new_dag() as dag, partition_lock("hours", split="hour", **place.day) as hours:
        load.expand(partition=hours.lock.output)
    run = run_dag(dag)
    assert run.state == "success", run.errors
    assert [each.state for each in place.store.list_partitions(place.source).items] == [
        PartitionState.READY
    ] * 24


class TestTheSameDag:
    """The same DAG with a database and with a service: only the connection differs."""

    @pytest.fixture(params=["database", "service"])
    def registry_of_the_dag(self, request: pytest.FixtureRequest) -> tuple[RegistryStore, str]:
        if request.param == "database":
            return request.getfixturevalue("registry"), "sales"
        place = request.getfixturevalue("place")
        return place.store, place.source

    def test_writes_fails_is_repaired_and_read(
        self,
        registry_of_the_dag: tuple[RegistryStore, str],
        new_dag: NewDag,
        run_dag: RunDag,
        rerun: Callable[..., Run],
    ) -> None:
        store, source = registry_of_the_dag
        tries: list[str] = []

        @task
        def load() -> None:
            tries.append("a try")
            if len(tries) == 1:
                raise ValueError("the disk is full")

        with new_dag(params={"source": source}) as dag:
            day = {"source_name": "{{ params.source }}", "start": "2026-11-01", "grain": "day"}
            lock, unlock = a_pair(day)
            with unlock.as_teardown(setups=lock.as_setup()):
                work = load()
            work >> PartitionReadinessSensor(task_id="wait", poke_interval=0.1, timeout=60, **day)
        run = run_dag(dag)
        assert run.state == "failed"
        run = rerun(run, "load")
        assert run.state == "success", run.errors
        assert run.results["wait"]["is_ready"]
        history = [event for event in store.events(source_name=source).items if event.interval == THE_DAY]
        assert [event.type for event in history] == [
            EventType.PARTITION_REGISTERED,
            *(EventType.LOCK, EventType.FAIL),
            *(EventType.LOCK, EventType.UNLOCK),
        ]
        assert {event.holder for event in history[1:]} == {f"here/{dag.dag_id}/{run.run_id}/lock"}
        assert history[2].details["reason"] == "Work is not proved: load failed"


class TestWriting:
    def test_returns_what_the_registry_says(self, place: Place, lock_write_unlock: LockWriteUnlock) -> None:
        run = lock_write_unlock(place.day)
        assert run.state == "success", run.errors
        partition = the_partition(place)
        assert partition.state is PartitionState.READY
        assert run.results["unlock"] == run.results["lock"] | {"state": "ready"}
        assert run.results["lock"]["holder"] == partition.lock.holder.identity
        assert partition.lock.holder.details["try_number"] == "1"

    def test_a_retry_takes_up_its_own_lock(self, place: Place, new_dag: NewDag, run_dag: RunDag) -> None:
        tries: list[Partition] = []

        def fail_once(*_: Any, **__: Any) -> None:
            tries.append(the_partition(place))
            if len(tries) == 1:
                raise RuntimeError("the worker died after the lock was taken")

        again = {"retries": 1, "retry_delay": timedelta(0), "post_execute": fail_once}
        with new_dag() as dag:
            lock = PartitionLockOperator(task_id="lock", **again, **place.day)
            lock >> write() >> PartitionUnlockOperator(task_id="unlock", **place.day)
        assert run_dag(dag).state == "success"
        assert [partition.generation for partition in tries] == [1, 2]

    def test_a_lock_of_somebody_else_is_refused(
        self, place: Place, lock_write_unlock: LockWriteUnlock
    ) -> None:
        lock_as(place, "the-night-job")
        run = lock_write_unlock(place.day)
        assert isinstance(run.error("lock"), PartitionLockedError)
        assert "the-night-job" in str(run.error("lock"))
        assert the_partition(place).lock.holder.identity == "the-night-job"

    @pytest.mark.parametrize("deferrable", [False, True])
    def test_a_lock_of_somebody_else_is_waited_for(
        self,
        deferrable: bool,
        place: Place,
        run_lock: LockWriteUnlock,
        later: Later,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(triggers, "RESUME_NOT_BEFORE", 0.2)
        lock_as(place, "somebody")
        later(1.0, publish, place)
        wait = {"on_conflict": "wait", "poke_interval": 0.1, "deferrable": deferrable, "timeout": 60}
        run = run_lock(**place.day, **wait)
        assert run.state == "success", run.errors
        assert the_partition(place).lock.holder.identity.endswith("/lock")

    def test_a_lock_that_was_taken_away(self, place: Place, new_dag: NewDag, run_dag: RunDag) -> None:
        @task
        def lose() -> None:
            where = PartitionKey(place.source, provider_of(place), THE_DAY)
            place.store.force_release(where, reason="it hangs", by="an operator")
            lock_as(place, "somebody")

        with new_dag() as dag:
            lock, unlock = a_pair(place.day)
            lock >> lose() >> unlock
        assert isinstance(run_dag(dag).error("unlock"), NotLockHolderError)


class TestAccess:
    def test_with_a_token_that_was_revoked(self, place: Place, lock_write_unlock: LockWriteUnlock) -> None:
        token = place.store.identify_token(place.tokens["loader"])
        place.store.revoke_token(token.id, reason="it leaked", by="an operator")
        run = lock_write_unlock(place.day)
        assert isinstance(run.error("lock"), InvalidTokenError)

    def test_as_another_provider(self, place: Place, run_lock: LockWriteUnlock) -> None:
        other = provider_of(place, "other")
        error = run_lock(**place.day, provider_name=other).error("lock")
        assert isinstance(error, AccessDeniedError)
        assert f"is that of provider {provider_of(place)!r}" in str(error)
        assert f"needs the token of provider {other!r}" in str(error)
        assert f"acts as provider {other!r} over the Airflow connection 'partition_registry_default'" in str(
            error
        )

    def test_as_its_dag(self, place: Place, connect: Connect, run_lock: LockWriteUnlock) -> None:
        connect(place.url, password=place.tokens["loader"], extra={"instance": "here"})
        run = run_lock(**place.day)
        assert f"acts as provider {run.dag.dag_id!r}" in str(run.error("lock"))
        assert "name that one in the connection's field Provider" in str(run.error("lock"))


@pytest.mark.parametrize("mode", MODES)
class TestReading:
    @pytest.fixture
    def wait(self, mode: str, place: Place, new_dag: NewDag, run_dag: RunDag) -> Callable[..., Run]:
        """Runs a DAG with one sensor."""

        def run(**arguments: Any) -> Run:
            timing = {"poke_interval": 0.1, "timeout": 60}
            with new_dag() as dag:
                PartitionReadinessSensor(task_id="wait", **timing | MODES[mode] | place.day | arguments)
            return run_dag(dag)

        return run

    def test_ready_later(self, place: Place, wait: Callable[..., Run], later: Later) -> None:
        lock_as(place, "somebody")
        later(1.0, publish, place)
        run = wait()
        assert run.state == "success", run.errors
        assert run.results["wait"]["as_of"] == place.store.last_position()

    def test_an_unknown_source(self, wait: Callable[..., Run]) -> None:
        assert isinstance(wait(source_name="typo").error("wait"), UnknownSourceError)

    def test_a_failed_write(self, place: Place, wait: Callable[..., Run]) -> None:
        lock_as(place, "somebody")
        where = PartitionKey(place.source, provider_of(place), THE_DAY)
        place.store.fail(where, reason="disk full", holder="somebody")
        error = wait(on_failed="fail").error("wait")
        assert isinstance(error, UpstreamFailedError)
        assert "disk full" in str(error)

    def test_with_a_wrong_token(self, wait: Callable[..., Run], place: Place, connect: Connect) -> None:
        connect(place.url, password="prs_of-nobody", extra={"instance": "here"})
        run = wait(soft_fail=True)
        assert run.states == {"wait": "failed"}, "waiting does not make a token right"
        assert isinstance(run.error("wait"), InvalidTokenError)


class TestAServiceThatIsDown:
    @pytest.fixture
    def mortal(self, tmp_path: Path) -> Iterator[ServiceProcess]:
        with service_on(f"sqlite:///{tmp_path}/registry.db") as running:
            yield running

    def test_fails_a_lock_and_is_waited_for_by_readers(
        self,
        mortal: ServiceProcess,
        new_place: Callable[..., Place],
        lock_write_unlock: LockWriteUnlock,
        new_dag: NewDag,
        run_dag: RunDag,
        later: Later,
    ) -> None:
        place = new_place(mortal, timeout=1)
        publish(place)
        mortal.kill()
        error = lock_write_unlock(place.day).error("lock")
        assert isinstance(error, StoreUnavailableError)
        assert mortal.url in str(error)
        later(0.5, mortal.start)
        with new_dag(dag_id="reader") as dag:
            PartitionReadinessSensor(task_id="wait", poke_interval=0.1, timeout=60, **place.day)
        assert run_dag(dag).state == "success"


def test_a_dropped_hook_leaves_nothing_open(place: Place) -> None:
    """Tasks make a hook and drop it: nothing stays open, and nothing has to be closed."""
    PartitionRegistryHook().get_conn().get_source(place.source)
    gc.collect()  # an open socket found now causes a warning, and warnings are errors here
