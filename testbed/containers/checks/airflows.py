"""Two Airflow instances that share nothing but the registry hand days over to each other."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Collection

from airflow_provider_partition_registry.domain.models import Event
from airflow_provider_partition_registry.store.factory import open_store
from testbed.containers.report import Report
from testbed.containers.stack import (
    SERVICE,
    Stack,
    container,
    execute,
    get,
    inspect,
    said,
    stack,
    wait_for_answer,
)
from testbed.processes import wait_until

WEB_PAGES = {"airflow-2": "http://localhost:8082", "airflow-3": "http://localhost:8083"}
HEALTH = {"airflow-2": "/health", "airflow-3": "/execution/health"}
"""Route of Airflow 3 that tasks call. The first call loads its code, which may take longer than a task waits."""

HAND_OVERS = (("airflow-3", "airflow-2", "2026-11-01"), ("airflow-2", "airflow-3", "2026-11-02"))
"""Which one writes, which one waits, and for which day."""

FINISHED = frozenset({"success", "failed", "skipped", "upstream_failed"})

TURN_TIMEOUT = 600.0  # seconds


def check(report: Report) -> None:
    """Bring it up, and let both write and wait."""
    with stack("compose.airflow.yaml", ADMINISTRATOR_TOKEN="") as refused:
        done = refused.compose("config")
        report.check("it asks for ADMINISTRATOR_TOKEN", done.returncode != 0, done.stderr.strip())
    with stack("compose.airflow.yaml", ADMINISTRATOR_TOKEN=secrets.token_hex(32)) as running:
        running.up()
        status = inspect(container("introduce"))["State"]["ExitCode"]
        report.check("both are introduced to the registry", status == 0)
        for name, url in WEB_PAGES.items():
            wait_for_answer(url + HEALTH[name])
            report.check(f"{name} answers on the host", True, url)
        for name in WEB_PAGES:
            for dag in ("example_producer", "example_consumer"):
                unpause(name, dag)
        for writer, reader, day in HAND_OVERS:
            hand_over(report, writer, reader, day)
        check_second_introduction(report, running)


def hand_over(report: Report, writer: str, reader: str, day: str) -> None:
    """The reader waits before the writer begins, and goes on when the writer has ended."""
    read, written = f"read-{day}", f"write-{day}"
    trigger(reader, "example_consumer", read, day)
    state = wait_for_state(reader, "example_consumer", read, "wait_for_sales", {"deferred", *FINISHED})
    report.check(f"{reader} waits for {day}", state == "deferred", state)
    trigger(writer, "example_producer", written, day)
    state = wait_for_state(writer, "example_producer", written, "partition_lock.unlock", FINISHED)
    report.check(f"{writer} writes {day}", state == "success", state)
    state = wait_for_state(reader, "example_consumer", read, "report", FINISHED)
    report.check(f"{reader} reports it", state == "success", state)
    with open_store(SERVICE) as store:
        events = [each for each in store.events().items if is_about(each, writer, day)]
    told = [each.type.value for each in events]
    report.check("the history has its lock and its unlock", told[-2:] == ["LOCK", "UNLOCK"], told)
    links = [value for each in events for value in each.details.values() if value.startswith("http")]
    is_right = bool(links) and all(link.startswith(f"{WEB_PAGES[writer]}/") for link in links)
    report.check("its links lead to its own web page", is_right, links[-1:])
    status, page = get(links[-1]) if links else (0, "")
    report.check("which answers there", status == 200 and "Adminer" not in page, status)


def is_about(event: Event, writer: str, day: str) -> bool:
    """Whether the event is by that writer, about that day."""
    is_writers = event.provider_name == f"loader-on-{writer}"
    return is_writers and event.interval is not None and event.interval.start.date().isoformat() == day


def check_second_introduction(report: Report, running: Stack) -> None:
    """Half of the introduction is lost, and the next run repeats that half."""
    remove = ("--entrypoint", "rm", "introduce", "/connections/airflow-3.json")
    removed = running.run(*remove)
    done = running.run("introduce")
    found = running.run("--entrypoint", "ls", "introduce", "/connections").stdout.split()
    is_right = removed.returncode == done.returncode == 0 and found == ["airflow-2.json", "airflow-3.json"]
    evidence = ", ".join(found) if is_right else said(done)
    report.check("an introduction goes on after half of one", is_right, evidence)


def airflow(name: str, *arguments: str) -> str:
    """Run a command of an instance until it succeeds, and return its output."""
    deadline = time.monotonic() + TURN_TIMEOUT
    while True:
        done = execute(container(name), "airflow", *arguments)
        if done.returncode == 0 or time.monotonic() > deadline:
            break
        time.sleep(2)
    done.check_returncode()
    return done.stdout


def unpause(name: str, dag_id: str) -> None:
    """Let a DAG run, as soon as Airflow knows it."""
    airflow(name, "dags", "unpause", dag_id, "--yes")


def trigger(name: str, dag_id: str, run_id: str, day: str) -> None:
    """Start a run for a day."""
    airflow(name, "dags", "trigger", dag_id, "--run-id", run_id, "--conf", json.dumps({"day": day}))


def wait_for_state(name: str, dag_id: str, run_id: str, task_id: str, states: Collection[str]) -> str:
    """Wait until a task is in one of these states, and return which."""
    state = ""

    def is_there() -> bool:
        nonlocal state
        listed = airflow(name, "tasks", "states-for-dag-run", dag_id, run_id, "--output", "json")
        tasks = json.loads(listed[listed.index("[") :])
        state = next((str(each["state"]) for each in tasks if each["task_id"] == task_id), "")
        return state in states

    what = f"{task_id} of {run_id} in {name}"
    wait_until(
        is_there, what=what, timeout=TURN_TIMEOUT, interval=2, detail=lambda: f"It is {state or 'unknown'}."
    )
    return state
