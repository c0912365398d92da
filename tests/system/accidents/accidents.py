"""The accidents that happen to writing DAGs, and what must come of each."""

from __future__ import annotations

from airflow_provider_partition_registry.domain.models import EventType, PartitionState
from tests.system.accidents.scenario import PARTS, Accident, Outcome
from tests.system.accidents.steps import (
    another_run_is_refused,
    becomes,
    begins,
    begins_or_fails,
    clear,
    clear_run,
    delete_dag,
    delete_run,
    ends,
    fail_once,
    generation,
    go,
    go_once,
    granted,
    is_in_state,
    kill,
    mark,
    mark_run,
    published,
    reads_what_is_ready,
    registry_falls_silent,
    registry_speaks_again,
    run_ends,
    somebody_else_locks,
    somebody_else_unlocks,
    vouch_for,
)

READY, FAILED, LOCKED = PartitionState.READY, PartitionState.FAILED, PartitionState.LOCKED
REGISTERED = PartitionState.REGISTERED

WRITTEN_ONCE = (EventType.PARTITION_REGISTERED, EventType.LOCK, EventType.UNLOCK)
WRITTEN_TWICE = (*WRITTEN_ONCE, EventType.LOCK, EventType.UNLOCK)

WHOLE_LINE = (("w1", "w2"),)
SINGLE = (("w1",),)


def fails(*words: str, **more: object) -> Outcome:
    return Outcome(FAILED, words, **more)


MARKED = (
    Accident(
        "run marked failed, w2 waiting for its retry",
        "waiting_for_retry",
        (go("w1"), fail_once("w2"), is_in_state("w2", "up_for_retry"), mark_run("failed"), run_ends()),
        fails("w2"),
        quick=("teardown",),
    ),
    Accident(
        "run marked failed, w1 running",
        "line",
        (begins("w1"), mark_run("failed"), run_ends()),
        fails(),
        quick=("plain",),
    ),
    Accident(
        "run marked failed, w2 running",
        "line",
        (go("w1"), begins("w2"), mark_run("failed"), run_ends()),
        fails(),
    ),
    Accident(
        "run marked success, w1 running, w2 not begun",
        "line",
        (begins("w1"), mark_run("success"), run_ends()),
        fails(),
        quick=("teardown", "group"),
    ),
    Accident(
        "run marked success, the sole work task running",
        "single",
        (begins("w1"), mark_run("success"), run_ends()),
        fails(),
        data=SINGLE,
    ),
    Accident(
        "run marked success, deferred work waiting",
        "deferred",
        (begins("w1"), is_in_state("w1", "deferred"), mark_run("success"), run_ends()),
        fails(),
    ),
    Accident(
        "run marked failed, deferred work waiting",
        "deferred",
        (begins("w1"), is_in_state("w1", "deferred"), mark_run("failed"), run_ends()),
        fails(),
    ),
    Accident(
        "running w2 marked success by a person",
        "line",
        (go("w1"), begins("w2"), vouch_for("w2"), run_ends()),
        Outcome(READY, unlock=("success",)),
        quick=("teardown",),
    ),
    Accident(
        "running w1 marked failed",
        "line",
        (begins("w1"), mark("w1", "failed"), run_ends()),
        fails("w1"),
    ),
    Accident(
        "w2 marked success before it began",
        "line",
        (begins("w1"), mark("w2", "success"), go("w1"), run_ends()),
        fails("w2"),
    ),
    Accident(
        "w2 marked skipped while it runs",
        "line",
        (go("w1"), begins("w2"), mark("w2", "skipped"), run_ends()),
        fails("w2"),
        versions=(3,),  # 2.11 has no such button
    ),
    Accident(
        "unlock marked success before it began",
        "line",
        (begins("w1"), mark("unlock", "success"), go("w1", "w2"), run_ends()),
        fails(),
    ),
    Accident(
        "lock marked failed while w1 runs",
        "line",
        (begins("w1"), mark("lock", "failed"), go("w1", "w2"), run_ends()),
        fails(),
    ),
    Accident(
        "run marked failed, the lock granted and not told yet",
        "held_lock",
        (granted(), mark_run("failed"), run_ends()),
        fails(not_begun=("w1",)),
        data=SINGLE,
    ),
    Accident(
        "run marked success, the lock granted and not told yet",
        "held_lock",
        (granted(), mark_run("success"), run_ends()),
        fails(not_begun=("w1",)),
        data=SINGLE,
    ),
    Accident(
        "lock marked success though somebody else holds it",
        "line",
        (is_in_state("lock", "failed"), mark("lock", "success"), go("w1", "w2"), run_ends()),
        Outcome(LOCKED, not_begun=("w1", "w2")),
        forms=("group",),
        before=(somebody_else_locks(),),
    ),
    Accident(
        "lock marked success, the other one unlocks meanwhile",
        "line",
        (
            is_in_state("lock", "failed"),
            mark("lock", "success"),
            begins_or_fails("w1"),
            somebody_else_unlocks(),
            go("w1", "w2"),
            run_ends(),
        ),
        # Ready is what the other one wrote, if w1 did not begin.
        Outcome((FAILED, READY)),
        forms=PARTS,
        before=(somebody_else_locks(),),
    ),
)

