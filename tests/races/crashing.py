"""A process whose children are killed by SIGKILL at their n-th statement, or just before or after a commit.

Run as a script, ``python -m tests.races.crashing URL``. For each number on its standard input it forks a child that
plays :func:`script` and kills itself there, and prints in JSON what had been acknowledged to the child.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

from sqlalchemy import event

from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.store.sql.store import open_sql_store
from tests.contract.homes import hours

FINISHED = 7


def script(store: Any, source_name: str, provider_name: str) -> Iterator[str]:
    """Call one method after another, of different kinds; yields the event of each acknowledged call."""
    token = store.register_source(source_name, "ann").access_token
    yield "SOURCE_REGISTERED"
    store.register_provider(provider_name, token)
    yield "PROVIDER_REGISTERED"
    place = PartitionKey(source_name, provider_name, hours(0, 4))
    store.register_partition(place)
    yield "PARTITION_REGISTERED"
    store.unlock(place)
    yield "UNLOCK"
    inside = PartitionKey(source_name, provider_name, hours(1, 2))
    store.lock(inside, register=True)
    yield "LOCK"
    store.fail(inside, reason="x")
    yield "FAIL"
    store.withdraw(inside, reason="x", by="ann")
    yield "WITHDRAW"
    store.invalidate(place, reason="x", by="ann")
    yield "INVALIDATE"


def play(url: str, fatal: int, out: int) -> None:
    """Die before the ``fatal``-th statement is sent. Commits count as statements."""
    store = open_sql_store(url, pool_size=1, timeout=30)
    with contextlib.suppress(LookupError):  # connects and checks the schema before statements are counted
        store.get_source("nobody")
    sent = iter(range(1, sys.maxsize))

    def count(*_: Any) -> None:
        if next(sent) == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(store.database.engine, "before_cursor_execute", count)
    for acknowledged in script(store, f"source{fatal}", f"provider{fatal}"):
        os.write(out, f"{acknowledged}\n".encode())
    os._exit(FINISHED)


def main(url: str) -> None:
    for line in sys.stdin:
        readable, writable = os.pipe()
        child = os.fork()
        if child == 0:
            play(url, int(line), writable)
        os.close(writable)
        with os.fdopen(readable) as told:
            acknowledged = told.read().split()
        _, status = os.waitpid(child, 0)
        answer = {"acknowledged": acknowledged, "status": os.waitstatus_to_exitcode(status)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
