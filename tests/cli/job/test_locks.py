"""``run`` and other holders' locks: which run goes on, which waits, and which is stopped."""

from __future__ import annotations

import signal
import sys
import time
from datetime import timedelta

import pytest

from airflow_provider_partition_registry.domain.errors import PartitionLockedError
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.store.contract import RegistryStore
from tests.cli.job.conftest import PLACE, Registry, Running, is_alive, kill, registered, until

NEXT_DAY = Interval("2026-11-02", "2026-11-03")

SLEEP = ("sh", "-c", "echo $$; exec sleep 60")
LEASE = ("--lease", "6s", "--grace", "1s")


def test_two_runs_of_the_same_job_do_not_both_hold_the_lock(each_registry: Registry):
    first = each_registry.start("--", *SLEEP)
    first.line()
    code, errors = each_registry.run("--", "true")
    assert code == 5
    assert "is locked by" in errors
    first.send(signal.SIGTERM)
    assert first.end()[0] == 143


def test_the_lease_is_renewed_while_the_command_runs(each_registry: Registry):
    def events() -> list[str]:
        return [each.type.value for each in each_registry.history()]

    running = each_registry.start("--lease", "4s", "--grace", "1s", "--", "sh", "-c", "read word", stdin=-1)
    until(lambda: events().count("RENEW") == 2, "the lease to be renewed again and again")
    running.process.communicate("word\n", timeout=30)
    assert running.process.returncode == 0
    assert events()[-1] == "UNLOCK"


def test_a_run_that_is_killed_takes_its_command_along_and_keeps_the_lock_for_its_lease(
    each_registry: Registry,
):
    killed = each_registry.start("--lease", "2s", "--", *SLEEP)
    child = int(killed.line())
    kill(killed.pid)
    with pytest.raises(PartitionLockedError):
        each_registry.store.lock(PLACE, holder="next")
    until(lambda: not is_alive(child), "the command of the killed run to end")
    assert each_registry.run("--on-conflict", "wait", "--timeout", "30s", "--", "true") == (0, "")
    assert each_registry.partition.generation == 2


def test_a_stubborn_command_of_a_killed_run_is_killed(registry: Registry):
    killed = registry.start(
        "--grace", "1s", "--", "sh", "-c", "trap '' TERM; echo $$; while :; do sleep 0.1; done"
    )
    child = int(killed.line())
    kill(killed.pid)
    until(lambda: not is_alive(child), "the command of the killed run to end")


def test_a_retry_with_the_same_holder_goes_on_at_once(registry: Registry):
    killed = registry.start("--holder", "job-1", "--", *SLEEP)
    killed.line()
    kill(killed.pid)
    assert registry.run("--holder", "job-1", "--", "true") == (0, "")


def test_of_two_runs_with_the_same_holder_the_later_wins(each_registry: Registry):
    first = each_registry.start("--holder", "job-1", *LEASE, "--", *SLEEP)
    child = int(first.line())
    second = each_registry.start("--holder", "job-1", "--", "sh", "-c", "echo up; read wait", stdin=-1)
    assert second.line() == "up"
    code, errors = first.end()
    assert code == 5
    assert "Lost the lock" in errors
    assert "Not published" in errors
    assert not is_alive(child)
    second.process.stdin.close()
    second.process.stdin = None
    assert second.end()[0] == 1  # the command's read gets no line
    assert [each.type.value for each in each_registry.history() if each.type.value != "RENEW"] == [
        "PARTITION_REGISTERED",
        "LOCK",
        "LOCK",
        "FAIL",
    ]


@pytest.mark.parametrize("stubborn", [False, True])
def test_a_lock_taken_by_force_stops_the_command(registry: Registry, stubborn: bool):
    script = f"trap '{'' if stubborn else 'exit 0'}' TERM; echo $$; while :; do sleep 0.05; done"
    running = registry.start(*LEASE, "--", "sh", "-c", script)
    child = int(running.line())
    registry.store.force_release(PLACE, reason="wrong input", by="ann")
    code, errors = running.end()
    assert code == 5
    assert "It is failed now: wrong input (ann)." in errors
    assert "Not published" in errors
    assert not is_alive(child)
    assert registry.partition.reason == "wrong input (ann)"


