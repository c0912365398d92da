"""Whether the work is proved: a function over values, without Airflow or a registry (R12).

That nothing failed is not enough for publishing. Every instance of the work needs evidence of its own, or an excuse
that the DAG itself gave.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Literal

from airflow_provider_partition_registry.proof.graph import descendants

OnSkipped = Literal["fail", "publish", "unchanged"]

Key = tuple[str, int]
"""A task instance of a run: task id and map index, which is -1 for tasks that are not mapped."""


@dataclass(frozen=True)
class Grant:
    """A lock as it was granted: on which partitions, and under which generation of each.

    It is noted by every task of the work, so it does not list them.

    :param what: the partitions, in words.
    :param generations: each once; as a rule those of all partitions are the same.
    :param digest: of every partition with its generation.
    """

    what: str
    generations: tuple[int, ...]
    digest: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "generations", tuple(self.generations))  # a list, after Airflow stored it

    @property
    def in_words(self) -> str:
        """Its generations, in words."""
        return ", ".join(map(str, self.generations))


FAILED = {"failed", "upstream_failed"}


@dataclass(frozen=True)
class Decision:
    """What a branch or short circuit decided: which of the tasks right after it go on, or all that it skipped."""

    followed: frozenset[str] | None = None
    skipped: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Task:
    """A task of the work as the DAG has it.

    :param writes: whether it can write data; a task that cannot (a sensor, a branch) only has to end successfully.
    :param is_awaited: whether the unlock waits for it.
    :param mapped_group: the mapped task group that contains it: within one group equal map indexes belong together.
    """

    task_id: str
    upstream: frozenset[str] = frozenset()
    downstream: frozenset[str] = frozenset()
    trigger_rule: str = "all_success"
    writes: bool = True
    is_awaited: bool = True
    mapped_group: str | None = None


@dataclass(frozen=True)
class Instance:
    """What is known about one task instance of the work.

    :param state: Airflow's; None if it was never scheduled.
    :param began_under: the lock that was held when its newest try began, as its guard noted.
    :param ended: whether that try reached the end of its own code.
    :param by_hand: whether a person marked this very instance as successful.
    :param decision: what it decided, if it is a branch or short circuit that skipped something.
    :param had_nothing_to_map: whether it stands for a mapped task that had nothing to map over.
    :param began_after_lock: if no guard ran: whether by Airflow's own times it began after the lock task ended, and was
        not only marked successful with its run.
    """

    task_id: str
    map_index: int
    state: str | None
    began_under: Grant | None = None
    ended: bool = False
    by_hand: bool = False
    decision: Decision | None = None
    had_nothing_to_map: bool = False
    began_after_lock: bool = False

    @property
    def key(self) -> Key:
        """Task id and map index."""
        return self.task_id, self.map_index

    def __str__(self) -> str:
        return self.task_id if self.map_index < 0 else f"{self.task_id}[{self.map_index}]"


class Outcome(StrEnum):
    """What becomes of the partition."""

    PUBLISH = "publish"
    RELEASE = "release"
    FAIL = "fail"


@dataclass(frozen=True)
class Verdict:
    """The outcome, and why."""

    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True)
class Work:
    """Everything that must have been done under a lock: its tasks, and what is known about their instances."""

    tasks: Mapping[str, Task]
    instances: tuple[Instance, ...]
    grant: Grant | None
    _excuses: dict[Key, frozenset[Key] | None] = field(default_factory=dict, compare=False)

    def judge(self, on_skipped: OnSkipped = "fail") -> Verdict:
        """Say what becomes of the partition.

        :param on_skipped: what a decision to do nothing means: the write failed, the partition is complete as it is, or
            nothing was written and it goes back to what it was.
        """
        unproved = [
            f"{each} {self._why_not(each)}{self._what_to_do(each.task_id)}"
            for each in self.instances
            if not self._is_done(each) and self._excuse(each) is None
        ]
        unproved += [
            f"{task_id} has not run{self._what_to_do(task_id)}"
            for task_id in sorted(self.tasks.keys() - self._by_task.keys())
        ]
        if unproved:
            return Verdict(Outcome.FAIL, f"Work is not proved: {'; '.join(unproved)}")
        stops = self._stops()
        if not stops or on_skipped == "publish":
            return Verdict(Outcome.PUBLISH)
        stopped = ", ".join(
            f"{each} had nothing to map over"
            if each.had_nothing_to_map
            else f"{each} decided against the rest"
            for each in stops
        )
        if on_skipped == "fail":
            skipped = ", ".join(str(each) for each in self.writers() if each.state == "skipped")
            return Verdict(
                Outcome.FAIL, f"No work was done in place of what was skipped ({skipped}): {stopped}"
            )
        written = [str(each) for each in self.writers() if each.state != "skipped"]
        if written:
            return Verdict(
                Outcome.FAIL, f"{stopped}, but data was written under this lock: {', '.join(written)} ran"
            )
        return Verdict(Outcome.RELEASE, f"Nothing was written: {stopped}")

    def is_proved(self, instance: Instance) -> bool:
        """Whether it succeeded in a try that began under the present lock (R12)."""
        if instance.state != "success":
            return False
        if instance.began_under is None:
            return instance.began_after_lock
        has_ended = instance.ended or instance.by_hand or instance.decision is not None
        return instance.began_under == self.grant and has_ended

    def writers(self) -> list[Instance]:
        """The instances that can have written data."""
        return [each for each in self.instances if self.tasks[each.task_id].writes]

    @cached_property
    def _by_task(self) -> dict[str, list[Instance]]:
        found: dict[str, list[Instance]] = {}
        for each in self.instances:
            found.setdefault(each.task_id, []).append(each)
        return found

    def _is_done(self, instance: Instance) -> bool:
        if not self.tasks[instance.task_id].writes:
            return instance.state == "success"
        return self.is_proved(instance)

    def _is_proved_writer(self, instance: Instance) -> bool:
        task = self.tasks[instance.task_id]
        return task.writes and task.is_awaited and self.is_proved(instance)

    # Skipped by the DAG itself

    def _excuse(self, instance: Instance) -> frozenset[Key] | None:
        """The decisions that skipped it; empty if its own trigger rule did so; None if nothing explains it."""
        if instance.state != "skipped":
            return None
        if instance.had_nothing_to_map:
            return frozenset({instance.key})
        if instance.key not in self._excuses:
            self._excuses[instance.key] = self._decided_on(instance) or self._by_trigger_rule(instance)
        return self._excuses[instance.key]

    def _decided_on(self, instance: Instance) -> frozenset[Key]:
        return frozenset(
            each.key
            for each in self.instances
            if each.decision is not None
            and self.is_proved(each)
            and self._belong_together(each, instance)
            and self._skips(each, instance.task_id)
        )

    def _skips(self, decider: Instance, task_id: str) -> bool:
        decision = decider.decision
        if decision is None:
            return False
        if decision.followed is not None:
            return task_id in self.tasks[decider.task_id].downstream - decision.followed
        return task_id in decision.skipped

    def _by_trigger_rule(self, instance: Instance) -> frozenset[Key] | None:
        """Whether Airflow had to skip it because of how its upstream tasks ended."""
        task = self.tasks[instance.task_id]
        before = [
            each
            for task_id in task.upstream & self.tasks.keys()
            for each in self._by_task.get(task_id, ())
            if self._belong_together(each, instance)
        ]
        excuses = [self._excuse(each) for each in before if each.state == "skipped"]
        rule = _SKIPPED_BY.get(task.trigger_rule)
        # Of upstream tasks outside the work it is only known that they were not skipped, since the lock was held.
        knows_all = task.upstream <= self.tasks.keys()
        if rule is None or None in excuses or not rule([each.state for each in before], knows_all):
            return None
        return frozenset[Key]().union(*(each for each in excuses if each is not None))

    def _stops(self) -> list[Instance]:
        """The decisions in place of which nothing was done."""
        deciders = {
            key for each in self.instances if not self._is_done(each) for key in self._excuse(each) or ()
        }
        return [each for each in self.instances if each.key in deciders and not self._was_done_instead(each)]

    def _was_done_instead(self, decider: Instance) -> bool:
        """Whether a task that only this decision let run has written."""
        if decider.decision is None:
            return False
        task = self.tasks[decider.task_id]
        skipped = {each for each in task.downstream if self._skips(decider, each)}
        downstream = {task_id: each.downstream for task_id, each in self.tasks.items()}
        only_chosen = descendants(task.downstream - skipped, downstream) - descendants(skipped, downstream)
        return any(
            self._is_proved_writer(each)
            for task_id in only_chosen
            for each in self._by_task.get(task_id, ())
            if self._belong_together(decider, each)
        )

    def _belong_together(self, one: Instance, other: Instance) -> bool:
        group = self.tasks[one.task_id].mapped_group
        if group is None or group != self.tasks[other.task_id].mapped_group:
            return True
        return one.map_index == other.map_index

    # In words

    def _why_not(self, instance: Instance) -> str:
        if instance.state == "success":
            return self._why_success_is_no_proof(instance)
        if instance.state == "skipped":
            if instance.began_under is None:
                return (
                    "was stopped before it began: it is skipped, and no branch or short circuit decided that"
                )
            return "was stopped before it ended, or skipped itself"
        return _WORDS.get(instance.state or "none", f"has not ended ({instance.state})")

    def _what_to_do(self, task_id: str) -> str:
        if self.tasks[task_id].is_awaited:
            return ""
        return " (the unlock does not wait for it: if it only reads, let it wait for the unlock)"

    def _why_success_is_no_proof(self, instance: Instance) -> str:
        if instance.began_under is None:
            return "is marked as successful, but nothing shows that it ran under this lock"
        if instance.began_under != self.grant:
            return self._why_not_under_the_present_lock(instance.began_under)
        return "was stopped before it ended, and then counted as successful with its run"

    def _why_not_under_the_present_lock(self, earlier: Grant) -> str:
        present = self.grant
        if present is not None and earlier.what != present.what:
            return (
                f"succeeded, but under a lock on {earlier.what}, while the present one is on {present.what}: let it "
                f"run again"
            )
        if present is None:
            now = "there is none now"
        elif earlier.generations != present.generations:
            now = f"the present one is {present.in_words}"
        else:
            now = "some of its partitions have been locked again since"
        return f"succeeded, but began under an earlier lock (generation {earlier.in_words}, {now}): let it run again"


_WORDS = {
    "none": "has not run",
    "failed": "failed",
    "upstream_failed": "did not run, as something before it failed",
    "up_for_retry": "failed and waits for its retry",
    "running": "is still running",
}


def _any_skipped(states: Iterable[str | None], knows_all: bool) -> bool:
    return "skipped" in states


def _all_skipped(states: Iterable[str | None], knows_all: bool) -> bool:
    return knows_all and set(states) == {"skipped"}


def _none_failed(states: Iterable[str | None], knows_all: bool) -> bool:
    return FAILED.isdisjoint(states) and set(states) <= {"success", "skipped"}


def _some_ended_well(states: Iterable[str | None], knows_all: bool) -> bool:
    return not {"success", "skipped"}.isdisjoint(states)


def _some_not_skipped(states: Iterable[str | None], knows_all: bool) -> bool:
    return not (FAILED | {"success"}).isdisjoint(states)


# For each trigger rule that can skip a task: the states of its upstream tasks in which Airflow skips it.
_SKIPPED_BY: Mapping[str, Callable[[list[str | None], bool], bool]] = {
    "all_success": _any_skipped,
    "none_skipped": _any_skipped,
    "all_done_min_one_success": _any_skipped,
    "none_failed_min_one_success": _all_skipped,
    "one_success": _all_skipped,
    "one_done": _all_skipped,
    "one_failed": _none_failed,
    "all_failed": _some_ended_well,
    "all_skipped": _some_not_skipped,
}
