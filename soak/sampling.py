"""What the processes of a soak take, and what is in the database."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from typing import NamedTuple

import psutil

from testbed.postgres import PostgresServer

OF_DATABASE = """
SELECT
    (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()),
    (SELECT coalesce(sum(n_dead_tup), 0)::bigint FROM pg_stat_user_tables),
    pg_database_size(current_database())
"""


class Usage(NamedTuple):
    """What a process and its descendants take.

    :param pid: tells a process from the one that replaces it.
    :param memory: bytes; what several processes share is divided between them (PSS).
    :param cpu: seconds since it began.
    """

    pid: int
    memory: int
    cpu: float


class Sample(NamedTuple):
    """One moment.

    :param at: on the machine's monotonic clock, in seconds.
    :param usage: by the name of the process.
    :param connections: to PostgreSQL, of everybody.
    :param dead_rows: in all tables of the registry, which the next vacuum removes.
    :param size: of the database, in bytes.
    """

    at: float
    usage: Mapping[str, Usage]
    connections: int
    dead_rows: int
    size: int


def sample(postgres: PostgresServer, pids: Mapping[str, int]) -> Sample:
    """Look at everything.

    :param pids: of the processes by their names.
    :raises psycopg2.Error: PostgreSQL does not answer.
    """
    at = time.monotonic()
    ((connections, dead_rows, size),) = postgres.execute(OF_DATABASE)
    found = {name: _usage(pid) for name, pid in pids.items()}
    usage = {name: each for name, each in found.items() if each is not None}
    return Sample(at, usage, connections, dead_rows, size)


def _usage(pid: int) -> Usage | None:
    """What a process takes; None if it is gone."""
    try:
        process = psutil.Process(pid)
        of_ended = process.cpu_times()
        # All that a soak starts descends from this process.
        family = [process, *([] if pid == os.getpid() else process.children(recursive=True))]
    except psutil.NoSuchProcess:
        return None
    memory, cpu = 0, 0.0 if pid == os.getpid() else of_ended.children_user + of_ended.children_system
    for each in family:
        with contextlib.suppress(psutil.NoSuchProcess):  # a connection of PostgreSQL's that has just ended
            memory += each.memory_full_info().pss
            times = each.cpu_times()
            cpu += times.user + times.system
    return Usage(pid, memory, cpu)
