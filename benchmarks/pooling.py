"""What PgBouncer in transaction mode, between a store and its database, adds to a question and to a write."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy.engine import make_url

from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore, open_sql_store
from benchmarks.measuring import Call, in_turns
from benchmarks.report import Figure
from benchmarks.writing import PLAIN, lock_and_unlock
from testbed.pgbouncer import pgbouncer


def figures(url: str, repeats: int) -> Iterator[Figure]:
    """All figures about pooling, in a registry with the series of ``writing``."""
    direct = make_url(url)
    with pgbouncer(int(direct.port or 5432), "pool_mode = transaction") as port:
        behind = direct.set(port=port).render_as_string(hide_password=False)
        with (
            open_sql_store(url, pool_size=1, timeout=30) as store,
            open_sql_store(behind, pool_size=1, timeout=30) as pooled,
        ):
            calls = {
                "question": _ask(store),
                "pooled question": _ask(pooled),
                "write": lambda: lock_and_unlock(store, PLAIN, PLAIN.interval(10)),
                "pooled write": lambda: lock_and_unlock(pooled, PLAIN, PLAIN.interval(10)),
            }
            times = {name: seconds * 1000 for name, seconds in in_turns(calls, repeats).items()}
    for name, what in (("question", "one question"), ("write", "lock + unlock")):
        yield Figure(
            f"{what} through PgBouncer in transaction mode",
            times[f"pooled {name}"],
            repeats,
            times[name],
            "without",
        )


def _ask(store: SqlRegistryStore) -> Call:
    return lambda: store.check_readiness(PLAIN.source_name, PLAIN.interval(100, 24))
