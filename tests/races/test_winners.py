"""Whatever callers race for, exactly one succeeds and the others get the documented error (R11)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_partition_registry.domain.models import EventType, PartitionKey
from airflow_provider_partition_registry.domain.principals import Principal, PrincipalKind
from airflow_provider_partition_registry.store.factory import open_store
from tests.contract.base import newest
from tests.contract.homes import all_events, hours
from tests.races.crowd import PROCESSES, THREADS, codes, in_processes, in_threads, play, together
from tests.races.replay import assert_consistent

ROUNDS = 10
HOUR = hours(0, 1)
WHY = {"reason": "x", "by": "ann"}


@pytest.fixture(params=["threads", "processes"])
def race(request: pytest.FixtureRequest, database_url: str):
    """Runs the same steps in many callers, and returns the outcomes for each step."""
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
    assert len([each[0] for each in everybody if each[0].access_token]) == 1
    assert store.get_provider("p").source_names == tuple(sorted(f"new{n}" for n in range(THREADS)))
    types = [event.type for event in all_events(store) if event.provider_name == "p"]
    assert sorted(types) == ["GRANTED"] * (THREADS - 1) + ["PROVIDER_REGISTERED"]


def test_rotating_a_token(race, store) -> None:
    """The last caller holds the only valid token."""
    callers, run = race
    principal = Principal(PrincipalKind.PROVIDER, "p0")
    (issued,) = run([("rotate_token", {"principal": principal})])
    assert codes(issued) == {"won": callers}
    lasting = [
        each.id for each in store.list_tokens(principal).items if each.expires_at is each.revoked_at is None
    ]
    assert lasting == [newest(store).details["token_id"]]
    assert_consistent(store)


def test_a_revoked_token_grants_nothing_more(store) -> None:
    token = store.register_source("new", "ann").access_token
    token_id = store.identify_token(token).id
    registrations = [lambda n=n: store.register_provider(f"new{n}", token) for n in range(THREADS - 1)]
    outcomes = together([lambda: store.revoke_token(token_id, **WHY), *registrations])
    assert set(codes(outcomes)) <= {"won", "invalid_token"}
    types = [event.type for event in all_events(store, source_name="new")]
    assert types[-1] == "TOKEN_REVOKED"
    assert types.count(EventType.PROVIDER_REGISTERED) == codes(outcomes)["won"] - 1
    assert_consistent(store)


def test_taking_a_grant_back(race, store) -> None:
    callers, run = race
    (outcomes,) = run([("revoke_grant", {"source_name": "s", "provider_name": "p0", **WHY})])
    assert codes(outcomes) == {"won": 1, "no_grant": callers - 1}
    assert_consistent(store)


def test_writing_while_the_grant_is_taken_back(store) -> None:
    """Later writes are refused; what was locked before stays locked."""
    writers = [
        lambda n=n: store.lock(PartitionKey("s", "p0", hours(n, n + 1)), register=True)
        for n in range(THREADS - 1)
    ]
    outcomes = together([lambda: store.revoke_grant("s", "p0", **WHY), *writers])
    assert set(codes(outcomes)) <= {"won", "no_grant"}
    events = all_events(store, source_name="s")
    assert events[-1].type == "GRANT_REVOKED"
    locked = store.list_partitions("s", limit=1000).items
    assert {each.state.value for each in locked} <= {"locked"}
    assert len(locked) == codes(outcomes)["won"] - 1
    assert_consistent(store)


def test_registering_partitions(race, store) -> None:
    callers, run = race
    keys = [PartitionKey("s", "p0", hours(n, n + 1)) for n in range(ROUNDS)]
    rounds = run([("register_partition", {"key": key}) for key in keys])
    assert all(codes(each) == {"won": 1, "partition_already_registered": callers - 1} for each in rounds)
    assert_consistent(store)


@pytest.mark.parametrize("register", [True, False])
def test_locking(store, database_url, register: bool) -> None:
    """Each round has one winner, who unlocks before the next round starts."""
    for number in range(ROUNDS):
        must_register = register or number == 0
        works = [lambda n=n, new=must_register: lock(database_url, f"holder{n}", new) for n in range(THREADS)]
        outcomes = together(works)
        assert codes(outcomes) == {"won": 1, "partition_locked": THREADS - 1}
        (winner,) = [each for each in outcomes if not isinstance(each, str)]
        assert winner.generation == number + 1
        store.unlock(PartitionKey("s", "p0", HOUR), generation=winner.generation)
    assert_consistent(store)


def lock(url: str, holder: str, register: bool, provider: str = "p0", **options):
    with open_store(url, timeout=30) as own:
        return own.lock(PartitionKey("s", provider, HOUR), holder=holder, register=register, **options)


def test_taking_over_an_expired_lock(store, database_url) -> None:
    store.lock(PartitionKey("s", "p0", HOUR), holder="slow", lease=timedelta(microseconds=1), register=True)
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
    """The writer ends its write in two ways while people decide in two others; each succeeds entirely or not at all."""
    for number in range(ROUNDS):
        interval = hours(number, number + 1)
        store.lock(PartitionKey("s", "p0", interval), register=True)
        place = PartitionKey("s", "p0", interval)
        outcomes = together(
            [
                lambda place=place: store.unlock(place, generation=1),
                lambda place=place: store.force_release(place, **WHY),
                lambda place=place: store.withdraw(place, **WHY),
                lambda place=place: store.fail(place, generation=1, reason="late"),
            ]
        )
        assert set(codes(outcomes)) <= {"won", "partition_state", "not_lock_holder"}
        assert codes(outcomes)["won"] >= 1
    assert_consistent(store)
