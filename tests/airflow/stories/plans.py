"""The stories: a DAG, and what happens to a run of it. They are only values, so that a failing one can be printed."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import strategies as st

FORMS = ("group", "teardown", "plain")
KINDS = ("work", "branch", "short circuit", "mapped", "mapped group")
RULES = ("all_success", "none_failed_min_one_success", "all_done", "one_failed")

# A story without accidents consists of the first of each; examples shrink towards these.
OUTCOMES = ("succeed", "fail", "choose none", "choose first", "skip itself", "die")
HANDS = (
    "clear task and downstream",
    "clear task",
    "clear run",
    "mark task success",
    "mark task failed",
    "mark run success",
    "mark run failed",
    "release by force",
    "take over",
    "finish the take-over",
)


@dataclass(frozen=True)
class Step:
    """A task of the work, or a mapped task group.

    :param after: the numbers of the steps that it waits for; none: it comes right after the lock.
    """

    kind: str = "work"
    after: frozenset[int] = frozenset()
    rule: str = "all_success"

    def __repr__(self) -> str:
        rule = "" if self.rule == "all_success" else f", rule={self.rule!r}"
        after = f", after=frozenset({set(self.after)})" if self.after else ""
        return f"Step({self.kind!r}{after}{rule})"


@dataclass(frozen=True)
class Plan:
    """A DAG that locks a partition, writes it, and unlocks it.

    :param was_ready: whether the partition had been published before.
    """

    form: str
    steps: tuple[Step, ...]
    retries: int = 0
    on_skipped: str = "fail"
    lease: float | None = None
    was_ready: bool = False


@dataclass(frozen=True)
class Hand:
    """Something that a person does to the run, or somebody else to the partition.

    :param target: the number of a task instance of the run, modulo how many there are.
    """

    what: str
    target: int = 0


@dataclass(frozen=True)
class Turn:
    """A task instance runs.

    :param which: the number of one of those that may run now, modulo how many there are.
    :param meanwhile: what happens in the middle of its code.
    """

    outcome: str = "succeed"
    which: int = 0
    meanwhile: Hand | None = None


@dataclass(frozen=True)
class Story:
    """A plan, and what happens. After that, everything that still runs succeeds."""

    plan: Plan
    events: tuple[Turn | Hand, ...]

    @property
    def has_accidents(self) -> bool:
        """Whether any person interfered."""
        return any(isinstance(event, Hand) or event.meanwhile is not None for event in self.events)


@st.composite
def _steps(draw: st.DrawFn) -> tuple[Step, ...]:
    steps: list[Step] = []
    for number in range(draw(st.integers(1, 4))):
        after = draw(st.frozensets(st.integers(0, number - 1), max_size=2)) if number else frozenset[int]()
        # The first steps must not run without the lock, as the group refuses such DAGs.
        rule = draw(st.sampled_from(("all_success",) * 3 + RULES)) if after else "all_success"
        kind = draw(st.sampled_from(KINDS))
        steps.append(Step(kind, after, "all_success" if kind == "mapped group" else rule))
    if all(step.kind in ("branch", "short circuit") for step in steps):
        steps.append(Step(after=frozenset({len(steps) - 1})))
    return tuple(steps)


plans = st.builds(
    Plan,
    form=st.sampled_from(FORMS),
    steps=_steps(),
    retries=st.integers(0, 1),
    on_skipped=st.sampled_from(("fail", "publish", "unchanged")),
    lease=st.none() | st.just(3600.0),
    was_ready=st.booleans(),
)
_hands = st.builds(Hand, st.sampled_from((*HANDS, "release by force")), st.integers(0, 7))
_turns = st.builds(Turn, outcome=st.sampled_from(("succeed",) * 8 + OUTCOMES), which=st.integers(0, 2))


@st.composite
def _events(draw: st.DrawFn) -> tuple[Turn | Hand, ...]:
    """Two interventions at most: with more, less is left of the run for them to harm."""
    events: list[Turn | Hand] = list(draw(st.lists(_turns, max_size=10)))
    for hand in draw(st.lists(_hands, max_size=2)):
        at = draw(st.integers(0, 8))
        events += [Turn()] * (at + 1 - len(events))
        turn = events[at]
        if isinstance(turn, Turn) and draw(st.booleans()):
            events[at] = replace(turn, meanwhile=hand)
        else:
            events.insert(at, hand)
    return tuple(events)


stories = st.builds(Story, plans, _events())
