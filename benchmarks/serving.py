"""What the web service costs beside an empty synchronous route on the same server."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from itertools import count
from statistics import median

from airflow_provider_partition_registry.domain.intervals import Interval, format_instant
from airflow_provider_partition_registry.domain.principals import Principal, PrincipalKind
from airflow_provider_partition_registry.store.factory import open_store
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore
from benchmarks.data import PROVIDER, Series
from benchmarks.http_client import Connection, get, post, rate
from benchmarks.measuring import WARM_UP, in_turns
from benchmarks.reading import series_of
from benchmarks.report import Figure
from benchmarks.service import EMPTY, Service, running
from benchmarks.waiting import delay
from benchmarks.writing import HISTORY, PLAIN

CLIENTS = 32
BATCH = 1_000
WINDOW = 1_000
LATENCY = 1.8
SHARE_OF_RATE = 0.55
FLOOR = "empty route"
THREADS, CONNECTIONS, CALLS = 16, 8, 60
FAIR = 10  # times the median; when callers overtook each other it was 70 times


def figures_of_reading(url: str, size: int, repeats: int) -> Iterator[Figure]:
    """What readers pay, with a registry of this size."""
    archive, _ = series_of(size)
    start, end = _ends(archive.interval(size // 4, WINDOW))
    asked = {"source_name": archive.source_name, "start": start, "end": end}
    windows = [archive.interval(size // 8 + number, WINDOW) for number in range(BATCH)]
    questions = [
        dict(zip(("source_name", "start", "end"), (archive.source_name, *_ends(each)), strict=True))
        for each in windows
    ]
    requests = {
        FLOOR: get(EMPTY),
        "GET /api/v1/readiness": get("/api/v1/readiness", asked),
        "check_readiness": get(
            f"/sources/{archive.source_name}/check_readiness", {"start": start, "end": end}
        ),
    }
    batch = post("/api/v1/readiness", {"questions": questions, "explain": False})
    with running(url) as service, Connection(service.port) as connection:
        _check_ready(connection, requests, batch)
        yield from _of_our_client(service, connection, archive, archive.interval(size // 4, WINDOW), repeats)
        times = in_turns({name: partial(connection.ask, each) for name, each in requests.items()}, repeats)
        for name in list(requests)[1:]:
            what = f"{name}, 1 client, {size:,} partitions"
            yield _figure(what, times[name], times[FLOOR], repeats, LATENCY)
        rounds = max(repeats // 30, 3)
        rates = _rates(service, requests, rounds)
        for name in list(requests)[1:]:
            what = f"{name}, {CLIENTS} clients, time per answer"
            yield _figure(what, 1 / rates[name], 1 / rates[FLOOR], rounds, round(1 / SHARE_OF_RATE, 2))
        few = max(repeats // 10, 10)
        many = in_turns(
            {FLOOR: lambda: connection.ask(requests[FLOOR]), "batch": lambda: connection.ask(batch)}, few
        )
        yield _figure(f"{BATCH:,} questions in one request, all ready", many["batch"], many[FLOOR], few)


def figures_of_writing(store: SqlRegistryStore, url: str, repeats: int) -> Iterator[Figure]:
    """What writers pay and how soon waiting clients are notified, in a registry with the other benchmarks' series."""
    token = store.rotate_token(Principal(PrincipalKind.PROVIDER, PROVIDER)).access_token
    with running(url) as service, Connection(service.port) as connection:
        numbers = count(2 * HISTORY)
        empty = get(EMPTY)

        def empty_twice() -> None:
            connection.ask(empty)
            connection.ask(empty)

        def lock_and_unlock() -> None:
            place = _place(PLAIN.interval(next(numbers)))
            connection.ask(post("/api/v1/partitions/lock", place | {"register": True}, token))
            connection.ask(post("/api/v1/partitions/unlock", place, token))

        times = in_turns({"two": empty_twice, "pair": lock_and_unlock}, repeats)
        yield Figure(
            "lock + unlock by a provider's token, registering it",
            times["pair"] * 1000,
            repeats,
            times["two"] * 1000,
            f"two {FLOOR}",
        )
        waits = max(repeats // 20, 5)
        with open_store(service.url, access_token=token) as remote:
            delays = [delay(remote, service.url, number) for number in range(10_000, 10_000 + waits)]
        what = "unlock to the event of a remote waiter, both through the service"
        yield Figure(what, median(delays), waits, at_most=50)


def _of_our_client(
    service: Service, connection: Connection, archive: Series, window: Interval, repeats: int
) -> Iterator[Figure]:
    """What our own client pays, and whether its callers are served fairly when there are more than connections."""
    with open_store(service.url, pool_size=CONNECTIONS) as store:
        calls = {
            FLOOR: lambda: connection.ask(get(EMPTY)),
            "one": lambda: store.check_readiness(archive.source_name, window),
        }
        times = in_turns(calls, repeats)
        yield _figure("check_readiness of our own client", times["one"], times[FLOOR], repeats)
        waits: list[float] = []

        def ask_again_and_again() -> None:
            for _ in range(CALLS):
                began = time.perf_counter()
                store.check_readiness(archive.source_name, window)
                waits.append(time.perf_counter() - began)

        with ThreadPoolExecutor(THREADS) as threads:
            for asking in [threads.submit(ask_again_and_again) for _ in range(THREADS)]:
                asking.result()
    what = f"longest call of {THREADS} threads on {CONNECTIONS} connections"
    yield Figure(what, max(waits) * 1000, len(waits), median(waits) * 1000, "median", FAIR)


def _rates(service: Service, requests: Mapping[str, bytes], rounds: int) -> dict[str, float]:
    """Responses per second with many clients; all requests take turns."""
    rates: dict[str, list[float]] = {name: [] for name in requests}
    with ExitStack() as stack:
        connections = [stack.enter_context(Connection(service.port)) for _ in range(CLIENTS)]
        for number in range(-1, rounds):
            for name, request in requests.items():
                measured = rate(connections, request, CLIENTS * WARM_UP * 2)
                if number >= 0:
                    rates[name].append(measured)
    return {name: median(values) for name, values in rates.items()}


def _check_ready(connection: Connection, requests: Mapping[str, bytes], batch: bytes) -> None:
    for name in list(requests)[1:]:
        assert json.loads(connection.ask(requests[name]))["is_ready"]
    answers = json.loads(connection.ask(batch))["answers"]
    assert len(answers) == BATCH
    assert all(each["readiness"]["is_ready"] for each in answers)


def _figure(what: str, seconds: float, floor: float, repeats: int, at_most: float | None = None) -> Figure:
    return Figure(what, seconds * 1000, repeats, floor * 1000, FLOOR, at_most)


def _ends(interval: Interval) -> tuple[str, str]:
    return format_instant(interval.start), format_instant(interval.end)


def _place(interval: Interval) -> dict[str, str]:
    start, end = _ends(interval)
    return {"source_name": PLAIN.source_name, "provider_name": PROVIDER, "start": start, "end": end}
