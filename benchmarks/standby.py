"""What a standby answers in its primary's place, and what the primary has to do for that."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import event

from airflow_provider_partition_registry.domain.questions import Question
from airflow_provider_partition_registry.store.contract import RegistryReader
from airflow_provider_partition_registry.store.sql.standby.heartbeat import Heartbeat
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore, open_sql_store
from benchmarks import data
from benchmarks.floors import insert_and_commit, primary_key_select
from benchmarks.measuring import Call, in_turns
from benchmarks.report import Figure
from benchmarks.writing import PLAIN
from testbed.postgres import PostgresServer
from testbed.processes import wait_until
from testbed.standby import copy_of, has_replayed, serving

MAX_AGE = 5  # seconds
SECONDS = 10.0


def figures(repeats: int) -> Iterator[Figure]:
    """All figures about a standby, which follows a server of its own."""
    with PostgresServer(durable=True) as primary:
        data.create(primary.url(), PLAIN)
        with serving(copy_of(primary)) as standby:
            answered_by: list[str] = []
            with open_sql_store(
                primary.url(), pool_size=2, timeout=30, standby_url=standby.url(), tell=answered_by.append
            ) as store:
                wait_until(lambda: has_replayed(standby, primary), what="the standby", timeout=60)
                reader = store.with_max_age(MAX_AGE)
                wait_until(lambda: _is_answered(reader, answered_by), what="its answer", timeout=60)
                yield from _of_calls(store, reader, repeats)
                yield _asked_of_the_primary(store, reader, answered_by)
                of_itself = _cpu_time(primary, _ask(store))
                for_standby = _cpu_time(primary, _ask(reader))
                what = "CPU time of the primary for 1,000 questions that"
                yield Figure(f"{what} it answers", of_itself, 1)
                yield Figure(f"{what} its standby answers", for_standby, 1, of_itself, "it answers")


def _is_answered(reader: RegistryReader, answered_by: list[str]) -> bool:
    _ask(reader)()
    return answered_by[-1] == "standby"


def _of_calls(store: SqlRegistryStore, reader: RegistryReader, repeats: int) -> Iterator[Figure]:
    heartbeat = Heartbeat(partial(store.database.write))
    calls: dict[str, Call] = {
        "PK": primary_key_select(store),
        "INS": insert_and_commit(store),
        "position": lambda: store.database.read(
            lambda each: each.exec_driver_sql("SELECT pg_current_wal_flush_lsn()").scalar()
        ),
        "question": _ask(store),
        "question of the standby": _ask(reader),
        "many": _ask_many(store),
        "many of the standby": _ask_many(reader),
        "heartbeat": heartbeat.send,
    }
    times = {name: seconds * 1000 for name, seconds in in_turns(calls, repeats).items()}
    asked = f"one question, by a standby that proves to be at most {MAX_AGE} s old"
    yield Figure(asked, times["question of the standby"], repeats, times["question"], "by the primary")
    yield Figure(
        f"1,000 questions, by a standby that proves to be at most {MAX_AGE} s old",
        times["many of the standby"],
        repeats,
        times["many"],
        "by the primary",
    )
    yield Figure("one question, by the primary", times["question"], repeats, times["PK"], "PK")
    yield Figure("the end of the primary's log", times["position"], repeats, times["PK"], "PK")
    yield Figure("a heartbeat", times["heartbeat"], repeats, times["INS"], "INS")


def _asked_of_the_primary(store: SqlRegistryStore, reader: RegistryReader, answered_by: list[str]) -> Figure:
    call = _ask(reader)
    call()
    answered_by.clear()
    with _counted(store) as sent:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            call()
    for_each = 1000 * len(sent) / len(answered_by)
    by_primary = answered_by.count("primary")
    what = (
        f"statements to the primary for 1,000 questions, of {len(answered_by):,} in {SECONDS:g} s "
        f"({by_primary} answered by it)"
    )
    return Figure(what, for_each, 1, unit="statements")


@contextmanager
def _counted(store: SqlRegistryStore) -> Iterator[list[str]]:
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    event.listen(store.database.engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(store.database.engine, "before_cursor_execute", note)


def _cpu_time(server: PostgresServer, call: Call) -> float:
    """What all processes of a server work for 1,000 calls, made for a while (milliseconds)."""
    count, began_with = 0, _worked(server)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        call()
        count += 1
    return 1000 * 1000 * (_worked(server) - began_with) / count


def _worked(server: PostgresServer) -> float:
    """CPU time of the processes that a server has now (seconds)."""
    ((backend,),) = server.execute("SELECT pg_backend_pid()")
    server_itself = _stat(backend)[1]
    all_of_it = [
        found
        for each in Path("/proc").glob("[0-9]*")
        if (found := _stat(each.name))[1] == server_itself or each.name == server_itself
    ]
    return sum(int(ticks or 0) for found in all_of_it for ticks in found[11:13]) / os.sysconf("SC_CLK_TCK")


def _stat(process: str | int) -> list[str]:
    """What Linux tells of a process, from its state on; nothing of one that has ended."""
    with suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return [""] * 13


def _ask(reader: RegistryReader) -> Call:
    return lambda: reader.check_readiness(PLAIN.source_name, PLAIN.interval(100, 24))


def _ask_many(reader: RegistryReader) -> Call:
    questions = [Question(PLAIN.source_name, PLAIN.interval(number, 1)) for number in range(1000)]
    return lambda: reader.check_readiness_many(questions)
