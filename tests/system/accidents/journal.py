"""What the work of a run has told about itself, and whether its data are half-written.

This is the truth that the registry's answers are compared with. It shares no code with the product.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from tests.system.dags.accident_journal import JOURNAL

# A person's word that a task's data are good, whatever the task itself told.
VOUCHED = "vouched"

# What tasks tell that write nothing: a lock that has been granted, a reader that reads.
NO_WORK = frozenset({"granted", "read"})


class Entry(NamedTuple):
    """Something that one task instance told.

    :param name: of the task, with the map index if it is mapped: ``w1``, ``each[0]``
    :param event: ``begin``, ``end`` (well), ``failed``, ``vouched``, or one of those that are no work
    :param pid: of the process that wrote it
    :param parent_pid: of the process that watches over that one
    :param at: on the machine's monotonic clock (seconds)
    """

    name: str
    event: str
    try_number: int
    pid: int
    parent_pid: int
    at: float


class Journal:
    """The journal of one run, and the cues that tell its tasks how to go on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = folder / JOURNAL
        self._file.touch()

    def entries(self) -> list[Entry]:
        whole_lines, _, _ = self._file.read_text().rpartition("\n")  # the last one may be half there
        return [Entry(**json.loads(line)) for line in whole_lines.splitlines()]

    def times(self, name: str, event: str) -> int:
        """How often a task has told this."""
        return sum((entry.name, entry.event) == (name, event) for entry in self.entries())

    def newest(self, name: str) -> Entry:
        """What a task has told last."""
        return [entry for entry in self.entries() if entry.name == name][-1]

    def cue(self, name: str, cue: str, time_number: int | None = None) -> None:
        """Tell a task how to end.

        :param cue: ``go`` or ``fail``
        :param time_number: which of its times is meant, from 1; by default every one
        """
        which = name if time_number is None else f"{name}.{time_number}"
        (self.folder / f"{which}.{cue}").touch()

    def vouch(self, name: str) -> None:
        """Note that a person answers for a task's data from now on."""
        entry = Entry(name, VOUCHED, 0, 0, 0, time.monotonic())
        with self._file.open("a") as file:
            file.write(json.dumps(entry._asdict()) + "\n")


def is_half_written(
    entries: Iterable[Entry], work: Collection[str], work_on_others: Collection[str] = ()
) -> bool:
    """Whether the data are incomplete: something was written, and not all work has ended well since its last begin.

    :param work: the tasks whose good end makes the data complete
    :param work_on_others: tasks that write other data only
    """
    newest: dict[str, str] = {}
    for entry in entries:
        if entry.name in work_on_others:
            continue
        # Airflow stops a task that a person has marked; who answers for its data does so until it begins again.
        stays = newest.get(entry.name) == VOUCHED and entry.event == "failed"
        if entry.event not in NO_WORK and not stays:
            newest[entry.name] = entry.event
    complete = all(newest.get(name) in ("end", VOUCHED) for name in {*work, *newest})
    return bool(newest) and not complete
