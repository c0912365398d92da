"""The process that outlives its parent just long enough to end everything the parent started.

Run as a script it reads orders from its standard input, whose other end only the parent holds. When the
parent goes, however it goes, the input ends, and the guardian ends the families it still watches. Unlike the
kernel's "signal on parent death" this reaches grandchildren, does not depend on which thread started a child,
and works on macOS too.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

SECONDS_TO_END_POLITELY = 5.0


class _Process(NamedTuple):
    pid: int
    parent: int
    session: int


def family_of(*leaders: int) -> set[int]:
    """The living processes of the leaders' sessions, and all their descendants.

    Both are needed: Airflow's helpers outlive their parent but stay in its session, and PostgreSQL's backends
    open sessions of their own but stay children of the server.
    """
    processes = list(_living_processes())
    family = {process.pid for process in processes if {process.pid, process.session} & set(leaders)}
    grown = True
    while grown:
        children = {process.pid for process in processes if process.parent in family}
        grown = not children <= family
        family |= children
    return family


def signal_family(leader: int, signum: signal.Signals) -> None:
    _signal_all(family_of(leader), signum)


def _signal_all(pids: Iterable[int], signum: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signum)


def signal_group(leader: int, signum: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signum)


def end_families(stop_signals: Mapping[int, signal.Signals], grace: float) -> bool:
    """Send each leader's group its signal, and kill what is left after ``grace`` seconds. Returns whether none was."""
    for leader, stop_signal in stop_signals.items():
        signal_family(leader, signal.SIGCONT)
        signal_group(leader, stop_signal)
    polite = _wait_until(lambda: not family_of(*stop_signals), grace)
    if not polite:
        kill_families(stop_signals)
    return polite


def kill_families(leaders: Collection[int]) -> None:
    # Remembered: orphans no longer show whose they were, and still hold what a successor needs.
    family = family_of(*leaders)
    _signal_all(family, signal.SIGKILL)
    _wait_until(
        lambda: family.isdisjoint(process.pid for process in _living_processes()), SECONDS_TO_END_POLITELY
    )


def _wait_until(condition: Callable[[], bool], timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _living_processes() -> Iterable[_Process]:
    return _processes_from_proc() if Path("/proc/self/stat").exists() else _processes_from_ps()


def _processes_from_proc() -> Iterable[_Process]:
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                stat = Path("/proc", entry, "stat").read_text(errors="replace")
                # The command name is in parentheses and may contain spaces and parentheses itself.
                state, parent, _group, session = stat[stat.rindex(")") + 2 :].split()[:4]
                if state not in "ZX":
                    yield _Process(int(entry), int(parent), int(session))


def _processes_from_ps() -> Iterable[_Process]:
    # No portable session column: the process group stands in for it.
    listing = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,pgid=,stat="], capture_output=True, text=True, check=False
    )
    for line in listing.stdout.splitlines():
        pid, parent, group, state = line.split()[:4]
        if not state.startswith("Z"):
            yield _Process(int(pid), int(parent), int(group))


def main() -> None:
    """Obey ``watch <pid> <signal>``, ``forget <pid>`` and ``remove <folder>`` until the parent is gone."""
    watched: dict[int, signal.Signals] = {}
    folders: list[str] = []
    for line in sys.stdin:
        order, _, argument = line.rstrip("\n").partition(" ")
        if order == "watch":
            pid, signum = argument.split()
            watched[int(pid)] = signal.Signals(int(signum))
        elif order == "forget":
            watched.pop(int(argument), None)
        elif order == "remove":
            folders.append(argument)
    end_families(watched, SECONDS_TO_END_POLITELY)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
