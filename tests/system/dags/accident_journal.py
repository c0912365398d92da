"""What the tasks of accidents.py do: write into a journal when they begin and end, and end when they are told.

A folder belongs to each run, named by its parameter ``folder``. In it are the journal and the cues: files that the
test makes, such as ``w1.go`` (from now on let w1 end well), ``w1.2.go`` (its second time) or ``w1.1.fail``.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

JOURNAL = "journal.jsonl"

# Made when the test is over: whatever is still working fails.
LET_GO = "let-go"
LOOKS_PER_SECOND = 20


class Performance:
    """One time that one task instance writes data.

    :param folder: of the run
    :param ti: the task instance; what counts is its task id without the groups around it, and its map index
    """

    def __init__(self, folder: str, ti: Any) -> None:
        self.folder = Path(folder)
        self.task = ti.task_id.rsplit(".", 1)[-1]
        self.map_index = ti.map_index
        self.try_number = ti.try_number

    @property
    def name(self) -> str:
        return self.task if self.map_index < 0 else f"{self.task}[{self.map_index}]"

    def play(self) -> None:
        """Write: begin, wait for the cue, end."""
        self.begin()
        self.end(self.wait_for_cue())

    def begin(self) -> None:
        self.note("begin")

    def end(self, cue: str) -> None:
        """End well or not, as the cue says."""
        if cue != "go":
            self.note("failed")
            raise RuntimeError(f"{self.name} was told to fail")
        self.note("end")

    def wait_for_cue(self) -> str:
        """Wait until the test says how this time ends: ``go`` or ``fail``."""
        while not (cue := self.cue()):
            time.sleep(1 / LOOKS_PER_SECOND)
        return cue

    def cue(self) -> str | None:
        """What the test has said so far."""
        if (self.folder / LET_GO).exists():
            return "fail"
        time_number = self.times_begun()
        for cue in ("fail", "go"):
            for prefix in (f"{self.name}.{time_number}", self.name):
                if (self.folder / f"{prefix}.{cue}").exists():
                    return cue
        return None

    def cue_file(self) -> Path:
        """The file that lets this time end well."""
        return self.folder / f"{self.name}.{self.times_begun()}.go"

    def times_begun(self) -> int:
        """How often this task instance has begun, tries and clears alike."""
        entries = (json.loads(line) for line in (self.folder / JOURNAL).read_text().splitlines())
        return sum(entry["name"] == self.name and entry["event"] == "begin" for entry in entries)

    def note(self, event: str) -> None:
        """Add a line to the journal, in one write that no other process can come between."""
        entry = {
            "name": self.name,
            "event": event,
            "try_number": self.try_number,
            "pid": os.getpid(),
            "parent_pid": os.getppid(),
            "at": time.monotonic(),
        }
        with (self.folder / JOURNAL).open("ab", buffering=0) as journal:
            journal.write(json.dumps(entry).encode() + b"\n")
