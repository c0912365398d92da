"""What a DAG itself decides not to run, and work that is mapped or nested."""

from __future__ import annotations

from airflow_provider_partition_registry.domain.models import PartitionState
from tests.system.accidents.scenario import (
    SINGLE,
    WRITTEN_ONCE,
    Accident,
    Outcome,
    fails,
)
from tests.system.accidents.steps import (
    begins,
    fail_once,
    go,
    reads_what_is_ready,
    run_ends,
)

READY = PartitionState.READY
REGISTERED = PartitionState.REGISTERED

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
