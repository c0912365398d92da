"""Frequent statements in a large registry: no table with history is scanned, and its size does not matter."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.engine import Connection

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.domain.questions import Question
from airflow_provider_partition_registry.store.sql.database.frame import SEPARATOR
from airflow_provider_partition_registry.store.sql.database.message import PREPARE_AFTER
from airflow_provider_partition_registry.store.sql.database.types import to_microseconds
from airflow_provider_partition_registry.store.sql.maintenance import pruning
from airflow_provider_partition_registry.store.sql.maintenance.pruning import _Pruning
from airflow_provider_partition_registry.store.sql.maintenance.verification.repairs import repair_history
from airflow_provider_partition_registry.store.sql.schema import tables
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore, open_sql_store
from tests.conftest import TEMPLATE
from tests.contract.homes import MIDNIGHT, hours

LARGE = {"partition_registry_partition", "partition_registry_ready_interval", "partition_registry_event"}
ALIASES = {"earlier"}
"""Aliases of large tables in our statements."""

HOURS = {"sqlite": 50_000, "postgresql": 200_000}
FAILED_EVERY = 10
MOST_ROWS = 300
"""How many rows a call about a day may read, however long the history."""

NUMBERS = "WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < :count) "
FILL = [
    """INSERT INTO partition_registry_partition (source_id, provider_id, interval_start, interval_end,
         length_class, state, generation, registered_at, changed_at, published_at, reason, exclusive)
       {numbers} SELECT :source, :provider, :zero + n * :hour, :zero + (n + 1) * :hour, :class,
         CASE WHEN n % :every = 0 THEN 'failed' ELSE 'ready' END, 1, :zero, :zero,
         CASE WHEN n % :every = 0 THEN NULL ELSE :zero + n END, 'x', :no
       FROM numbers""",
    """INSERT INTO partition_registry_ready_interval (source_id, interval_start, interval_end)
       {numbers} SELECT :source, :zero + (n + 1) * :hour, :zero + (n + :every) * :hour FROM numbers
       WHERE n % :every = 0""",
    """INSERT INTO partition_registry_event (position, type, at, source_id, provider_id, interval_start,
         interval_end, generation, details)
       {numbers} SELECT 100 + n, 'UNLOCK', :zero + n, :source, :provider, :zero + n * :hour,
         :zero + (n + 1) * :hour, 1, '{{}}' FROM numbers""",
]


@dataclass
class Registry:
    """A large registry; ``middle`` is in the middle of its history, after a failed hour."""

    store: SqlRegistryStore
    dialect: str
    count: int

    @property
    def middle(self) -> int:
        return self.count // 2

    def hour(self, number: int, length: int = 1) -> Interval:
        return hours(self.middle + number, self.middle + number + length)

    def key(self, number: int) -> PartitionKey:
        """The partition of that hour."""
        return PartitionKey("s", "p", self.hour(number))

    @property
    def last_position(self) -> int:
        return 99 + self.count


@pytest.fixture(
    scope="module",
    params=["sqlite", "sqlite-analyzed", pytest.param("postgresql", marks=pytest.mark.postgres)],
)
def registry(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    dialect = request.param.partition("-")[0]
    if dialect == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('large') / 'registry.db'}"
    else:
        server = request.getfixturevalue("postgres")
        url = server.create_database("large", TEMPLATE)
    with open_sql_store(url, pool_size=1, timeout=60) as store:
        fill(store, HOURS[dialect])
        if (
            request.param != "sqlite"
        ):  # PostgreSQL analyzes its tables by itself; SQLite files are not analyzed
            with store.database.engine.connect() as connection:
                if dialect == "postgresql":  # every row is sampled, so that plans do not depend on chance
                    connection.exec_driver_sql("VACUUM")
                    connection.exec_driver_sql("SET default_statistics_target = 1000")
                connection.exec_driver_sql("ANALYZE")
        yield Registry(store, dialect, HOURS[dialect])
    if dialect == "postgresql":
        server.drop_database("large")


def fill(store: SqlRegistryStore, count: int) -> None:
    """Hours of one source, every tenth failed; a locked month and a registered year make lengths differ."""
    token = store.register_source("s", "ann").access_token
    provider = store.register_provider("p", token).provider
    store.register_provider("q", token)
    store.register_partition(PartitionKey("s", "p", hours(-1, 0)))
    store.register_partition(PartitionKey("s", "q", hours(-9000, -1000)))
    store.lock(PartitionKey("s", "q", hours(count + 100, count + 800)), register=True)
    values = {
        "source": store.get_source("s").id,
        "provider": provider.id,
        "zero": to_microseconds(MIDNIGHT),
        "hour": timedelta(hours=1) // timedelta(microseconds=1),
        "class": tables.length_class_of(hours(0, 1)),
        "every": FAILED_EVERY,
        "count": count,
        "no": False,
    }

    def insert(connection: Any) -> None:
        for statement in FILL:
            words = text(statement.format(numbers=NUMBERS))
            connection.execute(words, {name: values[name] for name in values if f":{name}" in words.text})

    store.database.write(insert)
    store.database.write(repair_history)  # lets the positions to come follow those of the events


def look_at_a_portion(registry: Registry) -> None:
    """What pruning reads in the middle of the history: the next events, and what was published over them."""
    its_id, end = registry.store.get_source("s").id, registry.last_position
    its_own = _Pruning(registry.store.database, its_id, "s", datetime.now(UTC), end)

    def look(connection: Connection) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pruning, "LOOKED_AT", 20)
            rows = its_own._look(connection, after=100 + registry.middle)
        assert len(rows) == 20
        assert its_own._superseded_partitions(connection, rows=rows) == []

    registry.store.database.read(look)


CALLS: dict[str, Callable[[Registry], Any]] = {
    "ready": lambda r: r.store.check_readiness("s", r.hour(1, 9)),
    "not ready": lambda r: r.store.check_readiness("s", r.hour(0, 24)),
    "not yet": lambda r: r.store.check_readiness("s", hours(r.count - 1, r.count + 1)),
    "never": lambda r: r.store.check_readiness("s", hours(-50, -49)),
    "fresh": lambda r: r.store.check_readiness("s", r.hour(1, 9), "2026-01-01"),  # type: ignore[arg-type]
    "many": lambda r: r.store.check_readiness_many([Question("s", r.hour(n)) for n in range(10)]),
    "changed since": lambda r: r.store.changed_since("s", r.hour(1), r.last_position - 5),
    "look up": lambda r: r.store.get_partition(r.key(1)),
    "list": lambda r: r.store.list_partitions("s", limit=20),
    "list some": lambda r: r.store.list_partitions("s", r.hour(0, 24), limit=20),
    "list on": lambda r: r.store.list_partitions("s", None, r.store.get_partition(r.key(1)).id, 20),
    "list some on": lambda r: r.store.list_partitions(
        "s", r.hour(0, 24), r.store.get_partition(r.key(1)).id, 20
    ),
    "list some of a provider": lambda r: r.store.list_partitions("s", r.hour(0, 24), None, 20, "p"),
    "list some on of a provider": lambda r: r.store.list_partitions(
        "s", r.hour(0, 24), r.store.get_partition(r.key(1)).id, 20, "p"
    ),
    "list more": lambda r: r.store.list_partitions("s", r.hour(0, 100), limit=80),
    "locks": lambda r: r.store.list_locks(limit=20),
    "locks of a holder": lambda r: r.store.list_locks("q", limit=20),
    "no more locks": lambda r: r.store.list_locks(None, r.store.get_partition(r.key(1)).id, 20),
    "events": lambda r: r.store.events(r.last_position - 50, limit=20),
    "events of a source": lambda r: r.store.events(r.middle, "s", limit=20),
    "no more events": lambda r: r.store.events(r.last_position, "s"),
    "latest positions": lambda r: r.store.latest_positions(["s"]),
    "grain events": lambda r: r.store.grain_events("s", "day", after=r.last_position - 50, limit=20),
    "latest events": lambda r: r.store.latest_events("s", r.middle, limit=20),
    "overview": lambda r: r.store.get_overview("s"),
    "overviews": lambda r: r.store.list_overviews(limit=20),
    "timeline": lambda r: r.store.timeline("s", r.hour(0, 24), 30),
    "timeline of a year": lambda r: r.store.timeline("s", r.hour(-4000, 8760), 10),
    "timeline of all": lambda r: r.store.timeline("s", hours(-9000, r.count + 800), 10),
    "a portion to prune": look_at_a_portion,
    "rewrite": lambda r: (
        r.store.lock(r.key(2)),
        r.store.unlock(r.key(2)),
    ),
    "failure": lambda r: (
        r.store.lock(r.key(3)),
        r.store.fail(r.key(3), reason="x"),
    ),
    "withdrawal": lambda r: r.store.withdraw(r.key(4), reason="x", by="ann"),
    "new": lambda r: r.store.lock(PartitionKey("s", "q", r.hour(5, 2)), register=True, exclusive=True),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_no_table_with_history_is_scanned(registry: Registry, call: Callable[[Registry], Any]) -> None:
    statements = record(registry, lambda: call(registry))
    assert statements
    look = _visits_of_postgres if registry.dialect == "postgresql" else _visits_of_sqlite
    visited = 0
    for statement, parameters in statements:
        scanned, rows = look(registry, statement, parameters)
        assert not scanned, f"scans {scanned}:\n{statement}"
        visited += rows
    assert visited <= MOST_ROWS, "\n".join(statement for statement, _ in statements)


@pytest.mark.parametrize("name", ["ready", "not ready", "fresh", "many", "rewrite", "failure"])
def test_no_table_with_history_is_scanned_by_a_prepared_statement(registry: Registry, name: str) -> None:
    for _ in range(PREPARE_AFTER):
        CALLS[name](registry)
    test_no_table_with_history_is_scanned(registry, CALLS[name])


OF_A_SOURCE = [
    *(
        "ready",
        "not ready",
        "fresh",
        "many",
        "look up",
        "events of a source",
        "latest events",
    ),
    *("rewrite", "failure", "new"),
]
"""The frequent calls that are about one source alone; "changed since" looks at the end of the history as well."""


@pytest.mark.postgres
@pytest.mark.parametrize("registry", ["postgresql"], indirect=True)
@pytest.mark.parametrize("name", OF_A_SOURCE)
def test_what_is_about_a_source_reads_what_belongs_to_it(registry: Registry, name: str) -> None:
    """So the tables can be distributed by source."""
    for statement, parameters in record(registry, lambda: CALLS[name](registry)):
        for node in _plan(registry, statement, parameters):
            if node.get("Relation Name") in LARGE and "Scan" in node["Node Type"]:
                looked_up_by = f"{node.get('Index Cond')} {node.get('Filter')}"
                assert "source_id" in looked_up_by, f"{looked_up_by}\n{statement}"


def record(registry: Registry, call: Callable[[], Any]) -> list[tuple[str, Any]]:
    """The statements that the call sends, with their parameters."""
    sent: list[tuple[str, Any]] = []

    def note(
        _connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool
    ) -> None:
        for each, its_own in apart(statement, parameters[0] if many else parameters):
            if each.split(maxsplit=1)[0] in ("SELECT", "WITH", "EXECUTE", "INSERT", "UPDATE", "DELETE"):
                sent.append((each, its_own))

    engine = registry.store.database.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        call()
    finally:
        event.remove(engine, "before_cursor_execute", note)
    return sent


def apart(message: str, parameters: Any) -> Iterator[tuple[str, Any]]:
    """The statements that travel in one message, each with its parameters."""
    statements = message.split(SEPARATOR)
    if len(statements) == 1 or isinstance(parameters, dict):
        yield from ((each, parameters) for each in statements)
        return
    rest = iter(parameters)
    for each in statements:
        yield each, tuple(islice(rest, each.count("%s")))


def explain(registry: Registry, prefix: str, statement: str, parameters: Any) -> list[Any]:
    with registry.store.database.engine.connect() as connection:
        cursor = connection.connection.cursor()
        cursor.execute("BEGIN")
        cursor.execute(prefix + statement, parameters)
        rows = list(cursor.fetchall())
        cursor.execute("ROLLBACK")  # a statement that is analysed has been run
        cursor.close()
        return rows


def _visits_of_sqlite(registry: Registry, statement: str, parameters: Any) -> tuple[set[str], int]:
    steps = [row[3].split() for row in explain(registry, "EXPLAIN QUERY PLAN ", statement, parameters)]
    # SQLite considers making an index for one question from all columns that may fit.
    indexed = {step[1] for step in steps if "AUTOMATIC" in step}
    return {step[1] for step in steps if step[0] == "SCAN"} & (LARGE | ALIASES) | indexed, 0


def _visits_of_postgres(registry: Registry, statement: str, parameters: Any) -> tuple[set[str], int]:
    nodes = list(_plan(registry, statement, parameters))
    scanned = {node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"} & LARGE
    return scanned, sum(_rows(node) for node in nodes if node.get("Relation Name") in LARGE)


def _plan(registry: Registry, statement: str, parameters: Any) -> Iterator[dict[str, Any]]:
    """The steps of a statement's plan, each with what it did."""
    ((plan,),) = explain(registry, "EXPLAIN (ANALYZE, FORMAT JSON) ", statement, parameters)
    return _nodes((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"])


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from _nodes(inner)


def _rows(node: dict[str, Any]) -> float:
    """How many rows a step of the plan read."""
    per_loop = sum(
        node.get(name, 0)
        for name in ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck")
    )
    return per_loop * node.get("Actual Loops", 1)