CLEARED = (
    Accident(
        "w1 cleared with downstream after publication, and fails",
        "line",
        (
            go_once("w1"),
            go_once("w2"),
            published(),
            run_ends(),
            clear("w1"),
            begins("w1", 2),
            fail_once("w1", 2),
            run_ends(),
        ),
        fails("w1"),
        quick=("plain", "group"),
    ),
    Accident(
        "w1 cleared with downstream after publication, and succeeds",
        "line",
        (
            go_once("w1"),
            go_once("w2"),
            published(),
            run_ends(),
            clear("w1"),
            begins("w1", 2),
            go("w1", "w2"),
            ends("w2", 2),
            run_ends(),
        ),
        Outcome(READY, history=WRITTEN_TWICE),
    ),
    Accident(
        "w1 alone cleared after publication, and fails",
        "line",
        (
            go_once("w1"),
            go_once("w2"),
            published(),
            run_ends(),
            clear("w1", downstream=False),
            begins("w1", 2),
            fail_once("w1", 2),
            run_ends(),
        ),
        fails("w1"),
    ),
    Accident(
        "w1 alone cleared after publication, and succeeds",
        "line",
        (
            go_once("w1"),
            go_once("w2"),
            published(),
            run_ends(),
            clear("w1", downstream=False),
            begins("w1", 2),
            go("w1"),
            ends("w1", 2),
            run_ends(),
        ),
        # w2 was not begun again, and wrote under an earlier lock: there is no proof.
        fails(),
    ),
    Accident(
        "unlock cleared alone after a run marked failed",
        "line",
        (
            go("w1"),
            begins("w2"),
            mark_run("failed"),
            run_ends(),
            clear("unlock", downstream=False),
            is_in_state("unlock", "success", "failed", "skipped"),
            run_ends(),
        ),
        fails(),
    ),
    Accident(
        "failed work cleared with downstream",
        "line",
        (
            go("w1"),
            fail_once("w2"),
            becomes(FAILED),
            run_ends(),
            clear("w2"),
            begins("w2", 2),
            go("w2"),
            ends("w2", 2),
            run_ends(),
        ),
        # R12 to the letter: w1 wrote under an earlier lock.
        fails("w1"),
    ),
    Accident(
        "w1 cleared with downstream while w2 runs",
        "line",
        (
            go("w1"),
            begins("w2"),
            clear("w1"),
            ends("w1", 2),
            begins("w2", 2),
            go("w2"),
            ends("w2"),
            run_ends(),
        ),
        Outcome(READY),
    ),
    Accident(
        "lock cleared alone while w1 runs",
        "line",
        (begins("w1"), clear("lock", downstream=False), generation(2), go("w1", "w2"), run_ends()),
        fails("w1"),
        forms=("plain", "group"),
    ),
    Accident(
        "the whole run cleared after publication",
        "line",
        (
            go_once("w1"),
            go_once("w2"),
            published(),
            run_ends(),
            clear_run(),
            begins("w1", 2),
            go("w1", "w2"),
            ends("w2", 2),
            run_ends(),
        ),
        Outcome(READY, history=WRITTEN_TWICE),
    ),
    Accident(
        "the whole run cleared while w1 runs",
        "line",
        (
            begins("w1"),
            clear_run(),
            begins("w1", 2),
            go("w1", "w2"),
            ends("w2"),
            run_ends(),
        ),
        Outcome(READY),
    ),
    Accident(
        "run deleted while w1 runs",
        "line",
        (begins("w1"), delete_run()),
        fails(),
        versions=(2,),  # 3.x refuses to
    ),
    Accident(
        "DAG deleted while w1 runs",
        "deleted",
        (begins("w1"), delete_dag()),
        fails(),
    ),
)

