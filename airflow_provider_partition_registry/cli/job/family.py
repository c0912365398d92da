"""All processes that descend from this one: where they are found, how they are signalled and reaped.

Finding them needs ``/proc``. Elsewhere a command's process group has to do, which a process leaves by ``setsid``.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator
from typing import NamedTuple

_ENDED = "ZX"


class Process(NamedTuple):
    """A process, as the system lists it."""

    pid: int
    name: str
    state: str
    parent: int
    group: int

    @property
    def has_ended(self) -> bool:
        """Whether it does nothing any more, and is there only to be reaped."""
        return self.state in _ENDED


def descendants() -> list[Process]:
    """Children, their children, and so on."""
    processes = list(_processes())
    found: list[Process] = []
    parents = {os.getpid()}
    while parents:
        children = [each for each in processes if each.parent in parents]
        found += children
        parents = {each.pid for each in children}
    return found


def signal_descendants(signum: int, *, group: int | None, others: Collection[int]) -> None:
    """Signal all descendants, by groups where that is possible: it leaves no moment in which one could start another.

    :param group: a process group of theirs that is known; it need not be looked for.
    :param others: process groups in which there are not only descendants.
    """
    targets = {each.pid if each.group in others else -each.group for each in descendants()}
    if group is not None:
        targets.add(-group)
    for target in targets:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(target, signum)


def reap_children(but: int | None = None) -> None:
    """Take note of children that have ended; the first process of a container inherits those of others.

    :param but: one that somebody else waits for. When it has ended, no further ones are reaped.
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
                with contextlib.suppress(OSError):  # it has gone meanwhile
                    yield _read(entry)


def _read(entry: str) -> Process:
    with open(f"/proc/{entry}/stat", errors="replace") as file:
        stat = file.read()
    # The name is in parentheses, and may itself hold parentheses, spaces and line breaks.
    before, _, after = stat.rpartition(")")
    name = "".join(each if each.isprintable() else "?" for each in before.partition("(")[2])
    state, parent, group = after.split()[:3]
    return Process(int(entry), name, state, int(parent), int(group))
