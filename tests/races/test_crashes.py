"""Writers killed between any two statements: every call took effect entirely or not at all (R11)."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_provider_partition_registry.domain.errors import UnknownSourceError
from airflow_provider_partition_registry.store.contract import RegistryReader
from airflow_provider_partition_registry.store.sql.store import open_sql_store
from tests.races.crashing import FINISHED
from tests.races.replay import assert_consistent

SCRIPT = (
    *("SOURCE_REGISTERED", "PROVIDER_REGISTERED", "PARTITION_REGISTERED", "UNLOCK"),
    *("LOCK", "FAIL", "WITHDRAW", "INVALIDATE"),
)
WRITTEN = {"LOCK": ["PARTITION_REGISTERED", "LOCK"]}


@pytest.fixture
def crash_at(database_url: str) -> Iterator[Callable[[int], dict[str, Any]]]:
    """Plays the script in a process that is killed before its n-th statement."""
    command = [sys.executable, "-m", "tests.races.crashing", database_url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as mother:

        def crash(number: int) -> dict[str, Any]:
            mother.stdin.write(f"{number}\n")
            mother.stdin.flush()
            answer = mother.stdout.readline()
            assert answer, "the process that forks the writers has ended"
            return json.loads(answer)

        yield crash
        mother.stdin.close()


def test_a_writer_killed_before_any_statement(crash_at, database_url: str) -> None:
    with open_sql_store(database_url, pool_size=1, timeout=30) as store:
        for number in range(1, 500):
            ended = crash_at(number)
            written = history_of(store, f"source{number}")
            acknowledged, next_call = ended["acknowledged"], SCRIPT[len(ended["acknowledged"]) :][:1]
            # What was acknowledged is there; the call that was killed took effect entirely or not at all.
            assert written in (events_of(acknowledged), events_of([*acknowledged, *next_call]))
            if ended["status"] == FINISHED:
                break
            assert ended["status"] == -signal.SIGKILL
        assert tuple(ended["acknowledged"]) == SCRIPT
        assert number > 2 * len(SCRIPT)  # what can travel together does
        assert_consistent(store)
        store.register_source("afterwards", "ann")


def history_of(store: RegistryReader, source_name: str) -> list[str]:
    try:
        return [event.type.value for event in store.events(source_name=source_name).items]
    except UnknownSourceError:
        return []


def events_of(calls: list[str]) -> list[str]:
    return [event for call in calls for event in WRITTEN.get(call, [call])]
