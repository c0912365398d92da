"""Plays an accident and judges what came of it."""

from __future__ import annotations

import time
from dataclasses import dataclass

from airflow_provider_partition_registry.store.contract import RegistryStore
from testbed.airflow import AirflowInstance
from testbed.airflow_api import SECONDS_BETWEEN_LOOKS
from testbed.processes import TestbedError
from testbed.proxy import LosingProxy
from tests.system.accidents.performance import SECONDS_TO_SETTLE, Performance
from tests.system.accidents.scenario import Outcome, Play
from tests.system.accidents.watcher import Watcher


@dataclass(frozen=True)
class Verdict:
    """What came of an accident.

    :param faults: what is not as it must be
    :param story: what happened, for whoever looks into it
    :param seconds: how long it took
    """

    play: Play
    faults: tuple[str, ...]
    story: str
    seconds: float

    def __str__(self) -> str:
        return "; ".join(self.faults) or "as it must be"


def perform(
    play: Play, instance: AirflowInstance, registry: RegistryStore, network: LosingProxy, watcher: Watcher
) -> Verdict:
    """Let the accident happen, and judge it."""
    accident, beginning = play.accident, time.monotonic()
    dag_id = accident.dag_id(play.form)
    performance = Performance(instance, registry, network, dag_id, accident.data, accident.conf)
    for watch in performance.watches:
        watcher.watch(watch)
    try:
        faults = _take_steps(performance, play)
        faults += _judge(performance, accident.outcomes(play.form))
    finally:
        for watch in performance.watches:
            watcher.forget(watch)
    faults += [str(watch.false_ready[0]) for watch in performance.watches if watch.false_ready]
    return Verdict(play, tuple(faults), performance.told(), time.monotonic() - beginning)


def _take_steps(performance: Performance, play: Play) -> list[str]:
    """Take all steps; what kept them from being taken."""
    try:
        for step in play.accident.before:
            step(performance)
        performance.start(play.accident.time)
        for step in play.accident.steps:
            step(performance)
    except (TestbedError, AssertionError, LookupError) as error:
        return [str(error).splitlines()[0]]
    finally:
        performance.let_go()
    return []


def _judge(performance: Performance, outcomes: tuple[Outcome, ...]) -> list[str]:
    """Compare with what must have come of it, as soon as it has, or when nothing more can come."""
    deadline = time.monotonic() + SECONDS_TO_SETTLE
    while faults := _faults(performance, outcomes):
        if time.monotonic() > deadline:
            break
        time.sleep(SECONDS_BETWEEN_LOOKS)
    return faults


def _faults(performance: Performance, outcomes: tuple[Outcome, ...]) -> list[str]:
    return [
        fault
        for number, outcome in enumerate(outcomes)
        for fault in _faults_of_day(performance, number, outcome)
    ]


def _faults_of_day(performance: Performance, number: int, must: Outcome) -> list[str]:
    partition, faults = performance.partition(number), []
    right = " or ".join(state.value for state in must.states)
    if partition is None:
        return [f"nobody has locked it, so it is not {right}"]
    reason = partition.reason or ""
    if partition.state not in must.states:
        faults.append(f"{partition.state.value}, not {right}")
    faults += [f"{word!r} is not in {reason!r}" for word in must.reason if word not in reason]
    if must.unlock and (state := performance.state("unlock")) not in must.unlock:
        faults.append(f"unlock is {state}, not {' or '.join(map(str, must.unlock))}")
    faults += [f"{name} has begun" for name in must.not_begun if performance.journal.times(name, "begin")]
    if must.history is not None:
        history = tuple(event.type for event in performance.events(number))
        if history != must.history:
            faults.append(f"its history is {', '.join(history)}")
    return faults
