"""The verdict: whether the order of events in the registry and in both metadata databases proves the promise.

Every check is a function over the facts of one hand-over. It returns its evidence, or raises :class:`Broken`.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from airflow_provider_partition_registry.domain.models import Event, EventType
from demo.console import clock
from demo.facts import ActFacts, Facts, Report, Sighting, Try

LARGEST_CLOCK_DIFFERENCE = 0.5  # seconds; beyond it, the order of instants from two clocks proves nothing

WRITTEN_ONCE = [EventType.LOCK, EventType.UNLOCK]
FAILED_ONCE = [EventType.LOCK, EventType.FAIL]
# The load fails, is stopped by hand, is repaired, and is cleared after it was read.
REPAIRED = [*FAILED_ONCE, *FAILED_ONCE, *WRITTEN_ONCE, *WRITTEN_ONCE]


class Broken(Exception):  # noqa: N818 - not an error of the program
    """The facts do not prove what they should; the message says why."""


@dataclass(frozen=True)
class Check:
    """One claim, and the evidence for or against it.

    :param act: the number of the act; 0 for the demo as a whole
    """

    act: int
    claim: str
    holds: bool
    evidence: str


def judge(facts: Facts) -> list[Check]:
    """Check everything."""
    return [
        _same_clock(facts),
        *(check for act in facts.acts for check in judge_act(act)),
        *judge_summaries(facts),
    ]


def judge_act(facts: ActFacts) -> list[Check]:
    """Check one hand-over."""
    claims = CLAIMS_OF_A_REPAIR if facts.act.fails else CLAIMS
    return [_checked(facts, claim, check) for claim, check in claims]


def judge_summaries(facts: Facts) -> list[Check]:
    """Check the runs that no sensor waited for: as many as there were publications, each with complete data."""
    if facts.summaries is None:
        return []
    number = len(facts.acts) + 1
    published = Counter({each.act.day: _publications(each) for each in facts.acts})
    run = Counter(each.day for each in facts.summaries)
    told = ", ".join(f"{day}: {run[day]} of {published[day]}" for day in sorted(published | run))
    delivered = {each.act.day: Report(each.act.rows, each.act.cents) for each in facts.acts}
    good = [each for each in facts.summaries if each.report == delivered.get(each.day)]
    return [
        Check(number, "each publication started one run without a sensor", run == published, told),
        Check(
            number,
            "each of these runs read complete data",
            len(good) == len(facts.summaries) and all(each.state == "success" for each in facts.summaries),
            f"{len(good)} of {len(facts.summaries)}",
        ),
    ]


def _publications(facts: ActFacts) -> int:
    return sum(event.type is EventType.UNLOCK for event in facts.events)


def _same_clock(facts: Facts) -> Check:
    ahead = abs(facts.clock_is_ahead)
    claim = "the registry and this machine have the same time"
    return Check(0, claim, ahead <= LARGEST_CLOCK_DIFFERENCE, f"{ahead:.2f} s apart")


def _checked(facts: ActFacts, claim: str, check: Callable[[ActFacts], str]) -> Check:
    act = facts.act
    claim = claim.format(writer=act.writer, reader=act.reader, day=act.day)
    try:
        return Check(act.number, claim, True, check(facts))
    except Broken as broken:
        return Check(act.number, claim, False, str(broken))


def history_is_as_told(facts: ActFacts) -> str:
    """Only a lock and an unlock; with two failures before them and a rewrite after them, if the act has these."""
    wanted = REPAIRED if facts.act.fails else WRITTEN_ONCE
    found = [event.type for event in facts.events if event.type is not EventType.PARTITION_REGISTERED]
    told = ", ".join(event_type.value for event_type in found) or "nothing"
    _require(found == wanted, f"it is {told}, not {', '.join(event_type.value for event_type in wanted)}")
    return told


def written_under_lock(facts: ActFacts) -> str:
    """Every try to write lies between a lock of the writer's and that lock's end."""
    locks = _locks(facts)
    tries = _tries(facts, facts.act.writer, "load")
    _require(len(tries) == len(locks), f"{len(tries)} tries to write under {len(locks)} locks")
    for one, (lock, end) in zip(tries, locks, strict=True):
        is_own = (lock.holder or "").startswith(f"{facts.act.writer_key}/")
        _require(is_own, f"the lock was held by {lock.holder}")
        start, finish = _span(one)
        # A stopped try has written nothing since, but Airflow may record its end later.
        last = finish if one.state == "success" else start
        is_within = lock.at <= start and last <= end.at
        _require(is_within, f"written {_times(start, finish)}, locked {_times(lock.at, end.at)}")
    return "written " + " and ".join(_times(*_span(one)) for one in tries)


def waited_while_locked(facts: ActFacts) -> str:
    """The reader was seen deferred while the lock was held, and its wait ended after the unlock."""
    unlock = _unlock(facts)
    locks = [(lock, end) for lock, end in _locks(facts) if lock.at < unlock.at]
    seen = [_deferred_within(facts, lock.at, end.at) for lock, end in locks]
    ended = _tries(facts, facts.act.reader, "wait")[-1].end
    _require(
        ended is not None and ended > unlock.at, f"the wait ended at {ended}, the unlock was at {unlock.at}"
    )
    return "seen deferred at " + " and ".join(clock(sighting.asked) for sighting in seen)


def read_when_ready(facts: ActFacts) -> str:
    """The reading task started after the unlock; none of its time lies between a lock and the next unlock."""
    unlock = _unlock(facts)
    for reading in _tries(facts, facts.act.reader, "report"):
        start, finish = _span(reading)
        _require(start > unlock.at, f"read at {clock(start)}, the unlock was at {clock(unlock.at)}")
        for closed_from, closed_until in _closed(facts):
            is_outside = finish < closed_from or (closed_until is not None and closed_until < start)
            _require(is_outside, f"read {_times(start, finish)}, not ready from {clock(closed_from)} on")
    return f"at {clock(start)}, {(start - unlock.at).total_seconds():.1f} s after it"


def read_everything(facts: ActFacts) -> str:
    """What the reader counted and added up is what the shop delivered."""
    report, act = facts.report, facts.act
    if report is None:
        raise Broken("there is no report")
    told = f"{report.rows} of {act.rows} orders, {money(report.cents)} of {money(act.cents)}"
    _require((report.rows, report.cents) == (act.rows, act.cents), told)
    return told


def one_try_each(facts: ActFacts) -> str:
    """The reader's tasks succeeded, each at its first and only try."""
    for task_id in ("wait", "report"):
        found = [one.state for one in _tries(facts, facts.act.reader, task_id)]
        _require(found == ["success"], f"the tries of {task_id}: {', '.join(found)}")
    return "wait and report, both with success"


