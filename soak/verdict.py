"""The verdict of a soak.

Every claim is a function over its facts. It returns its evidence, or raises :class:`Broken`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median, quantiles

from soak.facts import Facts, HistoryLine, Latency, expected_on
from soak.journal import STREAMS, WAITS
from soak.plan import WAYS, source_name
from soak.sampling import Usage

SHORTEST_JUDGED = 10.0  # minutes; in less, what grows cannot be told from what only begins
LATEST_WAIT = 70.0  # seconds: the trigger's poll interval, and a call's time-out
RECOVERY = 15.0  # seconds in which everything may still be late, or streams away, after an accident
SETTLED_AFTER = 200.0  # seconds; until then a new service fills its feed, which remembers 10,000 events
FEWEST_SAMPLES = 6  # between two accidents, from which growth is judged
KEPT_PER_EVENT = 100  # bytes; less than anything that is kept for each event would take
MORE_CONNECTIONS = 2  # to PostgreSQL: pools open them when needed
SLOWER_MEDIAN, SLOWER_TAIL = 1.5, 2.0  # times
NOISE_OF_MEDIAN, NOISE_OF_TAIL = 5.0, 50.0  # milliseconds: other processes have the processor


class Broken(Exception):  # noqa: N818 - not an error of the program
    """The facts do not prove what they should; the message says why."""


@dataclass(frozen=True)
class Check:
    """One claim, and the evidence for or against it.

    :param holds: None if the soak was too short to tell.
    """

    claim: str
    holds: bool | None
    evidence: str


def judge(facts: Facts) -> list[Check]:
    """Check everything."""
    is_long = facts.plan.minutes >= SHORTEST_JUDGED
    return [_checked(facts, claim, check, True) for claim, check in PROMISES] + [
        _checked(facts, claim, check, is_long) for claim, check in STEADINESS
    ]


def _checked(facts: Facts, claim: str, check: Callable[[Facts], str], is_judged: bool) -> Check:
    try:
        holds, evidence = True, check(facts)
    except Broken as broken:
        holds, evidence = False, str(broken)
    return Check(claim, holds if is_judged else None, evidence)


def _require(condition: object, told: str) -> None:
    if not condition:
        raise Broken(told)


# --- What was promised ---


def nothing_surprised(facts: Facts) -> str:
    """No call was refused, and no process met an error that it did not expect."""
    _require(not facts.surprises, "; ".join(f"{who}: {what}" for who, what in facts.surprises[:3]))
    repeats = sum(each.repeats for each in facts.publications.values())
    return f"{repeats:,} calls got no answer and were repeated, none was refused"


def accidents_happened(facts: Facts) -> str:
    """Everything was broken that the plan says, and whole again."""
    names = [each.name for each in facts.accidents]
    _require(len(names) == 4, f"only {', '.join(names) or 'none'}")
    return ", ".join(f"{name} ({ended - began:.0f} s)" for name, began, ended in facts.accidents)


def all_was_published(facts: Facts) -> str:
    """As many partitions were published as planned."""
    told = f"{len(facts.publications):,} of {facts.plan.partitions:,} partitions"
    _require(len(facts.publications) == facts.plan.partitions, told)
    return told


def no_wait_failed(facts: Facts) -> str:
    """All triggers that ended said that the data is ready, and all the others waited all the time."""
    bad = Counter(each.status for each in facts.waits if each.status != "ready")
    _require(not bad, f"waits ended with {dict(bad)}")
    waiting = [each.present for each in facts.presences if each.what == WAITS]
    least = min(waiting, default=0)
    _require(least == facts.plan.waits, f"at one moment only {least:,} of {facts.plan.waits:,} waited")
    return f"{len(facts.waits):,} ended, {least:,} more waited at any time"


def no_wait_ended_early(facts: Facts) -> str:
    """No trigger said that a partition is ready before its writer asked for the unlock."""
    for each in facts.waits:
        publication = facts.publications.get((each.source, each.number))
        what = f"{source_name(each.source)} {each.number}"
        _require(publication is not None, f"{what} was never published, and a wait for it ended")
        assert publication is not None
        early = publication.unlock_sent - each.ended
        _require(early <= 0, f"a wait for {what} ended {early * 1000:.1f} ms before its unlock was asked for")
    return "each after its unlock was asked for"


def no_wait_was_lost(facts: Facts) -> str:
    """For each publication one wait each way ended, within a bound that outages do not lift."""
    ended = Counter((each.way, each.source, each.number) for each in facts.waits)
    for source, number in facts.publications:
        for way in WAYS:
            times = ended[way, source, number]
            _require(times == 1, f"{times} waits for {source_name(source)} {number} through the {way} ended")
    late = [
        latency for name, found in facts.latencies.items() if name.startswith("wait") for latency in found
    ]
    latest = max(late, key=lambda each: each.milliseconds, default=Latency(0, 0, 0))
    told = f"the latest {latest.milliseconds / 1000:.1f} s after the unlock, at minute {latest.at / 60:.1f}"
    _require(latest.milliseconds <= LATEST_WAIT * 1000, told)
    return told


def no_publication_was_lost(facts: Facts) -> str:
    """Every unlock that was acknowledged stands in the history, once."""
    found = Counter(
        (each.source_name, each.number, each.generation) for each in facts.history if each.is_publication
    )
    for each in facts.publications.values():
        times = found[source_name(each.source), each.number, each.generation]
        _require(times == 1, f"{source_name(each.source)} {each.number} stands {times} times in the history")
    told = f"{len(found):,} publications in the history, {len(facts.publications):,} were acknowledged"
    _require(len(found) == len(facts.publications), told)
    return told


def streams_missed_nothing(facts: Facts) -> str:
    """Every stream received every event of its source, or of all, once and in order."""
    by_source: dict[str | None, list[HistoryLine]] = defaultdict(list)
    for line in facts.history:
        by_source[line.source_name].append(line)
    for number, (following, received) in enumerate(zip(facts.plan.followings(), facts.received, strict=True)):
        name = None if following.source is None else source_name(following.source)
        expected = expected_on(name, facts.history if name is None else by_source[name])
        if list(received) != expected:
            lost, others = set(expected) - set(received), set(received) - set(expected)
            twice = [position for position, times in Counter(received).items() if times > 1]
            raise Broken(
                f"stream {number} of {name or 'all sources'} received {len(received):,} events for {len(expected):,}: "
                f"{len(lost)} are missing{f' from {min(lost)} on' if lost else ''}, {len(twice)} came twice, "
                f"{len(others)} are unknown, {'in order' if list(received) == sorted(received) else 'not in order'}"
            )
    return f"{sum(map(len, facts.received)):,} events on {len(facts.received):,} streams"


def streams_were_open(facts: Facts) -> str:
    """All streams were open whenever nothing was broken."""
    seen = [each for each in facts.presences if each.what == STREAMS and each.at >= facts.start]
    calm = [each.present for each in seen if not _is_disturbed(facts, each.at)]
    least = min(calm, default=0)
    _require(least == facts.plan.streams, f"only {least:,} of {facts.plan.streams:,} were open")
    return f"{least:,} streams, except within {RECOVERY:g} s of an accident"


def registry_is_sound(facts: Facts) -> str:
    """``db verify`` finds nothing."""
    _require(not facts.discrepancies, "; ".join(facts.discrepancies[:3]))
    return f"db verify finds nothing wrong, with {len(facts.history):,} events"


# --- What stays as it was ---


def rate_was_kept(facts: Facts) -> str:
    """In the end nothing was overdue."""
    last = max((each.published for each in facts.publications.values()), default=facts.start)
    late = max(0.0, last - facts.start - facts.plan.seconds)
    told = f"the last partition was published {late:.1f} s after the end of the plan"
    _require(late < RECOVERY, told)
    return told


def latencies_are_flat(facts: Facts) -> str:
    """In the last tenth everything takes as long as in the second one."""
    return _compared(facts, lambda each: _is_in_tenth(facts, 9, each.at))


def nobody_waited_for_the_frozen_writer(facts: Facts) -> str:
    """While it was frozen, nothing that is about other sources took longer than in the second tenth.

    Who follows all sources waits for the event that it has begun, as the order of the history demands.
    """
    begin, end = facts.plan.frozen
    return _compared(
        facts,
        lambda each: begin <= each.at < end and each.source != facts.plan.frozen_source,
        besides="stream of all sources",
    )


def memory_is_flat(facts: Facts) -> str:
    """No process keeps something for each event, from when it has settled until it ends.

    What it takes once, at an accident, is not kept for each event: growth is measured from one accident to the next.
    One that was settled and undisturbed for less than ten minutes is not judged.
    """
    rate = len(facts.history) / facts.plan.seconds
    told, broken = [], []
    for name, life in _lives(facts):
        parts = _calm_parts(facts, life)
        if sum(part[-1][0] - part[0][0] for part in parts) < 60 * SHORTEST_JUDGED:
            continue
        growth, seconds = (sum(each) for each in zip(*map(_growth, parts), strict=True))
        events = seconds * rate
        line = f"{name} {life[-1][1].memory / 1e6:.0f} MB ({growth / 1e6:+.1f})"
        told.append(line)
        if growth > events * KEPT_PER_EVENT:
            broken.append(f"{line}, {growth / events:.0f} bytes per event")
    _require(told, "no process lived long enough")
    _require(not broken, "; ".join(broken))
    return ", ".join(told)


def connections_are_flat(facts: Facts) -> str:
    """PostgreSQL has no more connections in the last tenth than in the second one."""
    before, after = (
        [each.connections for each in facts.samples if _is_in_tenth(facts, tenth, each.at - facts.start)]
        for tenth in (1, 9)
    )
    _require(before and after, "nobody looked")
    told = f"{median(before):.0f} and {median(after):.0f}"
    _require(median(after) <= median(before) + MORE_CONNECTIONS, told)
    return told


PROMISES: tuple[tuple[str, Callable[[Facts], str]], ...] = (
    ("everything was broken as planned", accidents_happened),
    ("all that was planned was published", all_was_published),
    ("no call was refused", nothing_surprised),
    ("no wait failed", no_wait_failed),
    ("no wait ended before its data was published", no_wait_ended_early),
    ("no wait was lost", no_wait_was_lost),
    ("no publication was lost or repeated", no_publication_was_lost),
    ("each stream got each event once, in order", streams_missed_nothing),
    ("the streams stayed open", streams_were_open),
    ("the registry is sound", registry_is_sound),
)

STEADINESS: tuple[tuple[str, Callable[[Facts], str]], ...] = (
    ("the writers kept their rate", rate_was_kept),
    ("latencies are flat", latencies_are_flat),
    ("no other source waited for the frozen writer", nobody_waited_for_the_frozen_writer),
    ("memory is flat", memory_is_flat),
    ("connections are flat", connections_are_flat),
)
"""Claims that only a soak of some length can prove."""


def tail(values: list[float]) -> float:
    """What 99 % are below."""
    return quantiles(values, n=100, method="inclusive")[-1] if len(values) > 1 else values[0]


def _compared(facts: Facts, is_compared: Callable[[Latency], bool], besides: str = "") -> str:
    """Compare some latencies with those of the second tenth, by their median and their tail."""
    told, broken = [], []
    for name, found in sorted(facts.latencies.items()):
        before = [each.milliseconds for each in found if _is_in_tenth(facts, 1, each.at)]
        after = [each.milliseconds for each in found if is_compared(each)]
        if name == besides:
            continue
        _require(before and after, f"{name} was not measured")
        middle, slowest = (median(before), median(after)), (tail(before), tail(after))
        line = f"{name} {middle[0]:.1f}, {middle[1]:.1f} ms (99 %: {slowest[0]:.0f}, {slowest[1]:.0f})"
        told.append(line)
        if (
            middle[1] > middle[0] * SLOWER_MEDIAN + NOISE_OF_MEDIAN
            or slowest[1] > slowest[0] * SLOWER_TAIL + NOISE_OF_TAIL
        ):
            broken.append(line)
    _require(not broken, "; ".join(broken))
    return "; ".join(told)


def _is_in_tenth(facts: Facts, tenth: int, seconds: float) -> bool:
    return tenth <= 10 * seconds / facts.plan.seconds < tenth + 1


def _is_disturbed(facts: Facts, at: float) -> bool:
    return any(began <= at < ended + RECOVERY for _, began, ended in facts.accidents)


def _lives(facts: Facts) -> Iterator[tuple[str, list[tuple[float, Usage]]]]:
    """What each process took over time; the one that replaces another has a life of its own."""
    lives: dict[tuple[str, int], list[tuple[float, Usage]]] = defaultdict(list)
    for sample in facts.samples:
        for name, usage in sample.usage.items():
            lives[name, usage.pid].append((sample.at, usage))
    for (name, _), life in lives.items():
        if name in JUDGED:
            yield name, life


def _calm_parts(facts: Facts, life: list[tuple[float, Usage]]) -> list[list[tuple[float, Usage]]]:
    """The parts of a settled life between accidents, as far as they are long enough to be judged."""
    parts: dict[int, list[tuple[float, Usage]]] = defaultdict(list)
    for at, usage in life:
        if at >= life[0][0] + SETTLED_AFTER and not _is_disturbed(facts, at):
            parts[sum(began <= at for _, began, _ in facts.accidents)].append((at, usage))
    return [each for each in parts.values() if len(each) >= FEWEST_SAMPLES]


def _growth(part: list[tuple[float, Usage]]) -> tuple[float, float]:
    """By how many bytes it grew from its first third to its last, and in how many seconds."""
    third = len(part) // 3
    first, last = part[:third], part[-third:]
    return (
        median(each.memory for _, each in last) - median(each.memory for _, each in first),
        median(at for at, _ in last) - median(at for at, _ in first),
    )


JUDGED = ("service 1", "service 2", "triggerer")
