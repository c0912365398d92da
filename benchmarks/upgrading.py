"""How long an upgrade takes, and for how long it holds up a writer and a reader: ``python -m benchmarks.upgrading``.

The registry is one that the version for schema 0004 has made, and whose processes work on while it is upgraded. It
lacks the index of 0003, as one does that comes from a version before it. When the first tables are to be locked,
somebody has left a transaction open that has read all of them.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from sqlalchemy import text

from airflow_provider_partition_registry.store.sql.database.engine import Database
from airflow_provider_partition_registry.store.sql.maintenance import finishing
from airflow_provider_partition_registry.store.sql.maintenance.verification import verify
from airflow_provider_partition_registry.store.sql.schema import revisions, tables
from benchmarks import data
from benchmarks.report import machine
from testbed.postgres import PostgresServer
from testbed.versions import Client, Version, former_version, this_version

LARGE, SMALL = ("large", "larger"), ("small", "shared")
LENGTH = timedelta(minutes=3)  # so that the year in which clients write and read is among them
USUAL_TIME = 20.0  # seconds for which calls are measured without an upgrade
AT_MOST = 1.0  # seconds for which anybody may be held up


@dataclass(frozen=True)
class Step:
    """A part of the upgrade: when it began and ended (ns)."""

    what: str
    begin: int
    end: int


@dataclass
class Steps(logging.Handler):
    """Takes what the upgrade logs as the ends of its steps, and lets go of the tables once it has waited for them.

    :param let_go: ends the transaction that is in the way.
    """

    let_go: Callable[[], object]
    found: list[Step] = field(default_factory=list)
    waited: int = 0

    def __post_init__(self) -> None:
        super().__init__()
        self.begin = time.monotonic_ns()

    def __hash__(self) -> int:
        return id(self)

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            self.waited += 1
            if self.waited == 2:
                self.let_go()
            return
        now = time.monotonic_ns()
        self.found.append(Step(record.getMessage(), self.begin, now))
        self.begin = now


def main() -> int:
    """Measure; returns 0 if nobody was held up for longer than the target."""
    options = _options()
    settings = {"max_wal_size": "16GB", "checkpoint_timeout": "1h"}
    with tempfile.TemporaryDirectory() as folder, PostgresServer(options=settings) as server:
        url = server.create_database("upgrading")
        old, new = former_version("0004", Path(folder) / "former"), this_version()
        _make(url, old, options.partitions, Path(folder))
        with closing(Database(url, pool_size=2, timeout=60)) as database:
            rows = list(_measure(url, database, old, new, Path(folder)))
            _tell("verifying")
            found = verify(database)
        print(_table(rows))
        print(
            f"\n{options.partitions:,} partitions, {2 * options.partitions:,} events; db verify finds {len(found)}."
        )
        print(machine(str(server.execute("SHOW server_version")[0][0])))
    return 1 if found or any(max(row[2:]) > AT_MOST for row in rows) else 0


def _make(url: str, old: Version, partitions: int, folder: Path) -> None:
    _tell(f"generating {partitions:,} partitions")
    assert old.command(url, "db", "upgrade").returncode == 0
    names = ",".join([*LARGE, *SMALL, data.PROVIDER])
    assert old.client(url, "setup", names, folder / "set-up.log").wait_for_exit(600) == 0
    with closing(Database(url, pool_size=1, timeout=60)) as database, database.engine.connect() as connection:
        connection.execute(text("SET statement_timeout = 0"))
        connection.execute(text("SET enable_seqscan = on; SET enable_hashjoin = on"))
        connection.execute(text(f"DROP INDEX ix_{tables.partition}_lane"))
        for name in LARGE:
            connection.execute(text("BEGIN"))
            data.fill_former_schema(connection, data.Series(name, partitions // len(LARGE), LENGTH))
            connection.execute(text("COMMIT"))
        connection.execute(text("VACUUM ANALYZE"))
        connection.execute(text("CHECKPOINT"))


Row = tuple[str, float, float, float]
"""What was done; for how long, and the longest call of a writer and of a reader meanwhile (seconds)."""


def _measure(url: str, database: Database, old: Version, new: Version, folder: Path) -> Iterator[Row]:
    _tell("upgrading")
    with _at_work(old, url, folder / "old") as clients:
        begin = time.monotonic_ns()
        time.sleep(USUAL_TIME)
        usual = Step("no upgrade, the version for schema 0004", begin, time.monotonic_ns())
        with _in_the_way(url) as let_go, _logged(let_go) as steps:
            revisions.upgrade(database)
        time.sleep(1)
    yield from (_row(each, clients) for each in (usual, *steps.found))
    _tell("finishing the upgrade")
    with _at_work(new, url, folder / "new") as clients:
        begin = time.monotonic_ns()
        time.sleep(USUAL_TIME)
        usual = Step("no upgrade, this version", begin, time.monotonic_ns())
        begin = time.monotonic_ns()
        finishing.finish(database)
        finish = Step("db upgrade --finish", begin, time.monotonic_ns())
        time.sleep(1)
    yield from (_row(each, clients) for each in (usual, finish))


@contextmanager
def _at_work(version: Version, url: str, folder: Path) -> Iterator[Sequence[Client]]:
    """Two writers and a reader, each in a process of its own."""
    names = [LARGE[0], SMALL[0]]
    clients = [version.client(url, "writer", name, folder / f"{name}.log") for name in names]
    clients.append(version.client(url, "reader", ",".join([*LARGE, *SMALL]), folder / "reader.log"))
    try:
        while not all(len(each.told()) > 50 for each in clients):
            time.sleep(0.1)
        yield clients
    finally:
        for each in clients:
            each.stop()


@contextmanager
def _in_the_way(url: str) -> Iterator[Callable[[], object]]:
    """A transaction that has read all tables and stays open, as that of a pg_dump; yields what ends it."""
    may_end, has_read = threading.Event(), threading.Event()

    def read() -> None:
        with (
            closing(Database(url, pool_size=1, timeout=600)) as database,
            database.engine.connect() as connection,
        ):
            connection.execute(text("BEGIN"))
            for each in (tables.source, tables.partition, tables.event, tables.history):
                connection.execute(text(f"SELECT 1 FROM {each} LIMIT 1"))
            has_read.set()
            may_end.wait()

    thread = threading.Thread(target=read)
    thread.start()
    has_read.wait()
    try:
        yield may_end.set
    finally:
        may_end.set()
        thread.join()


@contextmanager
def _logged(let_go: Callable[[], object]) -> Iterator[Steps]:
    logger = logging.getLogger(revisions.__name__.rpartition(".")[0])
    steps = Steps(let_go)
    logger.addHandler(steps)
    logger.setLevel(logging.INFO)
    try:
        yield steps
    finally:
        logger.removeHandler(steps)


def _row(step: Step, clients: Sequence[Client]) -> Row:
    writers, reader = clients[:-1], clients[-1]
    return (
        step.what,
        (step.end - step.begin) / 1e9,
        max(_longest_call(each, step) for each in writers),
        _longest_call(reader, step),
    )


def _longest_call(client: Client, step: Step) -> float:
    lines = client.told()
    if refused := [
        line for line in lines if line["what"] == "refused" and line["code"] != "partition_locked"
    ]:
        raise AssertionError(refused[0])
    overlapping = [line for line in lines if line["asked"] < step.end and line["told"] > step.begin]
    return max((line["told"] - line["asked"] for line in overlapping), default=0) / 1e9


def _table(rows: Sequence[Row]) -> str:
    lines = [f"| {what} | {' | '.join(f'{each:.3f} s' for each in figures)} |" for what, *figures in rows]
    head = "| what | took | longest call of a writer | longest call of a reader |\n| --- | --: | --: | --: |"
    return "\n".join([head, *lines])


def _tell(what: str) -> None:
    print(f"... {what}", file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.upgrading", description=__doc__)
    parser.add_argument("--partitions", type=int, default=10_000_000, help="how many the registry has")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
