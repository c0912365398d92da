"""The task group ``partition_lock``: whole DAG runs in which it locks, guards and publishes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import BaseOperator, TaskGroup, chain, task, task_group

from airflow_provider_partition_registry.domain.errors import InvalidInputError, PartitionLockedError
from airflow_provider_partition_registry.domain.models import EventType, PartitionKey, PartitionState
from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.task_groups.partition_registry import partition_lock
from tests.airflow.registries import DAY, THE_DAY, publish, the_partition
from tests.airflow.runs import NewDag, Rerun, Run, RunDag

try:
    from airflow.providers.standard.operators.empty import EmptyOperator
except ImportError:  # Airflow 2
    from airflow.operators.empty import EmptyOperator

DAYS = ["2026-11-01", "2026-11-02", "2026-11-03"]


def history(registry: RegistryStore) -> list[str]:
    """What happened to the day, without its registration."""
    found = registry.events(source_name="sales").items
    return [
        each.type.value for each in found if each.interval and each.type is not EventType.PARTITION_REGISTERED
    ]


@pytest.fixture
def seen(registry: RegistryStore) -> list[tuple[str, str]]:
    """The partition's state while each task ran."""
    return []


@pytest.fixture
def work(registry: RegistryStore, seen: list[tuple[str, str]]) -> Callable[..., Any]:
    """Makes work that notes the partition's state, then does what ``work.does`` has for its name."""

    def make(name: str = "write") -> Any:
        @task(task_id=name)
        def run() -> None:
            seen.append((name, the_partition(registry).state.value))
            if name in make.does:
                make.does[name]()

        return run()

    make.does = {}
    return make


def fail() -> None:
    raise RuntimeError("disk full")


@pytest.fixture
def run_group(new_dag: NewDag, run_dag: RunDag, work: Any) -> Callable[..., Run]:
    """Runs a DAG with these steps in a group that locks the day, and a task after the group.

    A step is the name of some work, a list of such, or a function that makes a task.
    """

    def made(step: Any) -> Any:
        if isinstance(step, list):
            return [made(each) for each in step]
        return work(step) if isinstance(step, str) else step()

    def run(*steps: Any, **arguments: Any) -> Run:
        with new_dag() as dag:
            with partition_lock("day", **DAY, **arguments) as group:
                chain(*[made(step) for step in steps])
            group >> work("after")
        return run_dag(dag)

    return run


