"""``run`` on a terminal: keys, a shell's job control, and the guarantees that hold everywhere."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_partition_registry.cli.options import URL_VARIABLE
from tests.cli.job.conftest import OPTIONS, PLACE, SCRIPT, Registry, is_alive, kill, state, until

TWO = "setsid sh -c 'echo pid $$; exec sleep 60' & sh -c 'echo pid $$; exec sleep 60' & echo pid $$; wait"


class Terminal:
    """A program on a terminal; by default a run."""

    def __init__(
        self,
        registry: Registry,
        *command: str,
        program: tuple[str, ...] = (str(SCRIPT), "run", *OPTIONS, "--"),
    ) -> None:
        self.pid, self.screen = pty.fork()
        if self.pid == 0:
            os.environ[URL_VARIABLE] = registry.url
            os.environ["PS1"] = "shell> "
            os.execv(program[0], [*program, *command])
        self.shown = ""

    def type(self, keys: str) -> None:
        os.write(self.screen, keys.encode())

    def until(self, text: str) -> None:
        while text not in self.shown:
            self.shown += os.read(self.screen, 1000).decode()

    def pids(self, count: int) -> list[int]:
        """The process ids that the command has printed."""
        while len(found := re.findall(r"pid (\d+)\r\n", self.shown)) < count:
            self.shown += os.read(self.screen, 1000).decode()
        return [int(each) for each in found]

    def end(self) -> int:
        with contextlib.suppress(OSError):  # how Linux reports that the other side is closed
            while chunk := os.read(self.screen, 1000):
                self.shown += chunk.decode()
        os.close(self.screen)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if is_alive(pid)]


def test_the_command_reads_what_is_typed(registry: Registry):
    terminal = Terminal(registry, "sh", "-c", 'echo up; read word; test "$word" = hello')
    terminal.until("up")
    terminal.type("hello\n")
    assert terminal.end() == 0
    assert "Published partition [2026-11-01" in terminal.shown


def test_ctrl_c_reaches_the_command_once(registry: Registry):
    program = (
        "import signal, time; got = []; signal.signal(signal.SIGINT, lambda *_: got.append(1)); "
        "print('up', flush=True); time.sleep(0.5); raise SystemExit(40 + len(got))"
    )
    terminal = Terminal(registry, sys.executable, "-c", program)
    terminal.until("up")
    terminal.type("\x03")
    assert terminal.end() == 41


def test_an_interrupted_command_that_exits_with_0_has_failed(registry: Registry):
    terminal = Terminal(registry, "sh", "-c", "trap 'exit 0' INT; echo up; while :; do sleep 0.05; done")
    terminal.until("up")
    terminal.type("\x03")
    assert terminal.end() == 130
    assert registry.partition.state.value == "failed"


def _kill(terminal: Terminal, _registry: Registry) -> None:
    kill(terminal.pid)


def _take_away(_terminal: Terminal, registry: Registry) -> None:
    registry.store.force_release(PLACE, reason="x", by="ann")


def _tell_to_end(terminal: Terminal, _registry: Registry) -> None:
    os.kill(terminal.pid, signal.SIGTERM)


def _interrupt(terminal: Terminal, _registry: Registry) -> None:
    terminal.type("\x03")


def _hang_up(terminal: Terminal, _registry: Registry) -> None:
    os.close(terminal.screen)
    terminal.screen = os.open(os.devnull, os.O_RDONLY)


@pytest.mark.parametrize("end", [_kill, _take_away, _tell_to_end, _interrupt, _hang_up])
def test_nothing_of_the_command_is_left(registry: Registry, end: Callable[[Terminal, Registry], None]):
    terminal = Terminal(registry, "sh", "-c", TWO)
    pids = terminal.pids(3)
    end(terminal, registry)
    assert terminal.end() != 0
    until(lambda: not alive(pids), "all that the command started to end")


def run_in_shell(registry: Registry, folder: Path, *options: str) -> tuple[Terminal, list[int]]:
    """A run in an interactive shell, and the process ids of its command."""
    script = folder / "command"
    script.write_text("sh -c 'echo pid $$; exec sleep 60' & echo pid $$; wait\n")
    script.chmod(0o755)
    shell = Terminal(registry, "-im", program=("/bin/sh",))
    shell.type(shlex.join([str(SCRIPT), "run", *OPTIONS, *options, "--", str(script)]) + "\n")
    return shell, shell.pids(2)


def leave(shell: Terminal) -> None:
    shell.type("exit\nexit\n")
    shell.end()


def test_ctrl_z_stops_the_command_and_fg_wakes_it(registry: Registry, tmp_path: Path):
    shell, pids = run_in_shell(registry, tmp_path)
    shell.type("\x1a")
    until(lambda: [state(each) for each in pids] == ["T", "T"], "the command to stop")
    shell.until("Stopped")
    shell.type("fg\n")
    until(lambda: "T" not in [state(each) for each in pids], "the command to go on")
    shell.type("\x03")
    until(lambda: not alive(pids), "the command to end")
    until(lambda: registry.partition.state.value == "failed", "the partition to be marked")
    leave(shell)


def test_a_command_that_stays_stopped_does_not_outlive_its_lease(registry: Registry, tmp_path: Path):
    shell, pids = run_in_shell(registry, tmp_path, "--lease", "5s")
    shell.type("\x1a")
    until(lambda: registry.partition.state.value == "expired", "the lease to be over")
    assert alive(pids) == []
    shell.until("Stopped")
    shell.shown = ""
    shell.type("fg\n")
    shell.until("Lost the lock")
    leave(shell)
