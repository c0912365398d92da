"""What readers pay: ready and not ready, one question and many, small registries and large ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.domain.questions import Question, Readiness
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore
from benchmarks import floors
from benchmarks.data import OTHER_PROVIDER, Series
from benchmarks.measuring import Call, in_turns
from benchmarks.report import Figure

WINDOWS = (1, 1_000, 100_000)
CROWD = 1_000
UNPUBLISHED_EVERY = 100
GAPS = BLOCKERS = 10


QUIET = Series("quiet", 10)
"""A source with no new events for as long as all the others have written their histories."""


def series_of(size: int) -> tuple[Series, Series]:
    """A registry of ``size`` partitions: half of them without a gap, half with one gap after every 99."""
    return Series("archive", size // 2), Series("patchy", size // 2, unpublished_every=UNPUBLISHED_EVERY)


def figures(stores: Mapping[int, SqlRegistryStore], usual_size: int, repeats: int) -> Iterator[Figure]:
    """All figures about reading; ``stores`` are registries by their size."""
    yield from _ready(stores, usual_size, repeats)
    yield from _not_ready(stores[usual_size], usual_size, repeats)
    yield from _many(stores[usual_size], usual_size, max(repeats // 10, 10))


def _ready(stores: Mapping[int, SqlRegistryStore], usual_size: int, repeats: int) -> Iterator[Figure]:
    archive, patchy = series_of(usual_size)
    store = stores[usual_size]
    calls = {"PK": floors.primary_key_select(store, usual_size // 2)}
    for window in WINDOWS:
        calls[f"{window:,}"] = _asks(store, archive.source_name, _in_the_middle(archive, window))
    calls["quiet"] = _asks(store, QUIET.source_name, QUIET.interval(0, QUIET.count))
    among_gaps = patchy.interval(usual_size // 4 // UNPUBLISHED_EVERY * UNPUBLISHED_EVERY, 50)
    calls["among gaps"] = _asks(store, patchy.source_name, among_gaps)
    for size, other in stores.items():
        if size != usual_size:
            archive, _ = series_of(size)
            calls[f"of {size:,}"] = _asks(other, archive.source_name, _in_the_middle(archive, WINDOWS[0]))
    times = in_turns(calls, repeats)
    pk, one = times["PK"], times[f"{WINDOWS[0]:,}"]
    names = {f"{window:,}": f"ready, window of {window:,}" for window in WINDOWS}
    names["among gaps"] = (
        f"ready, window of 50, one of {usual_size // 2 // UNPUBLISHED_EVERY:,} ready intervals"
    )
    names["quiet"] = f"ready, window of {QUIET.count}, of a source without news"
    for key, what in names.items():
        yield _figure(f"{what}, {usual_size:,} partitions", times[key], pk, "PK", 1.5, repeats)
    for window in WINDOWS[1:]:
        what = f"the same window of {window:,} against one of {WINDOWS[0]:,}"
        yield _figure(what, times[f"{window:,}"], one, "window of 1", 1.3, repeats)
    for size in stores:
        if size != usual_size:
            what = f"ready, window of 1, {size:,} partitions against {usual_size:,}"
            yield _figure(what, times[f"of {size:,}"], one, f"{usual_size:,}", 1.3, repeats)


def _not_ready(store: SqlRegistryStore, size: int, repeats: int) -> Iterator[Figure]:
    _, patchy = series_of(size)
    first = size // 4 // UNPUBLISHED_EVERY * UNPUBLISHED_EVERY
    window = patchy.interval(first, GAPS * UNPUBLISHED_EVERY)
    # Every blocker is a correction of published data, so none of them is a gap as well.
    locked = [patchy.interval(first + number * UNPUBLISHED_EVERY + 10, 7) for number in range(BLOCKERS)]
    for interval in locked:
        store.lock(PartitionKey(patchy.source_name, OTHER_PROVIDER, interval), register=True)
    answer = store.check_readiness(patchy.source_name, window)
    assert (len(answer.gaps), len(answer.blockers)) == (GAPS, BLOCKERS)
    again = Question(
        patchy.source_name, window, published_after=answer.blockers[0].changed_at - timedelta(days=1)
    )
    gap = patchy.interval(first - 1, 1)
    calls = {
        "PK": floors.primary_key_select(store, size // 2),
        "not ready": _asks(store, patchy.source_name, window),
        "one gap": _asks(store, patchy.source_name, gap),
        "fresh": lambda: store.check_readiness_many([again]),
        "unexplained": lambda: store.check_readiness_many(
            [Question(patchy.source_name, window)], explain=False
        ),
    }
    times = in_turns(calls, repeats)
    what = f"not ready, {GAPS} gaps and {BLOCKERS} blockers among 1,000 partitions"
    yield _figure(what, times["not ready"], times["PK"], "PK", 5, repeats)
    yield _figure("not ready, one gap", times["one gap"], times["PK"], "PK", 5, repeats)
    yield _figure(f"{what}, and published_after", times["fresh"], times["PK"], "PK", None, repeats)
    yield _figure(f"{what}, unexplained", times["unexplained"], times["PK"], "PK", 1.5, repeats)
    for interval in locked:
        store.withdraw(
            PartitionKey(patchy.source_name, OTHER_PROVIDER, interval), reason="measured", by="benchmarks"
        )


def _many(store: SqlRegistryStore, size: int, repeats: int) -> Iterator[Figure]:
    archive, patchy = series_of(size)
    spread = [number * (size // 2 // CROWD) for number in range(CROWD)]
    ready = [Question(archive.source_name, archive.interval(first, 5)) for first in spread]
    gaps = [
        Question(patchy.source_name, patchy.interval(first + UNPUBLISHED_EVERY - 1, 5))
        for first in (each // UNPUBLISHED_EVERY * UNPUBLISHED_EVERY for each in spread)
    ]
    _require(store, ready, is_ready=True)
    _require(store, gaps, is_ready=False)
    calls = {
        "one": lambda: store.check_readiness_many(ready[:1]),
        "many": lambda: store.check_readiness_many(ready),
        "unexplained": lambda: store.check_readiness_many(gaps, explain=False),
    }
    times = in_turns(calls, repeats)
    explained = {
        "one": lambda: store.check_readiness_many(gaps[:1]),
        "many": lambda: store.check_readiness_many(gaps),
    }
    mixed = [*ready[1:], gaps[0]]
    explained["one of many"] = lambda: store.check_readiness_many(mixed)
    times_explained = in_turns(explained, repeats)
    one = times["one"]
    yield _figure(f"{CROWD:,} questions in one call, all ready", times["many"], one, "one", 30, repeats)
    yield _figure(
        f"{CROWD:,} questions, none ready, unexplained", times["unexplained"], one, "one", 30, repeats
    )
    one = times_explained["one"]
    what = f"{CROWD:,} questions, none ready, explained"
    yield _figure(what, times_explained["many"], one, "one explained", 30, repeats)
    what = f"{CROWD:,} questions, one of them not ready, explained"
    yield _figure(what, times_explained["one of many"], one, "one explained", 30, repeats)


def _in_the_middle(series: Series, window: int) -> Interval:
    window = min(window, series.count)
    return series.interval((series.count - window) // 2, window)


def _asks(store: SqlRegistryStore, source_name: str, interval: Interval) -> Call:
    return lambda: store.check_readiness(source_name, interval)


def _require(store: SqlRegistryStore, questions: list[Question], is_ready: bool) -> None:
    for answer in store.check_readiness_many(questions):
        assert isinstance(answer, Readiness)
        assert answer.is_ready is is_ready


def _figure(
    what: str, seconds: float, floor: float, floor_name: str, at_most: float | None, repeats: int
) -> Figure:
    return Figure(what, seconds * 1000, repeats, floor * 1000, floor_name, at_most)