def failure_names_the_task(facts: ActFacts) -> str:
    """The first tries failed, the others did not, and the registry knows which task it was."""
    states = [one.state for one in _tries(facts, facts.act.writer, "load")]
    _require(states == ["failed", "failed", "success", "success"], f"the tries of load: {', '.join(states)}")
    reason = _first(facts.events, EventType.FAIL).details.get("reason", "")
    _require("load failed" in reason, f"the reason is {reason!r}")
    return reason


def stopped_by_hand_published_nothing(facts: ActFacts) -> str:
    """What was half-written when somebody marked its run as failed was not published."""
    failures = [event for event in facts.events if event.type is EventType.FAIL]
    _require(len(failures) == 2, f"there are {len(failures)} failures")
    by_hand = failures[-1]
    reason = by_hand.details.get("reason", "")
    _require("load" in reason, f"the reason is {reason!r}")
    return f"failed at {clock(by_hand.at)}: {reason}"


def cleared_task_locked_first(facts: ActFacts) -> str:
    """The load that was cleared after publication began under a lock of its own, and was published again."""
    *_, (lock, end) = _locks(facts)
    start, _ = _span(_tries(facts, facts.act.writer, "load")[-1])
    is_rewrite = lock.at > _unlock(facts).at and end.type is EventType.UNLOCK
    _require(
        is_rewrite and lock.at <= start, f"locked {_times(lock.at, end.at)}, written from {clock(start)}"
    )
    return f"locked at {clock(lock.at)}, written from {clock(start)}"


