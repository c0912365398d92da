"""A lock on many partitions, one for each hour of a day: they are locked, published and failed together."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSkipException, task

from airflow_provider_partition_registry.domain import locking
from airflow_provider_partition_registry.domain.errors import InvalidIntervalError, PartitionLockedError
from airflow_provider_partition_registry.domain.grains import split_interval
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import EventType, Holder, PartitionKey
from airflow_provider_partition_registry.operators.partition_registry import (
    PartitionLockOperator,
    PartitionUnlockOperator,
)
from airflow_provider_partition_registry.proof import guard, publication
from airflow_provider_partition_registry.proof.notes import LockNote
from airflow_provider_partition_registry.proof.standing import Standing, lock_partitions
from airflow_provider_partition_registry.proof.verdict import Grant
from airflow_provider_partition_registry.runtime.settings import DEFAULT_CONN_ID
from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.task_groups.partition_registry import partition_lock
from airflow_provider_partition_registry.triggers import partition_registry as triggers
from tests.airflow.registries import DAY, THE_DAY, Later, publish
from tests.airflow.runs import NewDag, Rerun, Run, RunDag, a_context

HOURS = split_interval(THE_DAY, "hour", at_most=24)
FIFTH = PartitionKey("sales", "loader", HOURS[5])

Does = Callable[[int], None]


def states(registry: RegistryStore) -> dict[str, int]:
    return Counter(each.state.value for each in registry.list_partitions("sales").items)


def reasons(registry: RegistryStore) -> set[str | None]:
    return {each.reason for each in registry.list_partitions("sales").items}


def ends_of_leases(registry: RegistryStore) -> set[Any]:
    return {each.lock.expires_at for each in registry.list_locks().items if each.lock}


def locks(registry: RegistryStore) -> int:
    return len(registry.list_locks().items)


@pytest.fixture
def does() -> list[Does]:
    """What each instance of the work does with its number; the last one counts."""
    return [lambda number: None]


@pytest.fixture
def run_hours(new_dag: NewDag, run_dag: RunDag, does: list[Does]) -> Callable[..., Run]:
    """Runs a DAG that locks every hour of the day, and maps its work over them."""

    @task
    def write(partition: dict[str, str], **context: Any) -> str:
        does[-1](context["ti"].map_index)
        return partition["start"]

    def run(**arguments: Any) -> Run:
        with new_dag() as dag, partition_lock("hours", split="hour", **DAY, **arguments) as group:
            write.expand(partition=group.lock.output)
        return run_dag(dag)

    return run


def fail_at_5(number: int) -> None:
    if number == 5:
        raise RuntimeError("disk full")


def test_all_are_locked_while_they_are_written_and_then_published(
    registry: RegistryStore, run_hours: Any, does: list[Does]
) -> None:
    seen: list[dict[str, int]] = []
    does.append(lambda number: seen.append(states(registry)))
    run = run_hours()
    assert run.state == "success", run.errors
    assert seen == [{"locked": 24}] * 24
    assert states(registry) == {"ready": 24}
    assert registry.check_readiness("sales", THE_DAY).is_ready
    published = run.results["hours.unlock"]
    assert [(each["start"], each["end"]) for each in published][:2] == [
        ("2026-11-01T00:00:00Z", "2026-11-01T01:00:00Z"),
        ("2026-11-01T01:00:00Z", "2026-11-01T02:00:00Z"),
    ]
    types = Counter(each.type.value for each in registry.events(source_name="sales").items if each.interval)
    assert types == {"PARTITION_REGISTERED": 24, "LOCK": 24, "UNLOCK": 24}


def test_one_part_that_fails_fails_all_and_its_rerun_publishes_all(
    registry: RegistryStore, run_hours: Any, does: list[Does], rerun: Rerun
) -> None:
    does.append(fail_at_5)
    run = run_hours()
    assert run.state == "failed"
    assert states(registry) == {"failed": 24}
    assert reasons(registry) == {"Work is not proved: hours.write[5] failed"}
    does.append(lambda number: None)
    again = rerun(run, "hours.lock")
    assert again.state == "success", again.errors
    assert states(registry) == {"ready": 24}


def test_cleared_work_takes_all_locks_again(
    registry: RegistryStore, run_hours: Any, does: list[Does], rerun: Rerun
) -> None:
    run = run_hours()
    seen: list[dict[str, int]] = []
    does.append(lambda number: seen.append(states(registry)))
    again = rerun(run, "hours.write")
    assert again.state == "success", again.errors
    assert seen == [{"locked": 24}] * 24
    assert states(registry) == {"ready": 24}
    assert {each.generation for each in registry.list_partitions("sales").items} == {2}


def test_one_that_somebody_else_holds_keeps_all_from_being_locked(
    registry: RegistryStore, run_hours: Any
) -> None:
    registry.lock(FIFTH, holder="somebody", register=True)
    run = run_hours()
    assert run.states["hours.lock"] == "failed"
    assert isinstance(run.error("hours.lock"), PartitionLockedError)
    assert "somebody" in str(run.error("hours.lock"))
    assert states(registry) == {"locked": 1}


@pytest.mark.parametrize("decision", ["force_release", "withdraw"])
def test_a_person_who_decides_about_one_meanwhile_decides_about_all(
    registry: RegistryStore, run_hours: Any, does: list[Does], decision: str
) -> None:
    """Were it alone, it would not be published either; the others are not left locked."""

    def decide(number: int) -> None:
        if number == 23:
            getattr(registry, decision)(FIFTH, reason="half of it is missing", by="ann")

    does.append(decide)
    run = run_hours()
    assert run.states["hours.unlock"] == "failed"
    assert states(registry) == {"failed": 24}
    assert locks(registry) == 0


def test_one_that_somebody_else_took_over_meanwhile(
    registry: RegistryStore, run_hours: Any, does: list[Does]
) -> None:
    def take_over(number: int) -> None:
        if number == 23:
            registry.force_release(FIFTH, reason="stuck", by="ann")
            registry.lock(FIFTH, holder="somebody")

    does.append(take_over)
    run = run_hours()
    assert run.states["hours.unlock"] == "failed"
    assert "somebody" in str(run.error("hours.unlock"))
    assert states(registry) == {"failed": 23, "locked": 1}


def test_nothing_to_do_leaves_all_as_they_were(
    registry: RegistryStore, new_dag: NewDag, run_dag: RunDag
) -> None:
    @task.short_circuit
    def is_there_anything() -> bool:
        return False

    @task
    def write() -> None:
        raise AssertionError("it was skipped")

    for hour in HOURS[:12]:
        publish(registry, interval=hour)
    with new_dag() as dag, partition_lock("hours", split="hour", on_skipped="unchanged", **DAY):
        is_there_anything() >> write()
    run = run_dag(dag)
    assert run.states["hours.unlock"] == "skipped", run.errors
    assert states(registry) == {"ready": 12, "registered": 12}


def test_a_part_that_skips_itself_fails_all(
    registry: RegistryStore, run_hours: Any, does: list[Does]
) -> None:
    def skip(number: int) -> None:
        if number == 7:
            raise AirflowSkipException("nothing to do")

    does.append(skip)
    assert run_hours().states["hours.unlock"] == "failed"
    assert states(registry) == {"failed": 24}


def test_leases_begin_anew_with_a_part_that_finds_some_of_them_over(
    registry: RegistryStore, run_hours: Any, does: list[Does], monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: list[set[Any]] = []
    does.append(lambda number: ends.append(ends_of_leases(registry)))
    monkeypatch.setattr(locking, "KEPT_AS_IT_IS", 1)
    run = run_hours(lease=3600)
    assert run.state == "success", run.errors
    assert all(min(later) > max(earlier) for earlier, later in pairwise(ends))


def test_parts_that_begin_together_do_not_renew_for_each_other(
    registry: RegistryStore, run_hours: Any, does: list[Does]
) -> None:
    ends: list[set[Any]] = []
    does.append(lambda number: ends.append(ends_of_leases(registry)))
    run = run_hours(lease=36_000)
    assert run.state == "success", run.errors
    assert len(ends) == 24
    assert len(set.union(*ends)) == 1
    assert not [each for each in registry.events().items if each.type is EventType.RENEW]


@pytest.mark.parametrize("deferrable", [False, True], ids=["polling", "deferrable"])
def test_waiting_until_the_last_of_others_is_gone(
    registry: RegistryStore,
    run_hours: Any,
    later: Later,
    deferrable: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(triggers, "RESUME_NOT_BEFORE", 0.2)
    registry.lock(FIFTH, holder="somebody", register=True)
    later(1.0, lambda: registry.unlock(FIFTH, holder="somebody"))
    run = run_hours(on_conflict="wait", lock_kwargs={"poke_interval": 0.1, "deferrable": deferrable})
    assert run.state == "success", run.errors
    assert states(registry) == {"ready": 24}


def test_the_interval_must_consist_of_whole_hours(registry: RegistryStore) -> None:
    lock = PartitionLockOperator(
        task_id="lock", source_name="sales", start="2026-11-01T00:30", end="2026-11-02", split="hour"
    )
    with pytest.raises(InvalidIntervalError, match="does not consist of whole intervals of the grain hour"):
        lock.execute(a_context())
    assert states(registry) == {}


def test_days_of_a_time_zone(registry: RegistryStore, new_dag: NewDag, run_dag: RunDag) -> None:
    @task
    def write() -> None: ...

    with (
        new_dag() as dag,
        partition_lock(
            "month",
            source_name="sales",
            start="2026-10-15",
            grain="month",
            timezone="Europe/Berlin",
            split="day",
        ),
    ):
        write()
    assert run_dag(dag).state == "success"
    found = registry.list_partitions("sales").items
    assert len(found) == 31
    lengths = Counter((each.end - each.start).total_seconds() / 3600 for each in found)
    assert lengths == {24: 30, 25: 1}
    assert registry.check_readiness("sales", Interval("2026-09-30T22:00Z", "2026-10-31T23:00Z")).is_ready


@pytest.mark.parametrize("split", [None, "hour"])
def test_work_that_was_done_for_one_day_does_not_publish_another(
    registry: RegistryStore, new_dag: NewDag, run_dag: RunDag, rerun_alone: Rerun, split: str | None
) -> None:
    """Lock and unlock are cleared without the work, and by now their template means another day."""
    days = ["2026-11-01"]

    @task
    def write() -> None: ...

    day = {"source_name": "sales", "start": "{{ the_day() }}", "grain": "day"}
    with new_dag(user_defined_macros={"the_day": lambda: days[-1]}) as dag:
        lock = PartitionLockOperator(task_id="lock", split=split, **day)
        lock >> write() >> PartitionUnlockOperator(task_id="unlock", **day)
    run = run_dag(dag)
    assert run.state == "success", run.errors
    days.append("2026-11-15")
    run = rerun_alone(run, "lock", "unlock")
    assert run.states["unlock"] == "failed"
    assert not registry.check_readiness("sales", Interval("2026-11-15", "2026-11-16"))
    assert "write succeeded, but under a lock on [2026-11-01" in str(run.error("unlock"))
    assert locks(registry) == 0


@pytest.mark.postgres
@pytest.mark.parametrize("split", [None, "hour"])
def test_instances_of_cleared_work_that_begin_together_hold_the_same_lock(
    postgres_registry: RegistryStore, split: str | None
) -> None:
    note = LockNote(
        conn_id=DEFAULT_CONN_ID, provider_name="loader", holder="here/a_dag/a_run/lock", split=split, **DAY
    )
    for _ in range(5):
        locked = lock_partitions(postgres_registry, note, Holder(note.holder))
        postgres_registry.unlock_many([each.key for each in locked], holder=note.holder)
        together = threading.Barrier(4)

        def begin(_number: int, together: threading.Barrier = together) -> Grant:
            together.wait()
            return guard._hold(note, a_context())

        with ThreadPoolExecutor(4) as threads:
            grants = list(threads.map(begin, range(4)))
        assert set(grants) == {Standing.look_up(postgres_registry, note).grant}


def test_more_than_airflow_maps_over_is_refused_before_it_is_locked(
    registry: RegistryStore, run_hours: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow itself refuses the result, when the locks have been taken and the unlock will not run."""
    monkeypatch.setenv("AIRFLOW__CORE__MAX_MAP_LENGTH", "10")
    for hour in HOURS:
        publish(registry, interval=hour)
    run = run_hours()
    assert "max_map_length" in str(run.error("hours.lock"))
    assert states(registry) == {"ready": 24}


