"""Whichever process of a run is stopped or killed, the command never writes beyond its lease."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import Any

import pytest

from airflow_provider_partition_registry.domain.errors import PartitionLockedError
from tests.cli.job.conftest import PLACE, Registry, Running, guardian_of, is_alive, kill, state, until

LOOP = "echo $$; while :; do sleep 0.05; done"
DEAF = f"trap '' TERM; sh -c '{LOOP}' & {LOOP}"
TWO = "sh -c 'echo $$; exec sleep 60' & echo $$; read word; kill $!; wait; exit 0"


def start(registry: Registry, script: str, *options: str, **more: Any) -> tuple[Running, list[int]]:
    """A run, and the process numbers of its command and of the command's child."""
    running = registry.start(*options, "--", "sh", "-c", script, stdin=subprocess.PIPE, **more)
    return running, [int(running.line()), int(running.line())]


def alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if is_alive(pid)]


def until_locked_by_the_next(registry: Registry) -> None:
    def lock() -> bool:
        try:
            registry.store.lock(PLACE, holder="next")
        except PartitionLockedError:
            return False
        return True

    until(lock, "the lease of the run to be over")


@pytest.mark.parametrize("stop", [signal.SIGSTOP, signal.SIGKILL])
def test_the_command_is_gone_before_another_run_can_lock(registry: Registry, stop: int):
    running, pids = start(registry, DEAF, "--lease", "3s", "--grace", "1m")
    running.send(stop)
    until_locked_by_the_next(registry)
    assert alive(pids) == []
    running.send(signal.SIGCONT)
    code, errors = running.end()
    if stop == signal.SIGSTOP:
        assert code == 5
        assert "Lost the lock" in errors
        assert registry.partition.state.value == "locked"


def test_a_run_that_was_stopped_for_a_moment_goes_on(registry: Registry):
    running, pids = start(registry, TWO, "--lease", "1m")
    running.send(signal.SIGSTOP)
    until(lambda: state(running.pid) == "T", "the run to stop")
    running.send(signal.SIGCONT)
    running.process.communicate("\n", timeout=30)
    assert running.process.returncode == 0
    assert alive(pids) == []


def test_a_stop_signal_is_passed_on_to_the_command(registry: Registry):
    running, pids = start(registry, TWO, "--lease", "1m", process_group=0)
    for _ in range(2):
        running.send(signal.SIGTSTP)
        until(lambda: [state(each) for each in (running.pid, *pids)] == ["T"] * 3, "all to stop")
        running.send(signal.SIGCONT)
        until(lambda: "T" not in [state(each) for each in (running.pid, *pids)], "all to go on")
    running.process.communicate("\n", timeout=30)
    assert running.process.returncode == 0


def test_a_run_that_cannot_be_stopped_leaves_nothing_stopped(registry: Registry):
    """If no shell could wake it, the kernel does not stop a process on SIGTSTP."""
    running, pids = start(registry, TWO, "--lease", "1m", start_new_session=True)
    running.send(signal.SIGTSTP)
    running.process.communicate("\n", timeout=30)
    assert running.process.returncode == 0
    assert alive(pids) == []


def test_a_run_whose_guardian_is_killed_ends_the_command(registry: Registry):
    running, pids = start(registry, TWO)
    kill(guardian_of(running))
    code, errors = running.end()
    assert code == 137
    assert "Marked as failed" in errors
    assert alive(pids) == []
    assert registry.partition.state.value == "failed"


def test_a_run_whose_guardian_is_killed_ends_also_what_the_command_left(registry: Registry):
    script = "setsid sh -c 'echo $$; exec sleep 60' & echo $$; exit 0"
    running, pids = start(registry, script)
    assert "left running" in running.error_line()
    kill(guardian_of(running))
    assert running.end()[0] != 0
    assert alive(pids) == []
    assert registry.partition.state.value == "failed"


def test_a_command_whose_run_and_guardian_are_both_killed_is_killed(registry: Registry):
    running, pids = start(registry, TWO)
    guardian = guardian_of(running)
    running.send(signal.SIGSTOP)
    kill(guardian)
    kill(running.pid)
    until(lambda: not is_alive(pids[1]) or not is_alive(pids[0]), "the command to end")
    kill(max(pids))


def test_a_guardian_that_is_stopped_is_woken(registry: Registry):
    running, _ = start(registry, TWO, "--lease", "2s")
    os.kill(guardian_of(running), signal.SIGSTOP)
    running.process.communicate("\n", timeout=30)
    assert running.process.returncode == 0
    assert registry.partition.state.value == "ready"


@pytest.mark.parametrize(
    "signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1]
)
def test_signals_do_not_end_the_guardian(registry: Registry, signum: int):
    """Service managers send signals to every process."""
    running, pids = start(registry, TWO)
    os.kill(guardian_of(running), signum)
    running.process.communicate("\n", timeout=30)
    assert running.process.returncode == 0
    assert alive(pids) == []
