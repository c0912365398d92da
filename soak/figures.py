"""The figures of a soak, over time: what the picture shows, and all that is kept of a run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from statistics import median
from typing import Any

from soak.facts import Facts, Latency
from soak.sampling import Sample
from soak.verdict import Check, tail

WINDOW = 10.0  # seconds


def figures(facts: Facts, checks: Sequence[Check]) -> dict[str, Any]:
    """The figures as JSON: latencies in milliseconds, memory in MB, CPU in cores, and times in seconds."""
    samples = [each for each in facts.samples if each.at >= facts.start]
    names = list(dict.fromkeys(name for each in samples for name in each.usage))
    return {
        "plan": asdict(facts.plan),
        "accidents": [
            [name, _rounded(began - facts.start), _rounded(ended - facts.start)]
            for name, began, ended in facts.accidents
        ],
        "window": WINDOW,
        "latencies": {
            name: _over_time(found, facts.plan.seconds) for name, found in sorted(facts.latencies.items())
        },
        "at": [_rounded(each.at - facts.start) for each in samples],
        "memory": {name: [_memory(each, name) for each in samples] for name in names},
        "cpu": {name: [None, *(_cores(pair, name) for pair in pairwise(samples))] for name in names},
        "connections": [each.connections for each in samples],
        "dead_rows": [each.dead_rows for each in samples],
        "size": [_rounded(each.size / 1e6) for each in samples],
        "checks": [[each.claim, each.holds, each.evidence] for each in checks],
    }


def _over_time(found: Sequence[Latency], seconds: float) -> dict[str, list[float | None]]:
    windows: dict[int, list[float]] = defaultdict(list)
    for each in found:
        windows[int(each.at // WINDOW)].append(each.milliseconds)
    numbers = range(int(seconds / WINDOW))
    return {
        "median": [_rounded(median(windows[each])) if each in windows else None for each in numbers],
        "99 %": [_rounded(tail(windows[each])) if each in windows else None for each in numbers],
    }


def _memory(sample: Sample, name: str) -> float | None:
    return _rounded(sample.usage[name].memory / 1e6) if name in sample.usage else None


def _cores(pair: tuple[Sample, Sample], name: str) -> float | None:
    before, after = (each.usage.get(name) for each in pair)
    if before is None or after is None or before.pid != after.pid:
        return None
    return round((after.cpu - before.cpu) / (pair[1].at - pair[0].at), 3)


def _rounded(value: float) -> float:
    return round(value, 1)