class TestSomebodyDecides:
    """While the unlock is at work, or where it does not look: the others must not stay locked."""

    @pytest.fixture
    def run_work(self, new_dag: NewDag, run_dag: RunDag) -> Callable[[Callable[[], object]], Run]:
        def run(do: Callable[[], object]) -> Run:
            @task
            def write() -> None:
                do()

            with new_dag() as dag, partition_lock("hours", split="hour", **DAY):
                write()
            return run_dag(dag)

        return run

    def test_about_one_after_the_unlock_has_looked(
        self, registry: RegistryStore, run_work: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gather = publication.gather_work

        def gather_and_decide(*arguments: Any) -> Any:
            work = gather(*arguments)
            registry.force_release(FIFTH, reason="bad", by="ann")
            return work

        monkeypatch.setattr(publication, "gather_work", gather_and_decide)
        run = run_work(lambda: None)
        assert run.states["hours.unlock"] == "failed"
        assert states(registry) == {"failed": 24}

    def test_to_write_a_part_of_one_that_was_withdrawn(self, registry: RegistryStore, run_work: Any) -> None:
        part = PartitionKey("sales", "loader", Interval("2026-11-01T05:10", "2026-11-01T05:50"))

        def take() -> None:
            registry.withdraw(FIFTH, reason="half of it is missing", by="ann")
            registry.lock(part, holder="somebody", register=True)

        run = run_work(take)
        assert run.states["hours.unlock"] == "failed"
        assert "somebody" in str(run.error("hours.unlock"))
        assert states(registry) == {"failed": 23, "registered": 1, "locked": 1}


@pytest.mark.parametrize("was_marked", [False, True])
def test_an_unlock_splits_as_its_lock_does(
    registry: RegistryStore, new_dag: NewDag, run_dag: RunDag, was_marked: bool
) -> None:
    """It need not repeat the time zone, also if the lock was marked as successful by hand and left no note."""

    @task
    def write() -> None: ...

    days = {"source_name": "sales", "start": "2026-10-31T23:00:00Z", "end": "2026-11-02T23:00:00Z"}
    with new_dag() as dag:
        lock = PartitionLockOperator(task_id="lock", split="day", timezone="Europe/Berlin", **days)
        lock >> write() >> PartitionUnlockOperator(task_id="unlock", **days)
    if was_marked:
        lock.execute = lambda context: {}
    run = run_dag(dag)
    assert run.state == "success", run.errors
    assert states(registry) == {"ready": 2}
