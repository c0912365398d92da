"""Run all benchmarks, print the table."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from sqlalchemy import create_engine, text
from sqlalchemy.engine import Engine, make_url

from benchmarks import (
    balancing,
    commands,
    crowds,
    data,
    embedded,
    importing,
    many_partitions,
    many_writers,
    pooling,
    reading,
    serving,
    standby,
    waiting,
    waiting_clients,
    writing,
    years,
)
from benchmarks.report import Figure, machine, table

USUAL_SIZE = 1_000_000
SMALL_SIZE = 1_000
LARGE_SIZE = 10_000_000
A_TENTH_OF_FIVE_YEARS = 182


def main() -> int:
    """Measure; returns 0 if every target is met."""
    options = _options()
    with ExitStack() as stack:
        server = _Server(options.url or stack.enter_context(_own_server()))
        figures = []
        for figure in _figures(server, stack, options):
            figures.append(figure)
            _tell(f"{figure.what}: {figure.measured:.2f} {figure.unit}")
        print(table(figures))
        print(f"\n{machine(server.version())}\n")
        print(
            "PK: a SELECT by primary key; INS: BEGIN, INSERT of one row, COMMIT; both through the same engine."
        )
    missed = [figure.what for figure in figures if figure.is_met is False]
    print(f"{len(missed)} targets missed: {'; '.join(missed)}" if missed else "All targets met.")
    return 1 if missed else 0


def _figures(server: _Server, stack: ExitStack, options: argparse.Namespace) -> Iterator[Figure]:
    if options.years:
        _tell(f"generating {options.years} days of {years.SOURCES} sources")
        short, long = server.database(stack, "days"), server.database(stack, "years")
        yield from years.figures(short, long, options.years, 100)
        return
    usual = 100_000 if options.quick else USUAL_SIZE
    sizes = [SMALL_SIZE, usual] + ([LARGE_SIZE] if options.large else [])
    repeats = 100 if options.quick else 300
    stores, urls = {}, {}
    for size in sizes:
        _tell(f"generating {size:,} partitions")
        urls[size] = server.database(stack, f"read_{size}")
        stores[size] = data.create(urls[size], reading.QUIET, *reading.series_of(size))
        if size <= USUAL_SIZE:
            data.check(stores[size])
    _tell("reading")
    yield from reading.figures(stores, usual, repeats)
    _tell("serving readers")
    yield from serving.figures_of_reading(urls[usual], usual, repeats)
    _tell("generating the registry that is written to")
    url = server.database(stack, "write")
    store = data.create(
        url, writing.PLAIN, writing.BESIDE_A_YEAR, many_partitions.FILLED, waiting.WAITED_FOR, *crowds.SOURCES
    )
    _tell("writing")
    yield from writing.figures(store, repeats)
    _tell("pooling")
    yield from pooling.figures(url, repeats)
    _tell("writing many partitions at once")
    yield from many_partitions.figures(store)
    _tell("writing by many at once")
    many_writers.prepare(store)
    yield from many_writers.figures(url)
    _tell("serving by several instances")
    yield from balancing.figures(url)
    _tell("reading from a standby")
    yield from standby.figures(repeats)
    _tell("waiting")
    yield from waiting.figures(store, url, 5 if options.quick else 15)
    _tell("waiting by many")
    yield from crowds.figures(url)
    _tell("serving writers")
    yield from serving.figures_of_writing(store, url, repeats)
    _tell("serving waiting clients")
    yield from waiting_clients.figures(url)
    data.check(store)
    few = 3 if options.quick else 9
    _tell("starting a command")
    yield from commands.figures(url, writing.PLAIN, few)
    _tell("importing")
    yield from importing.figures(few)
    _tell("SQLite")
    yield from embedded.figures((SMALL_SIZE, usual), repeats)


class _Server:
    """The server on which the databases are made."""

    def __init__(self, url: str) -> None:
        self._url = make_url(url).set(drivername="postgresql+psycopg2")

    def database(self, stack: ExitStack, name: str) -> str:
        """Create an empty database, which is dropped with the stack; returns its URL."""
        name = f"partition_registry_benchmark_{name}"
        self._execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        self._execute(f"CREATE DATABASE {name}")
        stack.callback(self._execute, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        return self._url.set(drivername="postgresql", database=name).render_as_string(hide_password=False)

    def version(self) -> str:
        """The version that the server reports."""
        with self._engine().connect() as connection:
            return str(connection.execute(text("SHOW server_version")).scalar())

    def _execute(self, statement: str) -> None:
        with self._engine().connect() as connection:
            connection.execute(text(statement))

    def _engine(self) -> Engine:
        return create_engine(self._url, future=True, isolation_level="AUTOCOMMIT")


@contextmanager
def _own_server() -> Iterator[str]:
    from testbed.postgres import PostgresServer

    # A checkpoint while measuring would slow down whichever call is running.
    with PostgresServer(durable=True, options={"max_wal_size": "16GB", "checkpoint_timeout": "1h"}) as server:
        yield server.url()


def _tell(what: str) -> None:
    print(f"... {what}", file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="a tenth of the size and fewer repeats, about two minutes"
    )
    parser.add_argument("--large", action="store_true", help=f"also a registry of {LARGE_SIZE:,} partitions")
    parser.add_argument(
        "--years",
        type=int,
        nargs="?",
        const=A_TENTH_OF_FIVE_YEARS,
        metavar="DAYS",
        help="instead of all that, a registry of many days, its growth, and how it is pruned; by default a tenth of "
        "five years, half an hour",
    )
    parser.add_argument(
        "--url", help="a PostgreSQL whose superuser may create databases; by default one of our own"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