class TestItsWiring:
    def test_the_work_runs_under_the_lock_and_what_follows_after_the_publication(
        self, registry: RegistryStore, run_group: Any, seen: Any
    ) -> None:
        run = run_group("extract", ["load", "index"])
        assert run.state == "success", run.errors
        assert dict(seen) == dict.fromkeys(["extract", "load", "index"], "locked") | {"after": "ready"}
        assert history(registry) == ["LOCK", "UNLOCK"]

    def test_what_follows_does_not_run_if_nothing_was_published(
        self, registry: RegistryStore, run_group: Any, work: Any
    ) -> None:
        work.does["load"] = fail
        run = run_group("extract", "load")
        assert (run.state, run.states["day.unlock"], run.states["after"]) == (
            "failed",
            "failed",
            "upstream_failed",
        )
        assert the_partition(registry).reason == "Work is not proved: day.load failed"

    def test_nested_groups_and_mapped_tasks_are_inside(
        self, registry: RegistryStore, new_dag: NewDag, run_dag: RunDag, seen: Any
    ) -> None:
        """A mapped task gets no edge from Airflow's own setup and teardown."""

        @task
        def part(number: int) -> None:
            seen.append((str(number), the_partition(registry).state.value))

        @task
        def parts() -> list[int]:
            return [1, 2]

        with new_dag() as dag, partition_lock("day", **DAY):
            part.expand(number=[7, 8])
            with TaskGroup("inner"), TaskGroup("innermost"):
                part.override(task_id="last").expand(number=parts())
        run = run_dag(dag)
        assert run.state == "success", run.errors
        assert dict(seen) == dict.fromkeys(["7", "8", "1", "2"], "locked")

    def test_one_in_each_instance_of_a_mapped_group(
        self, registry: RegistryStore, new_dag: NewDag, run_dag: RunDag
    ) -> None:
        @task
        def write(day: str) -> None:
            if day == DAYS[1]:
                raise RuntimeError("disk full")

        @task_group
        def each(day: str) -> None:
            with partition_lock("locked", source_name="sales", start=day, grain="day"):
                write(day)

        with new_dag() as dag:
            each.expand(day=DAYS)
        assert run_dag(dag).state == "failed"
        found = registry.list_partitions("sales").items
        assert [partition.state.value for partition in found] == ["ready", "failed", "ready"]

    def test_two_around_each_other(
        self, registry: RegistryStore, new_dag: NewDag, run_dag: RunDag, work: Any
    ) -> None:
        with (
            new_dag() as dag,
            partition_lock("sales", **DAY),
            partition_lock("clicks", **DAY | {"source_name": "clicks"}),
        ):
            work("write")
        run = run_dag(dag)
        assert run.state == "success", run.errors
        assert the_partition(registry, "clicks").state is PartitionState.READY

    def test_a_reader_of_a_task_in_the_group_is_not_part_of_the_work(
        self, registry: RegistryStore, new_dag: NewDag, run_dag: RunDag
    ) -> None:
        @task
        def load() -> int:
            return 1

        @task
        def report(rows: int) -> None:
            raise RuntimeError("no printer")

        with new_dag() as dag:
            with partition_lock("day", **DAY):
                rows = load()
            report(rows)
        run_dag(dag)
        assert the_partition(registry).state is PartitionState.READY

    def test_no_work(self, registry: RegistryStore, new_dag: NewDag) -> None:
        with (
            pytest.raises(InvalidInputError, match="no task in it writes anything"),
            new_dag(),
            partition_lock("day", **DAY),
        ):
            pass

    def test_work_that_would_run_without_the_lock(
        self, registry: RegistryStore, new_dag: NewDag, work: Any
    ) -> None:
        with (
            pytest.raises(InvalidInputError, match="although the partition could not be locked"),
            new_dag(),
            partition_lock("day", **DAY),
        ):
            work("write").operator.trigger_rule = "all_done"

    def test_an_error_inside_is_not_hidden(self, registry: RegistryStore, new_dag: NewDag) -> None:
        with pytest.raises(ZeroDivisionError), new_dag(), partition_lock("day", **DAY):
            1 / 0  # noqa: B018


class TestItsGuard:
    def test_cleared_work_locks_again_before_it_writes(
        self, registry: RegistryStore, run_group: Any, rerun: Rerun, seen: Any
    ) -> None:
        run = run_group("extract", "load")
        seen.clear()
        as_of = registry.last_position()
        again = rerun(run, "day.extract")
        assert again.state == "success", again.errors
        assert dict(seen) == {"extract": "locked", "load": "locked", "after": "ready"}
        assert registry.changed_since("sales", THE_DAY, as_of)

    def test_cleared_work_that_fails_leaves_nothing_ready(
        self, registry: RegistryStore, run_group: Any, rerun: Rerun, work: Any
    ) -> None:
        run = run_group("extract", "load")
        work.does["load"] = fail
        rerun(run, "day.extract")
        assert the_partition(registry).state is PartitionState.FAILED

    def test_a_lock_lost_between_two_tasks_leaves_the_first_unproved(
        self, registry: RegistryStore, run_group: Any, work: Any, seen: Any
    ) -> None:
        work.does["extract"] = lambda: registry.force_release(
            PartitionKey("sales", "loader", THE_DAY), reason="it hangs", by="an operator"
        )
        run = run_group("extract", "load")
        assert dict(seen)["load"] == "locked"
        assert run.states["day.unlock"] == "failed"
        assert "day.extract succeeded, but began under an earlier lock (generation 1" in str(
            the_partition(registry).reason
        )

    def test_somebody_elses_lock_keeps_the_work_from_starting(
        self, registry: RegistryStore, run_group: Any, work: Any, seen: Any
    ) -> None:
        def lose() -> None:
            registry.force_release(
                PartitionKey("sales", "loader", THE_DAY), reason="it hangs", by="an operator"
            )
            registry.lock(PartitionKey("sales", "loader", THE_DAY), holder="somebody")

        work.does["extract"] = lose
        run = run_group("extract", "load")
        assert [name for name, _ in seen] == ["extract"]
        assert isinstance(run.error("day.load"), PartitionLockedError)
        partition = the_partition(registry)
        assert (partition.state, partition.lock.holder.identity) == (PartitionState.LOCKED, "somebody")

    def test_stands_before_whatever_the_task_does_first(
        self, registry: RegistryStore, new_dag: NewDag, run_dag: RunDag, seen: Any
    ) -> None:
        """The guard runs before a hook of the task's own, and before methods that an operator overrides."""

        def note(name: str) -> None:
            seen.append((name, the_partition(registry).state.value))

        class Own(BaseOperator):
            def execute(self, context: Any) -> None:
                note("execute")

            def post_execute(self, context: Any, result: Any = None) -> None:
                note("post_execute")

        def publish_it(context: Any) -> None:
            registry.force_release(PartitionKey("sales", "loader", THE_DAY), reason="hands", by="an operator")

        with new_dag() as dag, partition_lock("day", **DAY):
            hooked = Own(task_id="hooked", pre_execute=lambda context: note("own hook"))
            Own(task_id="before", pre_execute=publish_it) >> hooked
        run_dag(dag)
        assert ("own hook", "locked") in seen
        assert dict(seen)["execute"] == "locked"

    def test_a_lock_marked_as_done_by_hand_is_taken_by_the_work(
        self, registry: RegistryStore, run_group: Any, rerun: Rerun, work: Any, seen: Any
    ) -> None:
        publish(registry)
        work.does["extract"] = lambda: None
        run = run_group("extract")
        assert run.state == "success"
        assert dict(seen)["extract"] == "locked"


