"""Whether work is proved: single cases, and random runs compared with a small simulation of Airflow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from airflow_provider_partition_registry.proof.verdict import (
    Decision,
    Grant,
    Instance,
    Outcome,
    Task,
    Verdict,
    Work,
)

NOW = Grant("the day", (7,), "at generation 7")  # the present lock
BEFORE = Grant("the day", (6,), "at generation 6")


def chain_of(*names: str, **of_all: Any) -> dict[str, Task]:
    """Tasks one after the other."""
    return {
        name: Task(
            name,
            upstream=frozenset(names[index - 1 : index] if index else ()),
            downstream=frozenset(names[index + 1 : index + 2]),
            **of_all,
        )
        for index, name in enumerate(names)
    }


def done(name: str, **differently: Any) -> Instance:
    """An instance that is proved, except for the given fields."""
    return replace(Instance(name, -1, "success", began_under=NOW, ended=True), **differently)


def judge(*instances: Instance, tasks: Mapping[str, Task] | None = None, on_skipped: Any = "fail") -> Verdict:
    names = [each.task_id for each in instances]
    return Work(tasks or chain_of(*dict.fromkeys(names)), instances, NOW).judge(on_skipped)


class TestOneTask:
    def test_that_is_proved(self) -> None:
        assert judge(done("w1"), done("w2")) == Verdict(Outcome.PUBLISH)

    def test_marked_by_a_person(self) -> None:
        assert judge(done("w1", ended=False, by_hand=True)).outcome is Outcome.PUBLISH

    def test_without_a_guards_note_airflows_times_decide(self) -> None:
        unseen = done("w1", began_under=None, ended=False)
        assert judge(replace(unseen, began_after_lock=True)).outcome is Outcome.PUBLISH
        assert judge(unseen).reason == (
            "Work is not proved: w1 is marked as successful, but nothing shows that it ran under this lock"
        )

    @pytest.mark.parametrize(
        ("differently", "why"),
        [
            ({"state": "failed"}, "failed"),
            ({"state": "upstream_failed"}, "did not run, as something before it failed"),
            ({"state": None}, "has not run"),
            ({"state": "running"}, "is still running"),
            ({"state": "deferred"}, "has not ended (deferred)"),
            ({"state": "skipped"}, "was stopped before it ended, or skipped itself"),
            (
                {"state": "skipped", "began_under": None},
                "was stopped before it began: it is skipped, and no branch or short circuit decided that",
            ),
            ({"ended": False}, "was stopped before it ended, and then counted as successful with its run"),
            (
                {"began_under": BEFORE},
                (
                    "succeeded, but began under an earlier lock (generation 6, the present one is 7): "
                    "let it run again"
                ),
            ),
            ({"began_under": BEFORE, "by_hand": True}, "succeeded, but began under an earlier lock"),
        ],
    )
    def test_that_is_not_proved_fails_the_partition(self, differently: dict[str, Any], why: str) -> None:
        verdict = judge(done("w1"), done("w2", **differently))
        assert verdict.outcome is Outcome.FAIL
        assert verdict.reason.startswith(f"Work is not proved: w2 {why}")

    def test_all_that_is_not_proved_is_told(self) -> None:
        states = (("w1", "failed"), ("w2", None))
        verdict = judge(*[Instance(name, -1, state) for name, state in states])
        assert verdict.reason == "Work is not proved: w1 failed; w2 has not run"

    def test_that_was_never_scheduled(self) -> None:
        verdict = judge(done("w1"), tasks=chain_of("w1", "w2"))
        assert verdict == Verdict(Outcome.FAIL, "Work is not proved: w2 has not run")

    def test_for_which_the_unlock_does_not_wait(self) -> None:
        tasks = chain_of("w1", is_awaited=False)
        assert (
            "if it only reads, let it wait for the unlock"
            in judge(done("w1", state=None), tasks=tasks).reason
        )

    def test_that_writes_nothing_only_has_to_end_successfully(self) -> None:
        tasks = chain_of("wait", writes=False) | chain_of("w1")
        waited = Instance("wait", -1, "success")
        assert judge(waited, done("w1"), tasks=tasks).outcome is Outcome.PUBLISH
        assert judge(replace(waited, state="failed"), done("w1"), tasks=tasks).outcome is Outcome.FAIL

    def test_that_is_mapped(self) -> None:
        parts = [done("w1", map_index=index) for index in range(3)]
        assert judge(*parts).outcome is Outcome.PUBLISH
        assert judge(*parts[:2], replace(parts[2], state="failed")).reason == (
            "Work is not proved: w1[2] failed"
        )


class TestSkipped:
    def fork(self, *, writes: bool = True) -> dict[str, Task]:
        """A decision between left and right, which both lead to the join."""
        return {
            "choose": Task("choose", downstream=frozenset({"left", "right"}), writes=False),
            "left": Task("left", frozenset({"choose"}), frozenset({"join"}), writes=writes),
            "right": Task("right", frozenset({"choose"}), frozenset({"join"})),
            "join": Task("join", frozenset({"left", "right"}), trigger_rule="none_failed_min_one_success"),
        }

    chose_left = done("choose", decision=Decision(followed=frozenset({"left"})))
    skipped = Instance("right", -1, "skipped")

    def test_a_branch_that_was_not_chosen_is_excused(self) -> None:
        verdict = judge(self.chose_left, done("left"), self.skipped, done("join"), tasks=self.fork())
        assert verdict.outcome is Outcome.PUBLISH

    def test_a_chosen_branch_that_writes_nothing_is_no_excuse(self) -> None:
        """A task that runs in either case does not stand in for the one that was skipped."""
        left = Instance("left", -1, "success")
        verdict = judge(self.chose_left, left, self.skipped, done("join"), tasks=self.fork(writes=False))
        assert verdict.reason == (
            "No work was done in place of what was skipped (right): choose decided against the rest"
        )

    def test_by_a_decision_under_an_earlier_lock(self) -> None:
        old = replace(self.chose_left, began_under=BEFORE)
        verdict = judge(old, done("left"), self.skipped, done("join"), tasks=self.fork())
        assert "right was stopped before it began" in verdict.reason

    def test_a_trigger_rule_that_did_not_skip_it_is_no_excuse(self) -> None:
        """The join may have been skipped with its run, as its rule does not skip it if left succeeded."""
        stopped = Instance("join", -1, "skipped")
        verdict = judge(self.chose_left, done("left"), self.skipped, stopped, tasks=self.fork())
        assert verdict.reason.startswith("Work is not proved: join was stopped before it began")

    @pytest.mark.parametrize(
        ("rule", "skipped_after", "never_after"),
        [
            ("all_success", ["success skipped"], ["success", "failed", ""]),
            ("none_skipped", ["success skipped"], ["success", "failed", ""]),
            ("all_done_min_one_success", ["skipped skipped"], ["success", "failed"]),
            ("none_failed_min_one_success", ["skipped skipped"], ["success skipped", "failed skipped", ""]),
            ("one_success", ["skipped skipped"], ["success skipped", ""]),
            ("one_done", ["skipped skipped"], ["failed skipped", ""]),
            ("one_failed", ["success skipped", "success"], ["failed success", "upstream_failed", "running"]),
            ("all_failed", ["success failed", "skipped failed"], ["failed upstream_failed"]),
            ("all_skipped", ["success skipped", "failed", "upstream_failed"], ["skipped skipped", ""]),
            ("all_done", [], ["success", "skipped", "failed"]),
        ],
    )
    def test_by_its_trigger_rule(self, rule: str, skipped_after: list[str], never_after: list[str]) -> None:
        """Upstream tasks that were skipped were skipped by a decision."""

        def reason_after(states: str) -> str:
            names = {f"b{number}": state for number, state in enumerate(states.split())}
            before = {
                name: Task(name, frozenset({"choose"}), frozenset({"w"}), writes=False) for name in names
            }
            tasks = {
                "choose": Task("choose", downstream=frozenset(names), writes=False),
                **before,
                "w": Task("w", frozenset(names), trigger_rule=rule),
            }
            chosen = frozenset(name for name, state in names.items() if state != "skipped")
            decided = done("choose", decision=Decision(followed=chosen))
            given = [Instance(name, -1, state) for name, state in names.items()]
            return judge(decided, *given, Instance("w", -1, "skipped"), tasks=tasks).reason

        stopped = "w was stopped before it began"
        assert [stopped in reason_after(each) for each in skipped_after] == [False] * len(skipped_after)
        assert [stopped in reason_after(each) for each in never_after] == [True] * len(never_after)

    def test_after_upstream_tasks_outside_the_work(self) -> None:
        """An upstream task outside the work was not skipped, so not all upstream tasks were skipped."""
        tasks = {
            "choose": Task("choose", downstream=frozenset({"b"}), writes=False),
            "b": Task("b", frozenset({"choose"}), frozenset({"w"}), writes=False),
            "w": Task("w", frozenset({"b", "elsewhere"}), trigger_rule="one_success"),
        }
        decided = done("choose", decision=Decision(followed=frozenset()))
        skipped = [Instance(name, -1, "skipped") for name in ("b", "w")]
        assert "w was stopped" in judge(decided, *skipped, tasks=tasks).reason

    @pytest.mark.parametrize("differently", [{"is_awaited": False}, {"writes": False}])
    def test_a_chosen_branch_that_is_not_awaited_or_does_not_write_is_no_excuse(
        self, differently: dict[str, Any]
    ) -> None:
        tasks = self.fork()
        tasks["left"] = replace(tasks["left"], **differently)
        tasks["join"] = replace(tasks["join"], writes=False)
        verdict = judge(self.chose_left, done("left"), self.skipped, done("join"), tasks=tasks)
        assert "choose decided against the rest" in verdict.reason

    def test_after_a_skip_that_nothing_explains(self) -> None:
        reason = judge(Instance("w1", -1, "skipped"), Instance("w2", -1, "skipped")).reason
        assert all(f"{name} was stopped before it began" in reason for name in ("w1", "w2"))

    def test_beside_what_was_written(self) -> None:
        """If anything was written, the partition is never released as if nothing had been."""
        tasks = {
            "choose": Task("choose", downstream=frozenset({"right"}), writes=False),
            "right": Task("right", frozenset({"choose"})),
            "other": Task("other"),
        }
        decided = done("choose", decision=Decision(followed=frozenset()))
        others = [done("other", map_index=index) for index in range(2)]
        assert judge(decided, self.skipped, *others, tasks=tasks, on_skipped="unchanged") == Verdict(
            Outcome.FAIL,
            "choose decided against the rest, but data was written under this lock: other[0], other[1] ran",
        )
        del tasks["other"]
        assert judge(decided, self.skipped, tasks=tasks, on_skipped="unchanged") == Verdict(
            Outcome.RELEASE, "Nothing was written: choose decided against the rest"
        )

    def test_a_mapped_task_with_nothing_to_map_over(self) -> None:
        unmapped = Instance("w1", -1, "skipped", had_nothing_to_map=True)
        assert judge(unmapped) == Verdict(
            Outcome.FAIL,
            "No work was done in place of what was skipped (w1): w1 had nothing to map over",
        )
        assert judge(unmapped, on_skipped="unchanged").outcome is Outcome.RELEASE

    def test_what_follows_something_skipped(self) -> None:
        tasks = chain_of("stop", "w1", "w2")
        stop = done("stop", decision=Decision(skipped=frozenset({"w1"})))
        rest = [Instance("w1", -1, "skipped"), Instance("w2", -1, "skipped")]
        tasks["stop"] = replace(tasks["stop"], writes=False)
        outcomes = {
            choice: judge(stop, *rest, tasks=tasks, on_skipped=choice).outcome
            for choice in ("fail", "publish", "unchanged")
        }
        assert outcomes == {"fail": Outcome.FAIL, "publish": Outcome.PUBLISH, "unchanged": Outcome.RELEASE}

    def test_in_another_instance_of_a_mapped_group(self) -> None:
        tasks = {
            name: replace(each, mapped_group="each", writes=name != "stop")
            for name, each in chain_of("stop", "w1").items()
        }
        stop = done("stop", map_index=0, decision=Decision(skipped=frozenset({"w1"})))
        skipped = Instance("w1", 1, "skipped")
        verdict = judge(stop, done("stop", map_index=1), Instance("w1", 0, "skipped"), skipped, tasks=tasks)
        assert "w1[1] was stopped" in verdict.reason
        assert "w1[0]" not in verdict.reason


@dataclass
class Simulation:
    """A run with accidents, as Airflow would leave it. It shares no code with the package."""

    tasks: dict[str, Task]
    kinds: dict[str, str]
    instances: dict[str, Instance] = field(default_factory=dict)
    wrote_under: dict[str, int] = field(default_factory=dict)
    skipped_by_dag: set[str] = field(default_factory=set)
    generation: int = 1

    def run(self, script: Mapping[str, str], stop_at: str | None, stop_state: str) -> None:
        stopped = False
        for name, task in self.tasks.items():
            if stopped:
                self.instances.setdefault(name, Instance(name, -1, "skipped"))
                continue
            before = [self.instances[each].state for each in task.upstream]
            if name in self.instances:  # skipped by a decision
                continue
            if "failed" in before or "upstream_failed" in before:
                self.instances[name] = Instance(name, -1, "upstream_failed")
            elif "skipped" in before:
                self.instances[name] = Instance(name, -1, "skipped")
                self.skipped_by_dag.add(name)
            elif name == stop_at:  # the run is marked while this task runs
                self.instances[name] = Instance(name, -1, stop_state, began_under=grant_of(self.generation))
                stopped = True
            else:
                self._run(name, script[name])

    def _run(self, name: str, what: str) -> None:
        if what == "loses the lock":
            self.generation += 1
        began = self.generation
        if what == "fails":
            self.instances[name] = Instance(name, -1, "failed", began_under=grant_of(began))
            return
        decision = None
        if self.kinds[name] == "decider" and what == "decides against":
            left = sorted(self.tasks[name].downstream)[1:]
            decision = Decision(followed=frozenset(left))
            for other in self.tasks[name].downstream - decision.followed:
                self.instances[other] = Instance(other, -1, "skipped")
                self.skipped_by_dag.add(other)
        self.wrote_under[name] = began
        self.instances[name] = Instance(
            name, -1, "success", began_under=grant_of(began), ended=decision is None, decision=decision
        )


NAMES = tuple("abcdef")


def grant_of(generation: int) -> Grant:
    return Grant("the day", (generation,), str(generation))


@st.composite
def simulations(draw: st.DrawFn) -> tuple[Simulation, dict[str, str], str | None, str]:
    names = NAMES[: draw(st.integers(1, len(NAMES)))]
    edges = {
        (one, other) for index, one in enumerate(names) for other in names[index + 1 :] if draw(st.booleans())
    }
    kinds = {name: draw(st.sampled_from(["work", "work", "decider"])) for name in names}
    tasks = {
        name: Task(
            name,
            upstream=frozenset(one for one, other in edges if other == name),
            downstream=frozenset(other for one, other in edges if one == name),
            writes=kinds[name] == "work",
        )
        for name in names
    }
    acts = st.sampled_from(["succeeds", "succeeds", "succeeds", "fails", "loses the lock", "decides against"])
    script = {name: draw(acts) for name in names}
    stop_at = draw(st.none() | st.sampled_from(names))
    return Simulation(tasks, kinds), script, stop_at, draw(st.sampled_from(["success", "failed", "skipped"]))


@given(simulations())
def test_random_runs_publish_only_what_was_written_and_all_that_was(
    drawn: tuple[Simulation, dict[str, str], str | None, str],
) -> None:
    simulation, script, stop_at, stop_state = drawn
    simulation.run(script, stop_at, stop_state)
    work = Work(simulation.tasks, tuple(simulation.instances.values()), grant_of(simulation.generation))
    verdict = work.judge()

    writers = {name for name, task in simulation.tasks.items() if task.writes}
    proved = {name for name in writers if simulation.wrote_under.get(name) == simulation.generation}
    if verdict.outcome is Outcome.PUBLISH:
        assert writers - proved <= simulation.skipped_by_dag
    if proved == writers and all(each.state == "success" for each in work.instances):
        assert verdict.outcome is Outcome.PUBLISH, verdict.reason
    assert verdict.outcome is not Outcome.RELEASE
