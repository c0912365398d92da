"""The story: four acts, each one hand-over from one Airflow to the other."""

from __future__ import annotations

import re

import psutil

from airflow_provider_partition_registry.domain.models import EventType
from demo.collecting import facts_of_act
from demo.console import Console
from demo.deliveries import Delivery, broken_lines, good_lines, orders_of_day, total_of
from demo.facts import Act, ActFacts
from demo.stage import Run, Stage
from demo.unattended import has_read
from demo.verdict import money
from demo.world import World

SECONDS_OF_WORK = 8.0
SECONDS_OF_WORK_THAT_FAILS = 4.0
SECONDS_TO_LOOK_AT_A_FAILURE = 2.0

ENDED = {"success", "failed"}

# From the beginning of an explanation to the last line that is indented under it.
EXPLANATION = re.compile(r"(?:N|Still n)ot ready: .*(?:\n  +.*)*")


def acts_of(world: World) -> tuple[Act, ...]:
    """Both directions, each first without a failure and then with one."""
    one, other = world.sides
    acts: list[Act] = []
    for writer, reader in ((one, other), (other, one)):
        for fails in (False, True):
            number = len(acts) + 1
            orders = orders_of_day(number)
            acts.append(
                Act(
                    number=number,
                    writer=writer.name,
                    reader=reader.name,
                    writer_key=writer.key,
                    day=f"2026-11-{number:02}",
                    fails=fails,
                    rows=len(orders),
                    cents=total_of(orders),
                )
            )
    return tuple(acts)


def play(act: Act, world: World, console: Console) -> ActFacts:
    """Play one act, and collect what happened."""
    what_happens = "the writing fails, is stopped, is repaired and cleared" if act.fails else "all goes well"
    console.heading(
        f"Act {act.number} of 4: {act.writer} writes, {act.reader} reads; {what_happens}",
        f"The orders of {act.day}. The reader may go on when all of them are there, and not before.",
    )
    stage = Stage(world, console, act)
    _write_while_the_reader_waits(stage)
    explanation = ""
    if act.fails:
        explanation = _fail_and_repair(stage)
    stage.until(lambda: stage.state(stage.reader, "report") in ENDED, "the report")
    stage.until(lambda: _run_state(stage.writer) in ENDED, "the writer's end")
    if act.fails:
        _clear_after_publication(stage)
    facts = facts_of_act(stage, explanation)
    if facts.report:
        told = f"the report says {facts.report.rows} orders, {money(facts.report.cents)} together"
        console.event(act.reader, f"{told}; delivered were {act.rows}, {money(act.cents)}")
    return facts


def _write_while_the_reader_waits(stage: Stage) -> None:
    act = stage.act
    orders = orders_of_day(act.number)
    lines = broken_lines(orders) if act.fails else good_lines(orders)
    delivery = _new_delivery(stage, lines, SECONDS_OF_WORK_THAT_FAILS if act.fails else SECONDS_OF_WORK)
    stage.start(stage.writer)
    stage.until(lambda: stage.count(EventType.LOCK), "the lock")
    delivery.start()
    stage.start(stage.reader)
    stage.until(lambda: stage.state(stage.reader, "wait") == "deferred", "the reader to wait")
    delivery.may_end.set()


def _fail_and_repair(stage: Stage) -> str:
    """Let the load fail and repair it; returns what the reader's log said about the failure."""
    stage.until(lambda: stage.count(EventType.FAIL), "the failure")
    table = stage.world.folder / "warehouse" / f"{stage.act.day}.csv"
    rows = len(table.read_text().splitlines())
    stage.console.event(
        "warehouse", f"{stage.act.day} has {rows} of {stage.act.rows} orders, and must not be read"
    )
    explanation = _explanation(stage, "failed at")
    _quote(stage, explanation)
    stage.for_a_while(SECONDS_TO_LOOK_AT_A_FAILURE)
    _stop_by_hand(stage)
    _deliver_again(stage, "the delivery is repaired and comes again").may_end.set()
    return explanation


def _stop_by_hand(stage: Stage) -> None:
    """Somebody marks the run as failed while the load is half-way."""
    delivery = _deliver_again(stage, "the delivery comes again, and stops half-way")
    stage.until(delivery.has_begun.is_set, "half of the delivery")
    stage.until(lambda: stage.state(stage.writer, "load") == "running", "the load to run")
    writer = stage.writer
    writer.side.instance.hands.mark_run(writer.dag_id, writer.run_id, "failed")
    stage.console.event(writer.side.name, "somebody marks the run as failed while load is half-way")
    stage.until(lambda: stage.count(EventType.FAIL) > 1, "the second failure")
    pid = int((stage.world.folder / "warehouse" / f"{stage.act.day}.pid").read_text())
    # Airflow stops the load some seconds later; until then a new try would write beside it.
    stage.until(lambda: not psutil.pid_exists(pid), "the end of the load that was stopped")


def _clear_after_publication(stage: Stage) -> None:
    """Somebody clears the load of a day that was published and read."""
    published = stage.count(EventType.UNLOCK)
    # Nobody may write again while it is read by a run that does not ask.
    stage.until(lambda: has_read(stage.world, stage.act.day, published), "the run without a sensor")
    _deliver_again(stage, "the same delivery comes once more").may_end.set()
    stage.until(lambda: stage.count(EventType.UNLOCK) > published, "the second publication")
    stage.until(lambda: _run_state(stage.writer) in ENDED, "the writer's end")


def _deliver_again(stage: Stage, what_comes: str) -> Delivery:
    """Clear the load once its run is over, and deliver when the new try holds the lock."""
    writer, locks = stage.writer, stage.count(EventType.LOCK)
    stage.until(lambda: _run_state(writer) in ENDED, "the run to end")
    delivery = _new_delivery(stage, good_lines(orders_of_day(stage.act.number)), SECONDS_OF_WORK)
    stage.console.event("shop", what_comes)
    cleared = writer.side.api.clear_task(writer.dag_id, writer.run_id, "load")
    stage.console.event(
        writer.side.name, f"load is cleared, and with it its lock and unlock: {', '.join(sorted(cleared))}"
    )
    stage.until(lambda: stage.count(EventType.LOCK) > locks, "the lock of the next try")
    delivery.start()
    return delivery


def _new_delivery(stage: Stage, lines: list[str], seconds: float) -> Delivery:
    folder, day = stage.world.folder / "deliveries", stage.act.day
    number = len(list(folder.glob(f"{day}.*.csv"))) + 1
    return Delivery(folder / f"{day}.{number}.csv", lines, seconds)


def _explanation(stage: Stage, words: str) -> str:
    """The reader's newest explanation with these words, as soon as its log contains one."""
    found: list[str] = []

    def is_there() -> bool:
        found[:] = [each for each in EXPLANATION.findall(_log(stage.reader)) if words in each]
        return bool(found)

    stage.until(is_there, f"{words!r} in the reader's log", timeout=60)
    return found[-1]


def _run_state(run: Run) -> str:
    return run.side.api.run_state(run.dag_id, run.run_id)


def _log(run: Run) -> str:
    wait = run.side.api.task_instance(run.dag_id, run.run_id, "wait")
    return run.side.api.task_log(run.dag_id, run.run_id, "wait", try_number=wait["try_number"])


def _quote(stage: Stage, text: str) -> None:
    stage.console.event(stage.act.reader, "report_orders.wait goes on waiting; its log says:")
    stage.console.quote(text)
