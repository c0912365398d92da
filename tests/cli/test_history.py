"""``explain``, ``history`` and ``watch``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_partition_registry.cli import events, following
from airflow_provider_partition_registry.cli.options import URL_VARIABLE
from airflow_provider_partition_registry.domain.errors import InvalidInputError, StoreUnavailableError
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import Page, PartitionKey
from airflow_provider_partition_registry.store import paging
from airflow_provider_partition_registry.store.factory import open_store
from airflow_provider_partition_registry.store.finding import position_before
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore
from tests.cli.conftest import NOVEMBER, Command, day

SCRIPT = Path(sys.executable).parent / "partition-registry"


def fail(run: Command, *numbers: int) -> None:
    for number in numbers:
        run("lock", "sales", "nightly", *day(number), "--lease", "2h", "--holder", f"holder-{number}")
        assert (
            run(
                "fail", "sales", "nightly", *day(number), "--holder", f"holder-{number}", "--reason", "x"
            ).code
            == 0
        )


def test_explain_leaves_nothing_out(nightly: Command):
    fail(nightly, *range(1, 13))
    short, whole = nightly("ready", "sales", *NOVEMBER).stdout, nightly("explain", "sales", *NOVEMBER)
    assert (whole.code, whole.stderr) == (0, "")
    assert "and 2 more partitions that block it" in short
    assert "more partitions" not in whole.stdout
    assert whole.stdout.startswith("Not ready: [2026-11-01")
    for number in range(1, 13):
        assert f"  holder: holder-{number}\n" in whole.stdout
    assert "  host: " in whole.stdout
    assert "  lease until: 20" in whole.stdout
    assert nightly("explain", "sales", *NOVEMBER, "--json").json["is_ready"] is False
    assert nightly("explain", "nope", *NOVEMBER).code == 4


def test_history_page_by_page(nightly: Command, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(paging, "PAGE_SIZE", 2)
    fail(nightly, 1, 2)
    nightly("source", "register", "stock", "--owner", "x")
    whole = nightly("history", "--json").json
    kinds = [each["type"] for each in whole["events"]]
    assert kinds[:3] == ["SOURCE_REGISTERED", "PROVIDER_REGISTERED", "PARTITION_REGISTERED"]
    assert (len(kinds), whole["next"]) == (9, None)
    paged, after = [], 0
    while after is not None:
        page = nightly("history", "--json", "--limit", "4", "--after", str(after)).json
        paged += page["events"]
        after = page["next"]
    assert paged == whole["events"]
    of_source = nightly("history", "sales", "--json").json["events"]
    assert of_source == whole["events"][:-1]
    assert nightly("history", "nope").code == 4
    assert nightly("history", "--after", "1000").code == 2


@pytest.mark.parametrize("source", [(), ("sales",)], ids=["all", "source"])
def test_history_shows_what_happened_last(
    nightly: Command, monkeypatch: pytest.MonkeyPatch, source: tuple[str, ...]
):
    monkeypatch.setattr(paging, "PAGE_SIZE", 2)
    fail(nightly, 1, 2)
    if source:
        nightly("source", "register", "stock", "--owner", "x")  # must not appear
    for limit, positions in ((3, [6, 7, 8]), (8, list(range(1, 9))), (9, list(range(1, 9)))):
        found = nightly("history", *source, "--limit", str(limit), "--json").json
        assert [each["position"] for each in found["events"]] == positions
        assert (found["has_earlier"], found["next"]) == (limit < 8, None)
    shown = nightly("history", *source, "--limit", "3").stdout.splitlines()
    assert shown[-1] == "... and earlier ones: raise --limit, or begin with --since."
    assert [line.split()[0] for line in shown[1:-1]] == ["6", "7", "8"]


def test_history_for_people(nightly: Command):
    fail(nightly, 1)
    heading, *rows = nightly("history", "--after", "0", "--limit", "4").stdout.splitlines()
    assert heading.split() == ["POSITION", "AT", "EVENT", "SOURCE", "PROVIDER", "INTERVAL", "GEN", "DETAILS"]
    assert "LOCK" in rows[3]
    assert "2026-11-01T00:00:00Z/2026-11-02T00:00:00Z  1" in rows[3]
    assert "by holder-1; " in rows[3]
    assert rows[4] == "... and more: go on with --after 4."
    assert nightly("history", "--since", "tomorrow").stdout == "No events.\n"
    assert len(nightly("history", "--since", "today").stdout.splitlines()) == 6


class Numbered:
    """A history with one event per second."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.probes = 0

    def events(self, after: int, _source: str | None, _limit: int) -> Page[Any]:
        self.probes += 1
        if after > self.count:
            raise InvalidInputError("after the end")
        found = SimpleNamespace(at=at(after + 1))
        return Page((found,) if after < self.count else ())