DECIDED = (
    Accident(
        "decider after the lock says stop, nothing written",
        "decider_first",
        (run_ends(),),
        fails(unlock=("failed", "skipped")),
        conf={"decision": "stop"},
        quick=("teardown", "group"),
    ),
    Accident(
        "decider after w1 says stop",
        "decider_between",
        (go("w1"), run_ends()),
        fails("w2"),
        conf={"decision": "stop"},
    ),
    Accident(
        "decider says stop, which means a complete write",
        "decider_publish",
        (run_ends(),),
        Outcome(READY),
        forms=("group",),
        conf={"decision": "stop"},
    ),
    Accident(
        "decider says stop, which means nothing was touched",
        "decider_unchanged",
        (run_ends(),),
        Outcome(REGISTERED),
        forms=("group",),
        conf={"decision": "stop"},
    ),
    Accident(
        "decider says go",
        "decider_between",
        (go("w1", "w2"), run_ends()),
        Outcome(READY, history=WRITTEN_ONCE),
    ),
    Accident(
        "branch with a join, one way taken",
        "branch_with_join",
        (go("left", "join"), run_ends()),
        Outcome(READY, history=WRITTEN_ONCE),
        data=(("left", "join"),),
        conf={"decision": "left"},
    ),
    Accident(
        "branch with a join, the way taken fails",
        "branch_with_join",
        (fail_once("left"), run_ends()),
        fails("left"),
        data=(("left", "join"),),
        conf={"decision": "left"},
    ),
    Accident(
        "branch away from all work",
        "branch_away",
        (run_ends(),),
        fails(),
        data=SINGLE,
        conf={"decision": "nothing"},
    ),
)

MAPPED = (
    Accident(
        "work mapped over something else of the same length, one fails",
        "mapped_by_chance",
        (go("each[0]"), fail_once("each[1]"), run_ends()),
        fails("each[1]"),
        data=(("each[0]", "each[1]"),) * 2,
        forms=("plain",),
        quick=("plain",),
    ),
    Accident(
        "one of two mapped groups fails",
        "mapped_group",
        (go("w1[0]"), fail_once("w1[1]"), run_ends()),
        (Outcome(READY), fails("w1[1]")),
        data=(("w1[0]",), ("w1[1]",)),
    ),
    Accident(
        "a mapped task as the last step",
        "mapped_last",
        (go("w1"), begins("each[0]"), begins("each[1]"), go("each[0]", "each[1]"), run_ends()),
        Outcome(READY),
        data=(("w1", "each[0]", "each[1]"),),
        forms=("plain", "group"),
    ),
    Accident(
        "a mapped task as the last step without an edge to the unlock",
        "mapped_last",
        (
            go("w1"),
            begins("each[0]"),
            is_in_state("unlock", "success", "failed"),
            go("each[0]", "each[1]"),
            run_ends(),
        ),
        fails("each"),
        data=(("w1", "each[0]", "each[1]"),),
        forms=("teardown",),
        quick=("teardown",),
    ),
    Accident(
        "a mapped task alone",
        "mapped_alone",
        (begins("each[0]"), go("each[0]", "each[1]"), run_ends()),
        Outcome(READY),
        data=(("each[0]", "each[1]"),),
        forms=("plain", "group"),
    ),
    Accident(
        "nested groups",
        "nested_groups",
        (go("w1", "w2", "w3"), run_ends()),
        Outcome(READY, history=WRITTEN_ONCE),
        data=(("w1", "w2", "w3"),),
    ),
    Accident(
        "a task after the group",
        "followed",
        (go("w1", "w2"), reads_what_is_ready("after"), run_ends()),
        Outcome(READY),
        forms=("group",),
    ),
)

