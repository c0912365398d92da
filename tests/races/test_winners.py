"""Whatever callers race for, exactly one gets it and the others get the documented error (R11)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_partition_registry.store.factory import open_store
from tests.contract.homes import all_events, hours
from tests.races.crowd import PROCESSES, THREADS, codes, in_processes, in_threads, play, together
from tests.races.replay import assert_consistent

ROUNDS = 10
HOUR = hours(0, 1)


@pytest.fixture(params=["threads", "processes"])
def race(request: pytest.FixtureRequest, database_url: str):
    """Run the same steps in many callers; returns the outcomes per step."""
    if request.param == "threads":
        return THREADS, lambda steps: in_threads(database_url, steps)
    processes = request.getfixturevalue("processes")
    return PROCESSES, lambda steps: in_processes(processes, database_url, steps)


def test_registering_sources(race, store) -> None:
    callers, run = race
    rounds = run([("register_source", {"source_name": f"new{n}", "owner": "ann"}) for n in range(ROUNDS)])
    assert all(codes(each) == {"won": 1, "source_already_registered": callers - 1} for each in rounds)
    assert_consistent(store)


def test_registering_providers(race, store) -> None:
    callers, run = race
    token = store.register_source("new", "ann").access_token
    rounds = run(
        [("register_provider", {"provider_name": f"new{n}", "access_token": token}) for n in range(ROUNDS)]
    )
    assert all(codes(each) == {"won": 1, "provider_already_registered": callers - 1} for each in rounds)
    assert_consistent(store)


def test_registering_one_provider_for_many_sources(store, database_url) -> None:
    tokens = [store.register_source(f"new{n}", "ann").access_token for n in range(THREADS)]
    step = "register_provider"
    works = [
        lambda token=token: play(database_url, [(step, {"provider_name": "p", "access_token": token})])
        for token in tokens
    ]
    (*everybody,) = together(works)
    assert codes([each[0] for each in everybody]) == {"won": THREADS}
    assert store.get_provider("p").source_names == tuple(sorted(f"new{n}" for n in range(THREADS)))
    types = [event.type for event in all_events(store) if event.provider_name == "p"]
    assert sorted(types) == ["GRANTED"] * (THREADS - 1) + ["PROVIDER_REGISTERED"]


def test_registering_partitions(race, store) -> None:
    callers, run = race
    where = {"source_name": "s", "provider_name": "p0"}
    rounds = run([("register_partition", {**where, "interval": hours(n, n + 1)}) for n in range(ROUNDS)])
    assert all(codes(each) == {"won": 1, "partition_already_registered": callers - 1} for each in rounds)
    assert_consistent(store)


@pytest.mark.parametrize("register", [True, False])
def test_locking(store, database_url, register: bool) -> None:
    """One winner per round; who wins unlocks, and the next round starts."""
    for number in range(ROUNDS):
        must_register = register or number == 0
        works = [lambda n=n, new=must_register: lock(database_url, f"holder{n}", new) for n in range(THREADS)]
        outcomes = together(works)
        assert codes(outcomes) == {"won": 1, "partition_locked": THREADS - 1}
        (winner,) = [each for each in outcomes if not isinstance(each, str)]
        assert winner.generation == number + 1
        store.unlock("s", "p0", HOUR, generation=winner.generation)
    assert_consistent(store)


def lock(url: str, holder: str, register: bool, provider: str = "p0", **options):
    with open_store(url, timeout=30) as own:
        return own.lock("s", provider, HOUR, holder=holder, register=register, **options)


def test_taking_over_an_expired_lock(store, database_url) -> None:
    store.lock("s", "p0", HOUR, holder="slow", lease=timedelta(microseconds=1), register=True)
    outcomes = together([lambda n=n: lock(database_url, f"holder{n}", False) for n in range(THREADS)])
    assert codes(outcomes) == {"won": 1, "partition_locked": THREADS - 1}
    assert_consistent(store)


def test_exclusive_locks_of_several_providers(store, database_url) -> None:
    works = [
        lambda n=n: lock(database_url, f"holder{n}", True, f"p{n % 4}", exclusive=True)
        for n in range(THREADS)
    ]
    assert codes(together(works)) == {"won": 1, "partition_locked": THREADS - 1}
    assert_consistent(store)


def test_one_holder_entering_again_and_again(store, database_url) -> None:
    outcomes = together([lambda: lock(database_url, "me", True)] * THREADS)
    assert sorted(each.generation for each in outcomes) == list(range(1, THREADS + 1))
    assert_consistent(store)


def test_unlocking_while_others_decide(store) -> None:
    """The writer ends its write in two ways while people decide in two others: each all or nothing."""
    why = {"reason": "x", "by": "ann"}
    for number in range(ROUNDS):
        interval = hours(number, number + 1)
        store.lock("s", "p0", interval, register=True)
        place = ("s", "p0", interval)
        outcomes = together(
            [
                lambda place=place: store.unlock(*place, generation=1),
                lambda place=place: store.force_release(*place, **why),
                lambda place=place: store.withdraw(*place, **why),
                lambda place=place: store.fail(*place, generation=1, reason="late"),
            ]
        )
        assert set(codes(outcomes)) <= {"won", "partition_state", "not_lock_holder"}
        assert codes(outcomes)["won"] >= 1
    assert_consistent(store)
