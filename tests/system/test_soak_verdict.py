"""The soak's verdict can say no: each way in which something may break is found in the facts. Quick."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator

import pytest

from demo.options import PROJECT
from soak.accidents import Accident
from soak.facts import Facts, HistoryLine, expected_on
from soak.figures import figures
from soak.journal import STREAMS, WAITS, Arrival, EndedWait, Presence, Publication, Record, Surprise
from soak.picture import draw
from soak.plan import WAYS, Plan, source_name
from soak.sampling import Sample, Usage
from soak.verdict import judge

PLAN = Plan(minutes=20, sources=4, waits=16, streams=20, rate=0.5)
START = 1_000.0
PICTURE = PROJECT / "docs" / "images" / "soak.svg"
MB = 1_000_000


def good() -> Facts:
    """A soak in which everything takes a hundredth of a second."""
    publications = list(good_publications())
    history = [
        HistoryLine(position, source_name(each.source), is_publication, each.number, 1)
        for index, each in enumerate(publications)
        for position, is_publication in ((10 * index + 1, False), (10 * index + 4, True))
    ]
    names = [None if each.source is None else source_name(each.source) for each in PLAN.followings()]
    return Facts(
        PLAN,
        START,
        [*publications, *(record for each in publications for record in told_of(each)), *presences()],
        good_accidents(),
        [sample(START + second) for second in range(0, 1200, 10)],
        history,
        [expected_on(name, history) for name in names],
    )


def good_publications() -> Iterator[Publication]:
    for index in range(600):
        number, source = divmod(index, PLAN.sources)
        at = START + PLAN.due(source, number)
        yield Publication(source, number, 1, at, at + 0.01, at + 0.02, 0)


def told_of(each: Publication) -> Iterator[Record]:
    for way in WAYS:
        yield EndedWait(way, each.source, each.number, START - 10, each.published + 0.01, "ready")
    for follows_all in (True, False):
        yield Arrival(follows_all, each.source, each.number, each.published + 0.01)


def presences() -> Iterator[Presence]:
    for second in range(1200):
        yield Presence(WAITS, START + second, PLAN.waits)
        yield Presence(STREAMS, START + second, PLAN.streams)


def good_accidents() -> list[Accident]:
    return [
        Accident("PostgreSQL is restarted", START + 300, START + 301),
        Accident("service 1 is killed", START + 600, START + 605),
        Accident("service 2 is killed", START + 680, START + 685),
        Accident("a writer is frozen", START + 900, START + 940),
    ]


def sample(at: float, **more: int) -> Sample:
    names = ("service 1", "service 2", "triggerer")
    usage = {name: Usage(7, 100 * MB + more.get("memory", 0), at / 10) for name in names}
    return Sample(at, usage, 20 + more.get("connections", 0), 100, 10 * MB)


def changed(facts: Facts, record: Record, **values: object) -> Facts:
    """The same, but a record is another one."""
    records = list(facts.records)
    records[records.index(record)] = record._replace(**values)
    return dataclasses.replace(facts, records=records)


def without(facts: Facts, record: Record) -> Facts:
    return dataclasses.replace(facts, records=[each for each in facts.records if each != record])


def with_more(facts: Facts, *records: Record) -> Facts:
    return dataclasses.replace(facts, records=[*facts.records, *records])


def with_received(facts: Facts, stream: int, change: Callable[[list[int]], list[int]]) -> Facts:
    received = [list(each) for each in facts.received]
    received[stream] = change(received[stream])
    return dataclasses.replace(facts, received=received)


def slowed(facts: Facts, begin: float, end: float) -> Facts:
    """The same, but whoever waited heard a second later of what was published then."""
    return dataclasses.replace(
        facts,
        records=[
            each._replace(ended=each.ended + 1)
            if isinstance(each, EndedWait) and each.source != 0 and begin <= each.ended - START < end
            else each
            for each in facts.records
        ],
    )


def grown(facts: Facts, since: float = 0, **each: float) -> Facts:
    """The same, but something grows from one sample to the next, from some seconds after the beginning on."""
    ages = [max(0, int(old.at - START - since) // 10) for old in facts.samples]
    samples = [
        sample(old.at, **{name: int(step * age) for name, step in each.items()})
        for old, age in zip(facts.samples, ages, strict=True)
    ]
    return dataclasses.replace(facts, samples=samples)


def broken(facts: Facts) -> list[str]:
    return [check.claim for check in judge(facts) if not check.holds]


def test_a_good_soak_has_no_broken_claim() -> None:
    checks = judge(good())

    assert [check.claim for check in checks if check.holds is not True] == []
    assert all(check.evidence for check in checks)


def test_a_short_one_does_not_judge_what_takes_long() -> None:
    short = dataclasses.replace(grown(good(), memory=MB), plan=dataclasses.replace(PLAN, minutes=9.5))

    assert {check.claim for check in judge(short) if check.holds is None} == {
        "the writers kept their rate",
        "latencies are flat",
        "no other source waited for the frozen writer",
        "memory is flat",
        "connections are flat",
    }


PUBLICATION, LAST_PUBLICATION = list(good_publications())[100], list(good_publications())[-1]
WAIT = EndedWait(
    WAYS[0], PUBLICATION.source, PUBLICATION.number, START - 10, PUBLICATION.published + 0.01, "ready"
)
LAST = max(line.position for line in good().history)


@pytest.mark.parametrize(
    ("breaks", "claims"),
    [
        (
            lambda facts: dataclasses.replace(facts, accidents=facts.accidents[1:]),
            ["everything was broken as planned"],
        ),
        (
            lambda facts: dataclasses.replace(facts, plan=dataclasses.replace(PLAN, rate=0.505)),
            ["all that was planned was published"],
        ),
        (
            lambda facts: changed(facts, LAST_PUBLICATION, published=START + PLAN.seconds + 16),
            ["the writers kept their rate"],
        ),
        (lambda facts: with_more(facts, Surprise("a writer", "no grant")), ["no call was refused"]),
        (lambda facts: changed(facts, WAIT, status="failed"), ["no wait failed"]),
        (lambda facts: with_more(facts, Presence(WAITS, START + 5, PLAN.waits - 1)), ["no wait failed"]),
        (
            lambda facts: changed(facts, WAIT, ended=PUBLICATION.unlock_sent - 0.001),
            ["no wait ended before its data was published"],
        ),
        (
            lambda facts: with_more(facts, WAIT._replace(number=99_999)),
            ["no wait ended before its data was published"],
        ),
        (lambda facts: without(facts, WAIT), ["no wait was lost"]),
        (lambda facts: with_more(facts, WAIT._replace(began=1.0)), ["no wait was lost"]),
        (lambda facts: changed(facts, WAIT, ended=PUBLICATION.published + 71), ["no wait was lost"]),
        (
            lambda facts: dataclasses.replace(
                facts, history=[each for each in facts.history if each.position != 1004]
            ),
            ["no publication was lost or repeated", "each stream got each event once, in order"],
        ),
        (
            lambda facts: dataclasses.replace(
                facts, history=[*facts.history, facts.history[-1]._replace(position=LAST + 1)]
            ),
            ["no publication was lost or repeated", "each stream got each event once, in order"],
        ),
        (
            lambda facts: with_received(facts, 3, lambda positions: positions[:-1]),
            ["each stream got each event once, in order"],
        ),
        (
            lambda facts: with_received(facts, 0, lambda positions: [*positions, positions[-1]]),
            ["each stream got each event once, in order"],
        ),
        (
            lambda facts: with_received(
                facts, 0, lambda positions: [positions[1], positions[0], *positions[2:]]
            ),
            ["each stream got each event once, in order"],
        ),
        (
            lambda facts: with_more(facts, Presence(STREAMS, START + 5, PLAN.streams - 1)),
            ["the streams stayed open"],
        ),
        (
            lambda facts: dataclasses.replace(facts, discrepancies=["a gap"]),
            ["the registry is sound"],
        ),
        (lambda facts: slowed(facts, 1080, 1200), ["latencies are flat"]),
        (lambda facts: slowed(facts, 900, 940), ["no other source waited for the frozen writer"]),
        (lambda facts: grown(facts, memory=1_100), ["memory is flat"]),  # 110 bytes an event
        (lambda facts: grown(facts, since=940, memory=5_000), ["memory is flat"]),
        (lambda facts: grown(facts, connections=0.1), ["connections are flat"]),
    ],
)
def test_what_breaks_is_found(breaks: Callable[[Facts], Facts], claims: list[str]) -> None:
    assert broken(breaks(good())) == claims


def test_streams_may_be_away_after_an_accident() -> None:
    assert broken(with_more(good(), Presence(STREAMS, START + 607, 0))) == []


def test_what_an_accident_takes_once_is_no_leak() -> None:
    facts = good()
    samples = [sample(each.at, memory=7 * MB) if each.at >= START + 920 else each for each in facts.samples]

    assert broken(dataclasses.replace(facts, samples=samples)) == []


def test_what_is_given_back_at_each_accident_is_a_leak() -> None:
    facts = good()
    begins = [START, *(each.ended for each in facts.accidents)]
    samples = [
        sample(at, memory=int(500 * (at - max(begin for begin in begins if begin <= at))))
        for at, *_ in facts.samples
    ]

    assert broken(dataclasses.replace(facts, samples=samples)) == ["memory is flat"]


def test_a_service_that_was_replaced_begins_anew() -> None:
    facts = good()
    samples = [
        each
        if each.at < START + 600
        else each._replace(usage={**each.usage, "service 1": Usage(8, 150 * MB, each.at / 10)})
        for each in facts.samples
    ]

    assert broken(dataclasses.replace(facts, samples=samples)) == []


def test_everything_that_was_measured_is_drawn() -> None:
    facts = good()
    picture = draw(figures(facts, judge(facts)))

    for words in (
        "20 minutes",
        "PostgreSQL is restarted",
        "asking the service",
        "of all sources",
        "triggerer: 100",
    ):
        assert words in picture


def test_the_picture_in_the_documentation_is_that_of_its_figures() -> None:
    assert PICTURE.read_text() == draw(json.loads(PICTURE.with_suffix(".json").read_text()))
