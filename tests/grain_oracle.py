"""An independent oracle of the grains that become ready: it looks at all partitions before and after each call.

A grain is told when it is whole after a call that changed something in it to its good, provided that anything was
published, or withdrawn from over other data, in it since it was whole last. Giving locks back publishes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from tests.oracle import Key, Line, Oracle, Span

EFFECTS = {"ready": "covers", "locked": "blocks", "failed": "blocks", "registered": None}

Effects = dict[Key, str | None]


@dataclass
class GrainOracle:
    """What was told of grains of one length.

    :param told: of each grain that was told: its source, its span, and how many lines the history had then.
    """

    length: timedelta
    told: list[tuple[str, Span, int]] = field(default_factory=list)
    is_changed: set[tuple[str, Span]] = field(default_factory=set)

    def observe(self, oracle: Oracle, before: Effects, lines: Sequence[Line]) -> None:
        """Look at what a call has changed.

        :param before: what each partition did before the call.
        :param lines: those that the call wrote.
        """
        after = effects_of(oracle)
        freed = [key for key, now in after.items() if now != before.get(key) and now != "blocks"]
        is_publication = not any(line.type == "RELEASE" for line in lines)
        for source, grain in sorted({(key[0], grain) for key in freed for grain in self._around(key[2])}):
            if is_publication:
                self.is_changed.add((source, grain))
            if (source, grain) in self.is_changed and _is_whole(oracle, source, grain):
                self.is_changed.remove((source, grain))
                self.told.append((source, grain, len(oracle.lines)))

    def _around(self, span: Span) -> Iterable[Span]:
        midnight = span[0].replace(hour=0, minute=0, second=0, microsecond=0)
        start = midnight + (span[0] - midnight) // self.length * self.length
        while start < span[1]:
            yield start, start + self.length
            start += self.length


def effects_of(oracle: Oracle) -> Effects:
    """What each partition does now to the instants that it contains."""
    return {key: EFFECTS[record.state] for key, record in oracle.partitions.items()}


def _is_whole(oracle: Oracle, source: str, grain: Span) -> bool:
    known = oracle.of_source(source)
    latest = max((record.published for record in known if record.published), default=None)
    return latest is not None and oracle.readiness(source, grain, latest).is_ready
