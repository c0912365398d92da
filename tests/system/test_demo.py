"""The demo, as a user runs it: what it says, what its facts say to another pair of eyes, what it leaves.

It is played to its end on its default, a SQLite file, and begun through a web service in front of PostgreSQL.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import urllib.error
import urllib.request
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from demo.options import PROJECT
from testbed.postgres import PostgresServer
from testbed.processes import wait_until
from tests.system.conftest import DEMO, DEMO_ENVIRONMENT

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]


class Demo(NamedTuple):
    """One run that is over."""

    exit_code: int
    output: str
    folder: Path

    @property
    def facts(self) -> dict[str, Any]:
        return json.loads((self.folder / "facts.json").read_text())[0]

    @property
    def checks(self) -> list[dict[str, Any]]:
        return json.loads((self.folder / "facts.json").read_text())[1]


@pytest.fixture(scope="module")
def demo(playing_demo: subprocess.Popen[bytes], demo_output: Path) -> Demo:
    exit_code = playing_demo.wait(800)
    output = demo_output.read_text()
    (folder,) = re.findall(r"Logs: (\S+)$", output, re.MULTILINE)
    return Demo(exit_code, output, PROJECT / folder)


def test_the_promise_is_kept(demo: Demo) -> None:
    assert demo.exit_code == 0, demo.output
    assert "VERDICT: KEPT. 4 hand-overs" in demo.output
    assert "Traceback" not in demo.output
    assert len(demo.checks) == 1 + 2 * 6 + 2 * 11 + 2
    assert all(check["holds"] for check in demo.checks)


def test_four_acts_in_both_directions(demo: Demo) -> None:
    acts = [act["act"] for act in demo.facts["acts"]]

    assert [(act["writer"], act["reader"], act["fails"]) for act in acts] == [
        ("Airflow 2.11", "Airflow 3.3", False),
        ("Airflow 2.11", "Airflow 3.3", True),
        ("Airflow 3.3", "Airflow 2.11", False),
        ("Airflow 3.3", "Airflow 2.11", True),
    ]


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_no_reader_reads_before_the_unlock(demo: Demo, number: int) -> None:
    facts = demo.facts["acts"][number - 1]
    unlock, *_ = instants(facts, "UNLOCK")
    locks = [lock for lock in instants(facts, "LOCK") if lock < unlock]
    (report,) = [one for one in facts["tries"] if one["task_id"] == "report"]
    waits = [
        datetime.fromisoformat(one["asked"])
        for one in facts["sightings"]
        if (one["task_id"], one["state"]) == ("wait", "deferred")
    ]

    assert locks
    assert unlock < datetime.fromisoformat(report["start"])
    assert all(any(lock < seen < unlock for seen in waits) for lock in locks)
    assert facts["report"] == {"rows": facts["act"]["rows"], "cents": facts["act"]["cents"]}


@pytest.mark.parametrize("number", [2, 4])
def test_a_failed_write_is_never_ready(demo: Demo, number: int) -> None:
    facts = demo.facts["acts"][number - 1]

    locks, failures, unlocks = (instants(facts, each) for each in ("LOCK", "FAIL", "UNLOCK"))

    assert (len(locks), len(failures), len(unlocks)) == (4, 2, 2)
    assert sorted([*locks, *failures, *unlocks]) == [
        *(locks[0], failures[0], locks[1], failures[1]),
        *(locks[2], unlocks[0], locks[3], unlocks[1]),
    ]
    assert "Work is not proved: load failed" in " ".join(facts["explanation"].split())


def test_the_output_shows_everything_live(demo: Demo) -> None:
    for words in (
        "Act 1 of 4: Airflow 2.11 writes, Airflow 3.3 reads",
        "LOCKED by airflow-2.11/load_orders/act-1/lock",
        "LOCKED by airflow-3.3/load_orders/act-3/lock",
        "report_orders.wait is deferred",
        "FAILED. Work is not proved: load failed",
        "its log says:",
        "somebody marks the run as failed while load is half-way",
        "READY, published under lock number 3",
        "READY, published under lock number 4",
        "Who did what when",
    ):
        assert words in demo.output


def test_logs_are_all_that_is_left(demo: Demo) -> None:
    left = {path.name for path in demo.folder.iterdir()}
    homes = {home: {path.name for path in home.iterdir()} for home in demo.folder.glob("airflow-*")}

    assert {"demo.log", "facts.json", "postgres.log"} <= left
    assert not any(name.startswith("registry.db") for name in left)
    assert list(homes.values()) == [{"logs"}, {"logs"}]
    assert "VERDICT: KEPT" in (demo.folder / "demo.log").read_text()


def test_the_registry_is_a_file_beside_the_logs_of_the_run(demo: Demo) -> None:
    assert "SQLite, .demo/" in demo.output
    assert f"Logs: .demo/{demo.folder.name}" in demo.output


def test_nothing_is_left_running(demo: Demo) -> None:
    addresses = re.findall(r"ready after .*: (http://127\.0\.0\.1:\d+/)", demo.output)

    assert len(addresses) == 2
    for address in addresses:
        with pytest.raises(urllib.error.URLError):
            urllib.request.urlopen(address, timeout=5)
    assert processes_of(demo.folder) == []


def test_the_registry_is_where_it_was_asked_for_and_an_interrupt_ends_everything(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    """Interrupted while the second Airflow starts, with a web service to be ended as well."""
    variables = {
        "REGISTRY_URL": "http://127.0.0.1:0",
        "REGISTRY_DATABASE_URL": postgres.create_database("demo_registry"),
    }
    process = subprocess.Popen(
        [*DEMO, "--folder", str(tmp_path)],
        cwd=PROJECT,
        env=DEMO_ENVIRONMENT | variables,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if "Airflow 3.3" in line and "starting api-server" in line:
            break
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)

    assert process.returncode == 130
    assert "Interrupted." in output
    assert "a web service at http://127.0.0.1:" in "".join(said)
    assert "in front of postgresql://" in "".join(said)
    wait_until(
        lambda: not processes_of(tmp_path),
        what="all that it started to end",
        timeout=20,
        detail=lambda: processes_of(tmp_path),
    )


def instants(facts: dict[str, Any], event_type: str) -> list[datetime]:
    return [datetime.fromisoformat(event["at"]) for event in facts["events"] if event["type"] == event_type]


def processes_of(folder: Path) -> list[str]:
    """The commands of living processes whose arguments or environment name a folder."""
    if not Path("/proc/self/environ").exists():
        pytest.skip("needs /proc to see other processes' environments")
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            about = command + (process / "environ").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in about and process.name != str(os.getpid()):
            found.append(command.replace(b"\0", b" ").decode(errors="replace"))
    return found