def failure_kept_it_closed(facts: ActFacts) -> str:
    """The reader was still deferred after the failure, before anybody repaired it."""
    failure = _first(facts.events, EventType.FAIL)
    repair = next((event for event in facts.events if _is_lock(event) and event.at > failure.at), None)
    if repair is None:
        raise Broken("nobody repaired it")
    return f"seen deferred at {clock(_deferred_within(facts, failure.at, repair.at).asked)}"


def log_says_why(facts: ActFacts) -> str:
    """The reader's own log names the failure."""
    text = " ".join(facts.explanation.split())
    _require("failed at" in text and "load failed" in text, f"its log says {text!r}")
    return "it names the failed task"


CLAIMS: tuple[tuple[str, Callable[[ActFacts], str]], ...] = (
    ("the history of {day} is as it should be", history_is_as_told),
    ("{writer} wrote under its own lock", written_under_lock),
    ("{reader} waited while the lock was held", waited_while_locked),
    ("{reader} read only after the unlock", read_when_ready),
    ("{reader} read complete data", read_everything),
    ("{reader} needed one try", one_try_each),
)

CLAIMS_OF_A_REPAIR: tuple[tuple[str, Callable[[ActFacts], str]], ...] = (
    *CLAIMS,
    ("the registry names the failed task", failure_names_the_task),
    ("nothing was published when a run was stopped", stopped_by_hand_published_nothing),
    ("a task that was cleared locked again first", cleared_task_locked_first),
    ("{reader} went on waiting after the failure", failure_kept_it_closed),
    ("{reader} says in its log why", log_says_why),
)


def money(cents: int) -> str:
    """Cents as people write them."""
    return f"{cents / 100:,.2f}"


def _locks(facts: ActFacts) -> list[tuple[Event, Event]]:
    """Each lock with the event that ended it."""
    locks, ends = [], []
    for event in facts.events:
        if _is_lock(event):
            locks.append(event)
        elif event.type is not EventType.PARTITION_REGISTERED:
            ends.append(event)
    _require(bool(locks), "nobody locked it")
    _require(len(locks) == len(ends), "a lock has no end")
    return list(zip(locks, ends, strict=True))


def _closed(facts: ActFacts) -> list[tuple[datetime.datetime, datetime.datetime | None]]:
    """When it was locked or failed: from the first event other than an unlock to the next unlock."""
    closed: list[tuple[datetime.datetime, datetime.datetime | None]] = []
    since: datetime.datetime | None = None
    for event in facts.events:
        if event.type is EventType.UNLOCK and since is not None:
            closed.append((since, event.at))
            since = None
        elif event.type is not EventType.UNLOCK and since is None:
            since = event.at
    return [*closed, (since, None)] if since is not None else closed


def _deferred_within(facts: ActFacts, start: datetime.datetime, end: datetime.datetime) -> Sighting:
    for sighting in facts.sightings:
        is_reader = (sighting.side, sighting.task_id) == (facts.act.reader, "wait")
        if is_reader and sighting.state == "deferred" and start < sighting.asked and sighting.answered < end:
            return sighting
    raise Broken(f"it was not seen waiting {_times(start, end)}")


def _tries(facts: ActFacts, side: str, task_id: str) -> list[Try]:
    found = [one for one in facts.tries if (one.side, one.task_id) == (side, task_id)]
    _require(bool(found), f"{side} has no record of {task_id}")
    return sorted(found, key=lambda one: one.number)


def _span(one: Try) -> tuple[datetime.datetime, datetime.datetime]:
    if one.start is None or one.end is None:
        raise Broken(f"{one.task_id} has no start or no end")
    return one.start, one.end


def _unlock(facts: ActFacts) -> Event:
    """The first unlock, which the reader waited for."""
    return _first(facts.events, EventType.UNLOCK)


def _first(events: Iterable[Event], event_type: EventType) -> Event:
    for event in events:
        if event.type is event_type:
            return event
    raise Broken(f"there is no {event_type.value}")


def _is_lock(event: Event) -> bool:
    return event.type is EventType.LOCK


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Broken(otherwise)


def _times(start: datetime.datetime, end: datetime.datetime) -> str:
    return f"{clock(start)} - {clock(end)}"
