"""The fifth act: a DAG without a sensor, which what the acts before published has started all along."""

from __future__ import annotations

import json
import time
from functools import partial

from airflow_provider_partition_registry.domain.models import EventType
from demo.console import Console
from demo.facts import ActFacts, Report, Summary
from demo.sides import READER_WITHOUT_SENSOR, TIMEOUT, Side
from demo.world import World
from testbed.airflow_api import SECONDS_BETWEEN_LOOKS
from testbed.processes import wait_until

SECONDS_FOR_ONE_TOO_MANY = 5.0
ENDED = {"success", "failed"}


def runs_without_sensor(
    acts: tuple[ActFacts, ...], world: World, console: Console
) -> tuple[Summary, ...] | None:
    """Wait until there are as many runs as publications, and see what they found.

    :return: None if there is no Airflow that can have such DAGs.
    """
    side = _side(world)
    if side is None:
        return None
    published = {act.act.day: sum(each.type is EventType.UNLOCK for each in act.events) for act in acts}
    console.heading(
        f"Act {len(acts) + 1}: a DAG of {side.name} has no sensor; each publication started a run of it",
        f"The acts before published {sum(published.values())} times, some days twice.",
    )
    for day, times in published.items():
        wait_until(
            partial(has_read, world, day, times),
            what=f"{times} runs of {READER_WITHOUT_SENSOR} for {day}",
            timeout=TIMEOUT,
            children=side.components.values(),
            interval=SECONDS_BETWEEN_LOOKS,
        )
    time.sleep(SECONDS_FOR_ONE_TOO_MANY)
    found = tuple(_summary(each, world) for each in _runs(side))
    for each in sorted(found, key=lambda summary: summary.day):
        told = f"{each.report.rows} orders" if each.report else "nothing"
        console.event(side.name, f"{READER_WITHOUT_SENSOR} ran for {each.day}, and found {told}")
    return found


def has_read(world: World, day: str, times: int) -> bool:
    """Whether as many runs for a day are over, or no Airflow can have them."""
    side = _side(world)
    return side is None or times <= sum(
        run["partition_key"] == day and run["state"] in ENDED for run in _runs(side)
    )


def _side(world: World) -> Side | None:
    return next((each for each in world.sides if each.has_watchers), None)


def _runs(side: Side) -> list[dict[str, str]]:
    found: list[dict[str, str]] = side.api.call("GET", f"/dags/{READER_WITHOUT_SENSOR}/dagRuns?limit=100")[
        "dag_runs"
    ]
    return found


def _summary(run: dict[str, str], world: World) -> Summary:
    file = world.folder / "summaries" / f"{run['dag_run_id'].replace('/', '_')}.json"
    found = json.loads(file.read_text()) if file.exists() else None
    report = Report(found["rows"], found["cents"]) if found else None
    return Summary(run["partition_key"], run["state"], report)