def test_a_lock_that_somebody_else_has_now_stops_the_command(registry: Registry):
    running = registry.start(*LEASE, "--", *SLEEP)
    running.line()
    registry.store.force_release(PLACE, reason="x", by="ann")
    registry.store.lock(PLACE, holder="somebody")
    code, errors = running.end()
    assert code == 5
    assert "It is locked by somebody since" in errors
    assert registry.partition.state.value == "locked"


def test_a_lock_lost_just_before_the_end_publishes_nothing(registry: Registry):
    running = registry.start("--", "sh", "-c", "echo up; read wait; exit 0", stdin=-1)
    running.line()
    registry.store.force_release(PLACE, reason="x", by="ann")
    running.process.stdin.write("\n")
    running.process.stdin.flush()
    code, errors = running.end()
    assert code == 5
    assert "The command succeeded, but nothing is published." in errors
    assert registry.partition.state.value == "failed"


def test_waiting_for_somebody_elses_lock(each_registry: Registry):
    locked = each_registry.store.lock(PLACE, holder="somebody", register=True)
    waiting = each_registry.start("--on-conflict", "wait", "--verbose", "--", "true")
    assert "Still waiting." in waiting.error_line()
    each_registry.store.unlock(PLACE, generation=locked.generation)
    code, errors = waiting.end()
    assert code == 0
    assert "Published" in errors


SELDOM_ASKING = (
    "import sys; from airflow_provider_partition_registry.cli import main; "
    "from airflow_provider_partition_registry.cli.job import retrying; "
    "retrying.FIRST_PAUSE = retrying.LONGEST_PAUSE = 60.0; del sys.argv[0]; main()"
)


@pytest.mark.postgres
def test_postgres_wakes_a_run_that_waits(postgres_url: str):
    registry = registered(postgres_url)
    with registry.store as store:
        store.lock(PLACE, holder="somebody", register=True)
        waiting = registry.start(
            *("--on-conflict", "wait", "--timeout", "30s", "--verbose", "--", "true"),
            wrapper=(sys.executable, "-c", SELDOM_ASKING),
        )
        assert "Still waiting." in waiting.error_line()
        store.unlock(PLACE, holder="somebody")
        until(lambda: is_over(waiting, store), "the run to be woken and to end")
        assert waiting.end()[0] == 0


def is_over(waiting: Running, store: RegistryStore) -> bool:
    """Whether the run has ended. If not, cause a change, as it may not have been listening at the last one."""
    store.lock(PartitionKey("sales", "nightly", NEXT_DAY), register=True)
    return waiting.process.poll() is not None


def test_a_wait_for_a_lock_times_out(registry: Registry):
    registry.store.lock(PLACE, holder="somebody", register=True)
    began = time.monotonic()
    code, errors = registry.run("--on-conflict", "wait", "--timeout", "1s", "--", "false")
    assert code == 3
    assert "The command was not run." in errors
    assert "somebody" in errors
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_a_run_that_waits(registry: Registry, signum: int, code: int):
    registry.store.lock(PLACE, holder="somebody", register=True)
    waiting = registry.start("--on-conflict", "wait", "--verbose", "--", "true")
    waiting.error_line()
    waiting.send(signum)
    ended, errors = waiting.end()
    assert ended == code
    assert "The command was not run." in errors


def test_an_expired_lock_is_taken_over(registry: Registry):
    registry.store.lock(PLACE, holder="gone", register=True, lease=timedelta(milliseconds=1))
    assert registry.run("--", "true") == (0, "")


def test_a_lease_may_be_longer_than_python_can_wait(registry: Registry):
    assert registry.run("--lease", "2000000d", "--", "sleep", "0.1") == (0, "")


def test_exclusive(registry: Registry):
    token = registry.store.register_source("other", "ann").access_token
    registry.store.register_provider("hourly", token)
    running = registry.start("--exclusive", "--", *SLEEP)
    running.line()
    lock = registry.partition.lock
    assert lock is not None
    assert lock.exclusive
