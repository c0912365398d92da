"""Collects facts after an act: the registry's history, both metadata databases through their APIs, the report."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from typing import Any

from demo.facts import ActFacts, Report, Try
from demo.stage import Run, Stage


def facts_of_act(stage: Stage, explanation: str) -> ActFacts:
    """Everything known about an act that is over."""
    stage.look()
    return ActFacts(
        act=stage.act,
        events=tuple(stage.events),
        tries=tuple(each for run in (stage.writer, stage.reader) for each in _tries(run)),
        sightings=tuple(stage.sightings),
        explanation=explanation,
        report=_report(stage),
    )


def _tries(run: Run) -> Iterator[Try]:
    tasks = f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances"
    for instance in run.side.api.task_instances(run.dag_id, run.run_id):
        answer = run.side.api.call("GET", f"{tasks}/{instance['task_id']}/tries")
        for each in answer["task_instances"]:
            yield _try(run.side.name, each)


def _try(side: str, recorded: dict[str, Any]) -> Try:
    return Try(
        side=side,
        run_id=recorded["dag_run_id"],
        task_id=recorded["task_id"],
        number=recorded["try_number"],
        state=recorded["state"] or "none",
        start=_instant(recorded["start_date"]),
        end=_instant(recorded["end_date"]),
    )


def _instant(text: str | None) -> datetime.datetime | None:
    return datetime.datetime.fromisoformat(text) if text else None


def _report(stage: Stage) -> Report | None:
    file = stage.world.folder / "reports" / f"{stage.act.day}.json"
    return Report(**json.loads(file.read_text())) if file.exists() else None
