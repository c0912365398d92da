"""All descendants of this process: finding, signalling and reaping them.

Finding them needs ``/proc``. Elsewhere the command's process group has to do, which a process can leave by ``setsid``.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator
from typing import NamedTuple

_ENDED = "ZX"


class Process(NamedTuple):
    """A process as the system lists it."""

    pid: int
    name: str
    state: str
    parent: int
    group: int

    @property
    def has_ended(self) -> bool:
        """Whether it has ended and only has to be reaped."""
        return self.state in _ENDED


def descendants() -> list[Process]:
    """All children, their children, and so on."""
    processes = list(_processes())
    found: list[Process] = []
    parents = {os.getpid()}
    while parents:
        children = [each for each in processes if each.parent in parents]
        found += children
        parents = {each.pid for each in children}
    return found


def signal_descendants(signum: int, *, group: int | None, others: Collection[int]) -> None:
    """Signal all descendants, by groups where possible, which leaves no moment in which one could start another.

    :param group: a process group of theirs that is known, so that it need not be searched for.
    :param others: process groups that do not consist of descendants alone.
    """
    targets = {each.pid if each.group in others else -each.group for each in descendants()}
    if group is not None:
        targets.add(-group)
    for target in targets:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(target, signum)


def reap_children(but: int | None = None) -> None:
    """Reap children that have ended; the first process of a container inherits orphans.

    :param but: a child that another caller waits for. When it has ended, no further children are reaped.
    """
    with contextlib.suppress(ChildProcessError):
        while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if ended.si_pid == but:
                return
            os.waitpid(ended.si_pid, 0)


def _processes() -> Iterator[Process]:
    with contextlib.suppress(FileNotFoundError):
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                with contextlib.suppress(OSError):  # the process has ended meanwhile
                    yield _read(entry)


def _read(entry: str) -> Process:
    with open(f"/proc/{entry}/stat", errors="replace") as file:
        stat = file.read()
    # The name is in parentheses, and may itself contain parentheses, spaces and line breaks.
    before, _, after = stat.rpartition(")")
    name = "".join(each if each.isprintable() else "?" for each in before.partition("(")[2])
    state, parent, group = after.split()[:3]
    return Process(int(entry), name, state, int(parent), int(group))
