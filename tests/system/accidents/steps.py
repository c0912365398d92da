"""What happens in an accident, step by step: each function makes a step, which is then taken in a performance."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from airflow_provider_partition_registry.domain.models import EventType, PartitionKey, PartitionState
from testbed.http_json import ApiError
from tests.system.accidents.performance import OTHER_HOLDER, SOURCE, TIMEOUT, WRITER, Performance

Step = Callable[[Performance], object]

ATTEMPTS = 10

KEPT_FROM_IT = ("failed", "upstream_failed", "skipped")


# Cues


def go(*names: str) -> Step:
    """From now on these tasks end well, each time they run."""

    def step(performance: Performance) -> None:
        for name in names:
            performance.journal.cue(name, "go")

    return step


def go_once(name: str, time_number: int = 1) -> Step:
    return lambda performance: performance.journal.cue(name, "go", time_number)


def fail_once(name: str, time_number: int = 1) -> Step:
    return lambda performance: performance.journal.cue(name, "fail", time_number)


# Waiting


def begins(name: str, time_number: int = 1) -> Step:
    return lambda performance: performance.wait_for(name, "begin", time_number)


def begins_or_fails(name: str) -> Step:
    """The task begins to write, or is kept from it, if only because its run is over."""
    return lambda performance: performance.wait_for_airflow(
        lambda: (
            performance.journal.times(name, "begin")
            or performance.state(name) in KEPT_FROM_IT
            or performance.is_over
        ),
        f"{name} to begin or to fail",
    )


def ends(name: str, time_number: int = 1) -> Step:
    return lambda performance: performance.wait_for(name, "end", time_number)


def granted(time_number: int = 1) -> Step:
    """The lock task has the registry's word, and has not told Airflow yet."""
    return lambda performance: performance.wait_for("lock", "granted", time_number)


def is_in_state(name: str, *states: str | None) -> Step:
    return lambda performance: performance.wait_for_state(name, *states)


def run_ends(timeout: float = TIMEOUT) -> Step:
    return lambda performance: performance.wait_for_end(timeout)


def becomes(state: PartitionState) -> Step:
    return lambda performance: performance.wait_until(
        lambda: performance.partition_state() is state, f"the partition to be {state.value}"
    )


def generation(number: int) -> Step:
    """The lock has been granted so many times."""

    def is_reached(performance: Performance) -> bool:
        partition = performance.partition()
        return partition is not None and partition.generation == number

    return lambda performance: performance.wait_until(lambda: is_reached(performance), f"generation {number}")


def published() -> Step:
    """The data are good, and the registry says so: an accident happens to what readers may read."""
    return becomes(PartitionState.READY)


def reads_what_is_ready(name: str) -> Step:
    """A reader behind the unlock begins, and what it reads is ready."""

    def step(performance: Performance) -> None:
        performance.wait_for(name, "read")
        assert performance.partition_state() is PartitionState.READY, f"{name} reads what is not published"

    return step


# Hands


def mark_run(state: str) -> Step:
    return lambda performance: performance.instance.hands.mark_run(
        performance.dag_id, performance.run_id, state
    )


def mark(name: str, state: str) -> Step:
    return lambda performance: performance.instance.hands.mark_task(
        performance.dag_id, performance.run_id, performance.task_id(name), state
    )


def vouch_for(name: str) -> Step:
    """A person answers for the data of a running task, and says so by marking it as success."""

    def step(performance: Performance) -> None:
        performance.journal.vouch(name)
        mark(name, "success")(performance)

    return step


def clear(name: str, *, downstream: bool = True) -> Step:
    return lambda performance: performance.instance.hands.clear_task(
        performance.dag_id, performance.run_id, performance.task_id(name), downstream=downstream
    )


def clear_run() -> Step:
    return lambda performance: performance.instance.hands.clear_run(performance.dag_id, performance.run_id)


def delete_run() -> Step:
    return lambda performance: performance.instance.hands.delete_run(performance.dag_id, performance.run_id)


def delete_dag() -> Step:
    """For a DAG of the accident's own: all runs of the DAG are gone afterwards."""
    return lambda performance: performance.instance.hands.delete_dag(performance.dag_id)


def clear_and_delete_dag(name: str) -> Step:
    """Clear a running task and delete the DAG before the task runs again; until the hand was quick enough."""

    def step(performance: Performance) -> None:
        for _ in range(ATTEMPTS):
            clear(name, downstream=False)(performance)
            try:
                delete_dag()(performance)
                return
            except ApiError as error:
                if error.status != HTTPStatus.CONFLICT:
                    raise
        raise AssertionError(f"{name} ran again each time before the DAG was deleted")

    return step


def kill(name: str, *, with_supervisor: bool = False) -> Step:
    return lambda performance: performance.kill(name, with_supervisor=with_supervisor)


# Others


def registry_falls_silent() -> Step:
    """For the DAG ``frail``: its registry answers nobody any more, and still tells the watcher the truth."""
    return lambda performance: performance.silence_registry()


def registry_speaks_again() -> Step:
    return lambda performance: performance.end_silence()


def somebody_else_locks() -> Step:
    """Another run of the same writer holds the partition."""
    return lambda performance: performance.registry.lock(
        PartitionKey(SOURCE, WRITER, performance.day), holder=OTHER_HOLDER, register=True
    )


def somebody_else_unlocks() -> Step:
    return lambda performance: performance.registry.unlock(
        PartitionKey(SOURCE, WRITER, performance.day), holder=OTHER_HOLDER
    )


def another_run_is_refused() -> Step:
    """A second run on the same partition cannot take the lock meanwhile."""

    def step(performance: Performance) -> None:
        api, dag_id = performance.instance.api, performance.dag_id
        run_id = api.trigger_run(dag_id, performance.conf)
        assert api.wait_for_run(dag_id, run_id, TIMEOUT) == "failed"

    return step


def backfill() -> Step:
    """Somebody has the day written by a backfill, too."""
    return lambda performance: performance.start_backfill()


def backfill_is_told_who_writes() -> Step:
    """Its lock task says whose lock is in its way."""
    return lambda performance: performance.wait_for_airflow(
        lambda: performance.run_id in performance.log_of_backfill("lock"),
        "the backfill to be told who writes",
    )


def backfill_ends(state: str) -> Step:
    def step(performance: Performance) -> None:
        ended = performance.instance.api.wait_for_run(performance.dag_id, performance.backfill_id, TIMEOUT)
        assert ended == state, f"the backfill's run is {ended}, not {state}"

    return step


def lock_is_held_by_run() -> Step:
    """Nobody has taken it from the run."""

    def step(performance: Performance) -> None:
        partition = performance.partition()
        assert partition is not None
        assert partition.lock is not None
        assert (partition.state, partition.generation) == (PartitionState.LOCKED, 1)
        assert performance.run_id in partition.lock.holder.identity

    return step


def locked_in_turn() -> Step:
    """First the run had the lock, then its backfill."""

    def step(performance: Performance) -> None:
        holders = [event.holder or "" for event in performance.events() if event.type is EventType.LOCK]
        in_turn = (performance.run_id, performance.backfill_id)
        assert len(holders) == len(in_turn), f"locked by {holders}"
        assert all(run_id in holder for run_id, holder in zip(in_turn, holders, strict=True)), holders

    return step