def at(position: int) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=position)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 1000])
def test_a_moment_in_the_history_is_found_in_a_few_probes(count: int):
    for first in {1, 2, 3, 500, count, count + 1} - {0}:
        store = Numbered(count)
        assert position_before(store, None, at(first)) == min(first - 1, count)  # type: ignore[arg-type]
        assert store.probes < 25


def test_watch(database_url: str):
    with open_store(database_url) as store:
        token = store.register_source("sales", "ann").access_token
        call = [str(SCRIPT), "watch", "--json", "--poll-interval", "1s"]
        environment = {**os.environ, URL_VARIABLE: database_url}
        watching = subprocess.Popen(
            [*call, "--after", "0"], env=environment, stdout=subprocess.PIPE, text=True
        )
        assert watching.stdout is not None
        assert json.loads(watching.stdout.readline())["type"] == "SOURCE_REGISTERED"
        store.register_provider("nightly", token)
        store.register_source("stock", "ann")
        seen = json.loads(watching.stdout.readline())
        assert (seen["type"], seen["position"]) == ("PROVIDER_REGISTERED", 2)
        watching.send_signal(signal.SIGINT)
        watching.communicate(timeout=20)
        assert watching.returncode == 130
        again = subprocess.Popen(
            [*call, "sales", "--after", "2"], env=environment, stdout=subprocess.PIPE, text=True
        )
        store.lock(PartitionKey("sales", "nightly", Interval("2026-11-01", "2026-11-02")), register=True)
        assert again.stdout is not None
        assert [json.loads(again.stdout.readline())["type"] for _ in range(2)] == [
            "PARTITION_REGISTERED",
            "LOCK",
        ]
        again.terminate()
        again.communicate(timeout=20)


def test_watch_whole_days(database_url: str):
    call = [str(SCRIPT), "watch", "sales", "--grain", "day", "--timezone", "Europe/Paris"]
    environment = {**os.environ, URL_VARIABLE: database_url}
    with open_store(database_url) as store:
        store.register_provider("nightly", store.register_source("sales", "ann").access_token)
        for start, end in (("2026-10-31", "2026-11-01"), ("2026-11-01", "2026-11-03")):
            store.lock(PartitionKey("sales", "nightly", Interval(start, end)), register=True)
            store.unlock(PartitionKey("sales", "nightly", Interval(start, end)))
        version = store.last_position()
        with subprocess.Popen(
            [*call, "--after", "0"], env=environment, stdout=subprocess.PIPE, text=True
        ) as watching:
            assert watching.stdout is not None
            lines = [watching.stdout.readline() for _ in range(2)]
            watching.send_signal(signal.SIGINT)
        assert lines[1].split()[0] == str(version)
        assert lines[1].endswith("  sales  2026-11-01T23:00:00Z/2026-11-02T23:00:00Z\n")
        with subprocess.Popen(
            [*call, "--json", "--after", lines[0].split()[0]],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        ) as again:
            assert again.stdout is not None
            found = json.loads(again.stdout.readline())
            again.send_signal(signal.SIGINT)
        assert (found["cursor"], found["version"]) == (str(version), version)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--grain", "day"], "--grain needs a SOURCE"),
        (["sales", "--after", "yesterday"], "is no place in the history"),
        (["sales", "--grain", "year"], "'hour', 'day', 'week', 'month'"),
    ],
)
def test_what_cannot_be_watched(nightly: Command, arguments: list[str], told: str):
    refused = nightly("watch", *arguments)
    assert (refused.code, told in refused.stderr) == (2, True)


def test_watch_begins_now_and_rides_out_an_outage(nightly: Command, monkeypatch: pytest.MonkeyPatch):
    fail(nightly, 1)
    ticks = iter(["down", "up", "end"])

    def sleep(_seconds: float) -> None:
        tick = next(ticks)
        monkeypatch.setattr(following, "events_after", broken if tick == "down" else real)
        if tick == "end":
            raise KeyboardInterrupt
        if tick == "up":
            fail(nightly, 2)

    def broken(*_: object) -> Any:
        raise StoreUnavailableError("The registry is down.")

    real = events.events_after
    monkeypatch.setattr(following, "time", SimpleNamespace(sleep=sleep))
    # Where there are no notifications, it sleeps between two reads.
    monkeypatch.setattr(SqlRegistryStore, "open_listener", lambda _self: None)
    told = nightly("watch")
    assert told.code == 130
    assert [line.split("  ")[2] for line in told.stdout.splitlines()] == [
        "PARTITION_REGISTERED",
        "LOCK",
        "FAIL",
    ]
    assert told.stderr == "The registry is down. Trying again.\n\nInterrupted.\n"