KILLED = (
    Accident(
        "w1 killed",
        "line",
        (begins("w1"), kill("w1"), run_ends()),
        fails("w1"),
        quick=("teardown",),
    ),
    Accident(
        "w1 and its supervisor killed",
        "line",
        (begins("w1"), kill("w1", with_supervisor=True), run_ends()),
        fails("w1"),
    ),
    Accident(
        "lock task killed after the grant",
        "held_lock",
        (granted(), kill("lock"), run_ends()),
        fails("lock", not_begun=("w1",)),
        data=SINGLE,
        quick=("plain",),
    ),
    Accident(
        "lock task killed after the grant, and tried again",
        "held_lock_retried",
        (granted(), kill("lock"), granted(2), go("lock", "w1"), run_ends()),
        Outcome(READY),
        data=SINGLE,
    ),
    Accident(
        "dagrun_timeout while w2 runs",
        "timed_out",
        (go("w1"), begins("w2"), run_ends()),
        fails(),
    ),
    Accident(
        "unlock cleared alone after a dagrun_timeout",
        "timed_out",
        (
            go("w1"),
            begins("w2"),
            run_ends(),
            clear("unlock", downstream=False),
            is_in_state("unlock", "success", "failed", "skipped"),
            run_ends(),
        ),
        fails(),
    ),
)

SILENT = (
    Accident(
        "registry silent while unlocking",
        "frail",
        (
            go("w1"),
            begins("w2"),
            registry_falls_silent(),
            go("w2"),
            is_in_state("unlock", "up_for_retry"),
            registry_speaks_again(),
            run_ends(),
        ),
        Outcome(READY),
    ),
    Accident(
        "registry silent when the run is marked failed",
        "frail",
        (
            begins("w1"),
            registry_falls_silent(),
            mark_run("failed"),
            is_in_state("unlock", "up_for_retry", "skipped"),
            registry_speaks_again(),
            run_ends(),
        ),
        fails(),
    ),
)

HEALTHY = (
    Accident(
        "nothing happens",
        "line",
        (go("w1", "w2"), run_ends()),
        Outcome(READY, unlock=("success",), history=WRITTEN_ONCE),
    ),
    Accident(
        "w1 fails",
        "line",
        (fail_once("w1"), run_ends()),
        fails("w1", not_begun=("w2",)),
    ),
    Accident(
        "w2 fails once and is tried again",
        "retried",
        (go("w1"), fail_once("w2"), go_once("w2", 2), run_ends()),
        Outcome(READY, history=WRITTEN_ONCE),
    ),
    Accident(
        "deferred work",
        "deferred",
        (begins("w1"), is_in_state("w1", "deferred"), go_once("w1"), go("w2"), run_ends()),
        Outcome(READY, history=WRITTEN_ONCE),
    ),
    Accident(
        "two runs on one partition",
        "line",
        (begins("w1"), another_run_is_refused(), go("w1", "w2"), run_ends()),
        Outcome(READY),
    ),
)

ACCIDENTS = (*MARKED, *CLEARED, *DECIDED, *MAPPED, *KILLED, *SILENT, *HEALTHY)
