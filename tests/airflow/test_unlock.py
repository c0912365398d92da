"""How unlock judges the work before it: whole DAG runs with groups, maps, branches and failures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSkipException, TaskGroup, chain, task, task_group

from airflow_provider_partition_registry.domain.grains import interval_at
from airflow_provider_partition_registry.domain.models import PartitionKey, PartitionState
from airflow_provider_partition_registry.operators.partition_registry import (
    PartitionLockOperator,
    PartitionUnlockOperator,
)
from airflow_provider_partition_registry.store.contract import RegistryStore
from tests.airflow.registries import DAY, THE_DAY, the_partition
from tests.airflow.runs import NewDag, Rerun, Run, RunDag
from tests.airflow.tasks import a_pair
from tests.airflow.versions import IS_AIRFLOW_3

RunBetween = Callable[..., Run]

DAYS = ["2026-11-01", "2026-11-02", "2026-11-03"]
CLICKS = DAY | {"source_name": "clicks"}


def a_mapped_pair(source: str = "sales", name: str = "") -> tuple[Any, Any]:
    partition = {"source_name": source, "grain": "day"}
    return (
        PartitionLockOperator.partial(task_id=f"lock{name}", **partition).expand(start=DAYS),
        PartitionUnlockOperator.partial(task_id=f"unlock{name}", **partition).expand(start=DAYS),
    )


def states(registry: RegistryStore, source: str = "sales") -> dict[str, str]:
    found = registry.list_partitions(source).items
    return {partition.start.date().isoformat(): partition.state.value for partition in found}


@pytest.fixture
def work() -> Callable[..., Any]:
    """Makes tasks whose behaviour is looked up in ``work.does`` by their name when they run."""

    def make(name: str = "write") -> Any:
        @task(task_id=name)
        def run() -> None:
            behaviour = make.does.get(name)
            if behaviour == "fail":
                raise RuntimeError("disk full")
            if behaviour == "skip":
                raise AirflowSkipException("nothing to do")

        return run()

    make.does = {}
    return make


@pytest.fixture
def run_between(new_dag: NewDag, run_dag: RunDag, work: Any) -> RunBetween:
    """Runs a DAG with steps between a lock and its unlock.

    A step is the name of some work, a list of such names, or a function that makes a task.
    """

    def made(step: Any) -> Any:
        if isinstance(step, list):
            return [work(name) for name in step]
        return work(step) if isinstance(step, str) else step()

    def run(*steps: Any, pair: Callable[[], tuple[Any, Any]] = a_pair, as_teardown: bool = False) -> Run:
        with new_dag() as dag:
            lock, unlock = pair()
            if as_teardown:
                with unlock.as_teardown(setups=lock.as_setup()):
                    chain(*[made(step) for step in steps])
            else:
                chain(lock, *[made(step) for step in steps], unlock)
        return run_dag(dag)

    return run


@task
def write_part(part: int) -> None:
    if part == 7:
        raise RuntimeError("disk full")


def twelve_parts() -> Any:
    return write_part.expand(part=list(range(12)))


@pytest.mark.skipif(IS_AIRFLOW_3, reason="Airflow 3 skips what has not begun when its run is marked")
def test_work_that_was_called_successful_with_its_run(
    registry: RegistryStore, new_dag: NewDag, run_dag: RunDag
) -> None:
    """A person marks the run as success between two tasks; the second one never begins."""

    @task
    def extract(**context: Any) -> None:
        from airflow.api.common.mark_tasks import set_dag_run_state_to_success

        set_dag_run_state_to_success(dag=context["dag"], run_id=context["run_id"], commit=True)

    @task
    def load() -> None:
        raise RuntimeError("disk full")

    with new_dag() as dag:
        lock, unlock = a_pair()
        lock.as_setup() >> extract() >> load() >> unlock.as_teardown(setups=lock)
    run = run_dag(dag)

    assert (run.states["load"], run.states["unlock"]) == ("success", "failed")
    assert the_partition(registry).reason == (
        "Work is not proved: load is marked as successful, but nothing shows that it ran under this lock"
    )


class TestFailingWork:
    def test_is_named_in_the_reason(
        self, registry: RegistryStore, run_between: RunBetween, work: Any
    ) -> None:
        work.does["load"] = "fail"
        run = run_between("extract", "load", "check")
        assert run.state == "failed"
        assert run.states["unlock"] == "failed"
        partition = the_partition(registry)
        assert partition.state is PartitionState.FAILED
        assert partition.reason == (
            "Work is not proved: check did not run, as something before it failed; load failed"
        )
        assert partition.reason in str(run.error("unlock"))

    def test_between_setup_and_teardown(
        self, registry: RegistryStore, run_between: RunBetween, work: Any
    ) -> None:
        work.does["write"] = "fail"
        run = run_between("write", as_teardown=True)
        assert (run.state, run.states["write"], run.states["unlock"]) == ("failed", "failed", "failed")
        assert the_partition(registry).reason == "Work is not proved: write failed"

    @pytest.mark.parametrize(("as_teardown", "cleared"), [(True, "write"), (False, "lock")])
    def test_repaired_by_clearing(
        self,
        as_teardown: bool,
        cleared: str,
        registry: RegistryStore,
        run_between: RunBetween,
        rerun: Rerun,
        work: Any,
    ) -> None:
        """With setup and teardown only the work has to be cleared: Airflow clears them with it."""
        work.does["write"] = "fail"
        run = run_between("write", as_teardown=as_teardown)
        work.does.clear()
        again = rerun(run, cleared)
        assert again.state == "success"
        assert set(again.states.values()) == {"success"}
        partition = the_partition(registry)
        assert (partition.state, partition.generation) == (PartitionState.READY, 2)

    def test_a_long_reason_is_cut(self, registry: RegistryStore, run_between: RunBetween, work: Any) -> None:
        names = [f"{'write' * 40}_{number}" for number in range(30)]
        work.does |= dict.fromkeys(names, "fail")
        assert run_between(names).state == "failed"
        assert the_partition(registry).reason.startswith("Work is not proved: writewrite")


def test_an_unpublished_teardown_is_no_success(registry: RegistryStore, run_between: RunBetween) -> None:
    """Airflow ignores a teardown that fails; but a run that published nothing must not count as success."""

    @task
    def lose() -> None:
        registry.force_release(PartitionKey("sales", "loader", THE_DAY), reason="it hangs", by="an operator")

    run = run_between(lose, as_teardown=True)
    assert run.states["unlock"] == "failed"
    assert run.state == "failed"


class TestSkippedWork:
    def test_in_a_branch_that_was_not_chosen(self, registry: RegistryStore, run_between: RunBetween) -> None:
        @task.branch
        def choose() -> str:
            return "full"

        run = run_between(choose, ["full", "delta"])
        assert run.states["delta"] == "skipped"
        assert run.state == "success"
        assert the_partition(registry).state is PartitionState.READY

    def test_by_itself_is_not_proved(
        self, registry: RegistryStore, run_between: RunBetween, work: Any
    ) -> None:
        work.does |= {"one": "skip", "two": "skip"}
        assert run_between(["one", "two"]).state == "failed"
        assert the_partition(registry).reason == (
            "Work is not proved: one was stopped before it ended, or skipped itself; two was stopped before it ended, "
            "or skipped itself"
        )

    def test_together_with_its_lock(
        self, registry: RegistryStore, new_dag: NewDag, run_dag: RunDag, work: Any
    ) -> None:
        work.does["is_there_any"] = "skip"
        with new_dag() as dag:
            lock, unlock = a_pair()
            work("is_there_any") >> lock >> work("write") >> unlock
        run = run_dag(dag)
        assert run.state == "success"
        assert run.states["unlock"] == "skipped"
        assert states(registry) == {}


class TestSeveralPairs:
    def test_in_a_row(self, registry: RegistryStore, new_dag: NewDag, run_dag: RunDag, work: Any) -> None:
        work.does["write_clicks"] = "fail"
        with new_dag() as dag:
            lock, unlock = a_pair()
            lock_clicks, unlock_clicks = a_pair(CLICKS, "_clicks")
            chain(lock, work("write"), unlock, lock_clicks, work("write_clicks"), unlock_clicks)
        run = run_dag(dag)
        assert run.state == "failed"
        assert the_partition(registry).state is PartitionState.READY
        assert the_partition(registry, "clicks").reason == "Work is not proved: write_clicks failed"

    @pytest.mark.parametrize("names", [("", "_clicks"), ("_zzz", "_aaa")])
    @pytest.mark.parametrize("is_mapped", [False, True])
    def test_around_the_same_work(
        self,
        names: tuple[str, str],
        is_mapped: bool,
        registry: RegistryStore,
        new_dag: NewDag,
        run_dag: RunDag,
        work: Any,
    ) -> None:
        with new_dag() as dag:
            if is_mapped:
                lock, unlock = a_mapped_pair("sales", names[0])
                lock_clicks, unlock_clicks = a_mapped_pair("clicks", names[1])
            else:
                lock, unlock = a_pair(DAY, names[0])
                lock_clicks, unlock_clicks = a_pair(CLICKS, names[1])
            [lock, lock_clicks] >> work("write") >> [unlock, unlock_clicks]
        run = run_dag(dag)
        assert run.state == "success", run.errors
        published = dict.fromkeys(DAYS if is_mapped else DAYS[:1], "ready")
        assert states(registry) == states(registry, "clicks") == published

    def test_the_lock_named_by_its_task(
        self, registry: RegistryStore, new_dag: NewDag, run_dag: RunDag, work: Any
    ) -> None:
        whole_day = {"source_name": "sales", "start": "2026-11-01", "grain": "day"}
        with new_dag() as dag:
            far = PartitionLockOperator(task_id="far", **DAY)
            near = PartitionLockOperator(task_id="near", **CLICKS)
            unlock = PartitionUnlockOperator(task_id="unlock", lock_task_id="far", **whole_day)
            far >> near >> work("write") >> unlock
        run = run_dag(dag)
        assert run.state == "success"
        assert the_partition(registry).state is PartitionState.READY
        assert the_partition(registry, "clicks").state is PartitionState.LOCKED


def test_a_lock_in_a_group(registry: RegistryStore, new_dag: NewDag, run_dag: RunDag, work: Any) -> None:
    work.does["load"] = "fail"
    with new_dag() as dag:
        with TaskGroup("before") as before:
            PartitionLockOperator(task_id="lock", **DAY) >> work("extract")
        with TaskGroup("after") as after:
            work("load") >> PartitionUnlockOperator(task_id="unlock", **DAY)
        before >> after
    assert run_dag(dag).state == "failed"
    work_failed = the_partition(registry)
    assert work_failed.lock.holder.identity.endswith("/before.lock")
    assert work_failed.reason.startswith("Work is not proved: ")


def test_two_runs_write_the_partition_one_after_the_other(
    registry: RegistryStore, new_dag: NewDag, run_dag: RunDag, work: Any
) -> None:
    with new_dag() as dag:
        lock, unlock = a_pair()
        lock >> work("write") >> unlock
    assert [run_dag(dag).state for _ in range(2)] == ["success", "success"]
    assert the_partition(registry).generation == 2


def test_an_unlock_without_a_lock(
    registry: RegistryStore, new_dag: NewDag, run_dag: RunDag, work: Any
) -> None:
    with new_dag() as dag:
        work("write") >> PartitionUnlockOperator(task_id="unlock", **DAY)
    assert "no task upstream of unlock takes a lock" in str(run_dag(dag).error("unlock"))


@pytest.mark.parametrize("bad", [None, "2026-11-02"])
class TestMappedPartitions:
    @pytest.fixture
    def write(self, bad: str | None) -> Any:
        @task
        def write(day: str) -> None:
            if day == bad:
                raise RuntimeError("disk full")

        return write

    def test_by_mapped_tasks(
        self, bad: str | None, write: Any, registry: RegistryStore, run_between: RunBetween
    ) -> None:
        """Nothing says that equal map indexes belong together, so one failure puts all days in doubt."""
        run = run_between(lambda: write.expand(day=DAYS), pair=a_mapped_pair)
        assert run.state == ("failed" if bad else "success"), run.errors
        assert states(registry) == dict.fromkeys(DAYS, "failed" if bad else "ready")
        for index, day in enumerate(DAYS):
            partition = registry.get_partition(PartitionKey("sales", "loader", interval_at(day, "day")))
            assert partition.reason == ("Work is not proved: write[1] failed" if bad else None)
            assert partition.lock.holder.identity.endswith(f"/lock/{index}")

    def test_by_a_mapped_group(
        self, bad: str | None, write: Any, registry: RegistryStore, new_dag: NewDag, run_dag: RunDag
    ) -> None:
        @task_group
        def publish(day: str) -> None:
            lock, unlock = a_pair({"source_name": "sales", "start": day, "grain": "day"})
            lock >> write(day) >> unlock

        with new_dag() as dag:
            publish.expand(day=DAYS)
        run = run_dag(dag)
        assert run.state == ("failed" if bad else "success"), run.errors
        assert states(registry) == dict.fromkeys(DAYS, "ready") | ({bad: "failed"} if bad else {})


class TestMappedWork:
    def test_inside_one_partition(self, registry: RegistryStore, run_between: RunBetween) -> None:
        assert run_between(twelve_parts).state == "failed"
        assert the_partition(registry).reason == "Work is not proved: write_part[7] failed"

    def test_mapped_otherwise_than_the_lock(self, registry: RegistryStore, run_between: RunBetween) -> None:
        """Nobody knows which of the twelve parts belong to which day, so all days are in doubt."""
        assert run_between(twelve_parts, pair=a_mapped_pair).state == "failed"
        assert states(registry) == dict.fromkeys(DAYS, "failed")

    def test_nothing_to_map_over(self, registry: RegistryStore, run_between: RunBetween) -> None:
        @task
        def parts() -> list[int]:
            return []

        assert run_between(lambda: write_part.expand(part=parts())).states["unlock"] == "failed"
        assert the_partition(registry).reason == (
            "No work was done in place of what was skipped (write_part): write_part had nothing to map over"
        )

    def test_fewer_parts_after_a_clear(
        self, registry: RegistryStore, run_between: RunBetween, rerun: Rerun
    ) -> None:
        wanted = [1, 2, 7]

        @task
        def parts() -> list[int]:
            return list(wanted)

        run = run_between(lambda: write_part.expand(part=parts()))
        assert run.state == "failed"
        wanted.remove(7)
        again = rerun(run, "lock", "parts")
        assert again.state == "success", (again.states, again.errors)
        assert the_partition(registry).state is PartitionState.READY