class TestWhatTheDagSkips:
    @staticmethod
    def stop(after: bool = False) -> Callable[[], Any]:
        @task.short_circuit
        def decide() -> bool:
            return after

        return decide

    @staticmethod
    def branch_to(*chosen: str) -> Callable[[], Any]:
        @task.branch
        def choose() -> list[str]:
            return [f"day.{name}" for name in chosen]

        return choose

    def test_one_branch_of_two(self, registry: RegistryStore, run_group: Any) -> None:
        run = run_group(self.branch_to("full"), ["full", "delta"])
        assert run.state == "success", run.errors
        assert the_partition(registry).state is PartitionState.READY

    def test_the_branch_that_was_chosen_failed(
        self, registry: RegistryStore, run_group: Any, work: Any
    ) -> None:
        work.does["full"] = fail
        run_group(self.branch_to("full"), ["full", "delta"])
        assert the_partition(registry).reason == "Work is not proved: day.full failed"

    @pytest.mark.parametrize(
        ("on_skipped", "state", "of_unlock"),
        [("fail", "failed", "failed"), ("publish", "ready", "success"), ("unchanged", "ready", "skipped")],
    )
    @pytest.mark.parametrize("way", ["short circuit", "branch to nothing", "branch to an empty task"])
    def test_a_decision_against_all_work(
        self, way: str, on_skipped: str, state: str, of_unlock: str, registry: RegistryStore, run_group: Any
    ) -> None:
        publish(registry)
        published_at = the_partition(registry).published_at
        steps = {
            "short circuit": (self.stop(), "load"),
            "branch to nothing": (self.branch_to(), ["load"]),
            "branch to an empty task": (
                self.branch_to("nothing"),
                ["load", lambda: EmptyOperator(task_id="nothing")],
            ),
        }
        run = run_group(*steps[way], on_skipped=on_skipped)
        assert (the_partition(registry).state.value, run.states["day.unlock"]) == (state, of_unlock)
        assert (the_partition(registry).published_at == published_at) is (on_skipped == "unchanged")

    def test_a_decision_after_some_work(self, registry: RegistryStore, run_group: Any) -> None:
        run = run_group("extract", self.stop(), "load", on_skipped="unchanged")
        assert run.states["day.unlock"] == "failed"
        assert the_partition(registry).reason == (
            "day.decide decided against the rest, but data was written under this lock: day.extract ran"
        )

    def test_a_handler_of_failures_that_had_none_to_handle(
        self, registry: RegistryStore, run_group: Any, work: Any
    ) -> None:
        @task(trigger_rule="one_failed")
        def alert() -> None:
            pass

        run = run_group("load", alert)
        assert run.states["day.alert"] == "skipped"
        assert the_partition(registry).state is PartitionState.READY
