"""Processes that a command leaves running: the partition is not finished while one of them may still write."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.job.conftest import Registry, is_alive, kill

DAEMON = (
    "import os, time\n"
    "if os.fork(): os._exit(0)\n"
    "os.setsid()\n"
    "if os.fork(): os._exit(0)\n"
    "print(os.getpid(), flush=True); time.sleep(60)\n"
)
GROUP = "import os, time; os.setpgid(0, 0); print(os.getpid(), flush=True); time.sleep(60)"
WAYS = {
    "in the background": "sh -c 'echo $$; exec sleep 60' &",
    "in a session of its own": "setsid sh -c 'echo $$; exec sleep 60' &",
    "as a daemon": f'{sys.executable} -c "{DAEMON}"',
    "in a group of its own": f'{sys.executable} -c "{GROUP}" &',
}
EACH_WAY = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


def leaving(way: str, end: str) -> tuple[str, ...]:
    return ("sh", "-c", f"{way}\nread word\n{end}")


def let_end(process: subprocess.Popen[str]) -> None:
    process.stdin.write("\n")
    process.stdin.flush()


@EACH_WAY
def test_processes_left_running_after_a_success_are_waited_for(registry: Registry, way: str):
    running = registry.start("--", *leaving(way, "exit 0"), stdin=-1)
    left = int(running.line())
    let_end(running.process)
    told = running.error_line()
    assert "'sh' ended with exit code 0, but left running: " in told
    assert str(left) in told
    assert registry.partition.state.value == "locked"
    kill(left)
    assert running.end() == (0, "")
    assert registry.partition.state.value == "ready"


def test_nothing_is_published_before_the_last_has_written(registry: Registry, tmp_path: Path):
    written, gate = tmp_path / "written", tmp_path / "gate"
    os.mkfifo(gate)
    script = f"(read word <{gate}; echo done >{written}) & exit 0"
    running = registry.start("--lease", "2s", "--", "sh", "-c", script)
    assert "left running" in running.error_line()
    while [each.type.value for each in registry.history()].count("RENEW") < 2:
        assert registry.partition.state.value == "locked"
    gate.write_text("\n")
    assert running.end() == (0, "")
    assert (written.read_text(), registry.partition.state.value) == ("done\n", "ready")


@EACH_WAY
@pytest.mark.parametrize("end", ["exit 1", "kill -9 $$"])
def test_processes_left_running_after_a_failure_are_ended_first(registry: Registry, way: str, end: str):
    running = registry.start("--", *leaving(way, end), stdin=-1)
    left = int(running.line())
    let_end(running.process)
    code, _ = running.end()
    assert code == {"exit 1": 1, "kill -9 $$": 137}[end]
    assert not is_alive(left)
    assert registry.partition.state.value == "failed"


@EACH_WAY
def test_a_run_that_is_told_to_end_ends_all_of_it(registry: Registry, way: str):
    running = registry.start("--", *leaving(way, "exit 0"), stdin=-1)
    left = int(running.line())
    let_end(running.process)
    assert "left running" in running.error_line()
    running.send(signal.SIGTERM)
    assert running.end()[0] == 143
    assert not is_alive(left)
    reason = registry.partition.reason or ""
    assert reason.startswith("'sh' ended with exit code 0 after the run got SIGTERM.") or (
        "what it left running" in reason
    )


def test_processes_that_ignore_signals_are_killed(registry: Registry):
    script = "setsid sh -c 'trap \"\" TERM; echo $$; while :; do sleep 0.1; done' & read word; exit 1"
    running = registry.start("--grace", "1s", "--", "sh", "-c", script, stdin=-1)
    left = int(running.line())
    let_end(running.process)
    assert running.end()[0] == 1
    assert not is_alive(left)


@pytest.mark.parametrize("start", ["", "setsid "])
def test_a_chain_of_processes_that_start_each_other_is_ended(registry: Registry, start: str, tmp_path: Path):
    """Each process starts the next one and ends."""
    relay = tmp_path / "relay"
    relay.write_text(f"#!/bin/sh\ntrap '' TERM\necho x >>{tmp_path}/log\nsleep 0.01\n\"$0\" &\n")
    relay.chmod(0o755)
    script = f"{start}{relay} & sleep 0.3; exit 1"
    assert registry.run("--grace", "1s", "--", "sh", "-c", script)[0] == 1
    written = (tmp_path / "log").stat().st_size
    assert written > 0
    assert registry.run("--", "sleep", "0.5")[0] == 0
    assert (tmp_path / "log").stat().st_size == written


def test_crowds_of_short_lived_children_hold_nothing_up(registry: Registry):
    script = "i=0; while [ $i -lt 300 ]; do i=$((i+1)); (exit 5) & done; exit 0"
    assert registry.run("--", "sh", "-c", script) == (0, "")


def test_a_helper_that_the_command_ends_itself_is_not_reported(registry: Registry):
    assert registry.run("--", "sh", "-c", "trap 'kill $!' EXIT; sleep 60 & exit 0") == (0, "")
