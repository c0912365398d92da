"""Which sources a process has heard of while their events could not be listed yet, and who has been told so."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import takewhile

MOST_NAMED = 1_000  # sources, in one answer; as many as a page has events
MOST_PROCESSES = 32  # of which a client is told how far it has heard them

_PART = re.compile(r"([0-9a-f]{16})=([0-9]{1,15})")


class Hints:
    """Numbers what one process hears, so that it can tell each client what that has not heard yet, and nothing else.

    Each process hears of every change. What it cannot keep, or may have missed, becomes a hint that concerns any
    source.
    """

    def __init__(self) -> None:
        self._process = secrets.token_hex(8)
        self.newest = 0
        """The number of the newest hint."""
        self._of_any = 0  # the newest one that may concern any source
        self._of_source: dict[str, int] = {}  # the newest one of each, in their order

    def add(self, source_names: frozenset[str]) -> None:
        """Add a hint.

        :param source_names: empty if any source may have changed.
        """
        self.newest += 1
        if not source_names:
            self._of_any = self.newest
        for name in source_names:
            self._of_source.pop(name, None)
            self._of_source[name] = self.newest
        while len(self._of_source) > MOST_NAMED:
            self._of_any = max(self._of_any, self._of_source.pop(next(iter(self._of_source))))

    def forget(self, number: int) -> None:
        """Forget all up to one, as their events can be listed by now."""
        self._of_source = {name: each for name, each in self._of_source.items() if each > number}
        if self._of_any <= number:
            self._of_any = 0

    def since(self, number: float) -> frozenset[str] | None:
        """The sources that hints after one concern; None if there are no such hints, empty if they concern any."""
        if self._of_any > number:
            return frozenset()
        newest_first = takewhile(lambda each: each[1] > number, reversed(self._of_source.items()))
        return frozenset(name for name, _ in newest_first) or None

    def heard_by(self, client: Heard | None) -> int:
        """Up to which of these hints a client has been told.

        :param client: None if it does not say. Then it is told only what comes from now on.
        """
        return self.newest if client is None else client.numbers.get(self._process, 0)

    def now_heard_by(self, client: Heard | None) -> Heard:
        """What a client has heard that is told all of them now."""
        others = {} if client is None else {**client.numbers}
        others.pop(self._process, None)
        return Heard({**dict([*others.items()][1 - MOST_PROCESSES :]), self._process: self.newest})


@dataclass(frozen=True, slots=True)
class Heard:
    """Up to which hint of each process a client has been told; those of the process that it asked last come last.

    A client gets this as text, and sends it with its next request, which another process may answer.
    """

    numbers: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def from_text(cls, text: str) -> Heard:
        """Read what a client sends. What is not understood counts as not heard."""
        return cls({process: int(number) for process, number in _PART.findall(text)})

    def __str__(self) -> str:
        return ", ".join(f"{process}={number}" for process, number in self.numbers.items())
