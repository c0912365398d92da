"""What the processes of a soak note, line by line in JSON, so that it can be read while they go on.

All times are those of the machine's monotonic clock in seconds, which its processes share.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import NamedTuple

from soak.plan import way_of_writer


class Publication(NamedTuple):
    """A partition that was locked and unlocked.

    :param lock_sent: when the lock was first asked for.
    :param unlock_sent: when the unlock was first asked for; nobody may be told that it is ready before.
    :param published: when the unlock was acknowledged.
    :param repeats: calls without an answer, which were repeated.
    """

    source: int
    number: int
    generation: int
    lock_sent: float
    unlock_sent: float
    published: float
    repeats: int

    @property
    def way(self) -> str:
        """How the writer reached the registry."""
        return way_of_writer(self.source)


class EndedWait(NamedTuple):
    """A trigger that gave its event.

    :param way: to the registry.
    :param began: when it was started.
    :param status: what the event says; ``ready`` is the only good one.
    """

    way: str
    source: int
    number: int
    began: float
    ended: float
    status: str


class Arrival(NamedTuple):
    """A publication that arrived on a stream that is timed."""

    follows_all: bool
    source: int
    number: int
    at: float


class Presence(NamedTuple):
    """How many triggers wait, or streams are open, at a moment.

    :param received: how many events all streams have received so far.
    """

    what: str
    at: float
    present: int
    received: int = 0


class Surprise(NamedTuple):
    """Something that must not happen, like a call that is refused."""

    who: str
    what: str


Record = Publication | EndedWait | Arrival | Presence | Surprise
WAITS, STREAMS = "waits", "streams"
_KINDS = {kind.__name__: kind for kind in (Publication, EndedWait, Arrival, Presence, Surprise)}


class Journal:
    """Written by one process, from any of its threads."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("a", buffering=1)
        self._lock = threading.Lock()

    def note(self, record: Record) -> None:
        """Write a record; whoever reads the file sees it at once."""
        line = json.dumps([type(record).__name__, *record])
        with self._lock:
            self._file.write(f"{line}\n")


class JournalReader:
    """Reads what another process notes."""

    def __init__(self, file: Path) -> None:
        file.touch()
        self._file = file.open()
        self._begun = ""

    def new(self) -> list[Record]:
        """What was noted since the last call."""
        *lines, self._begun = (self._begun + self._file.read()).split("\n")
        return [_record(line) for line in lines]


def _record(line: str) -> Record:
    kind, *values = json.loads(line)
    return _KINDS[kind](*values)
