"""How a partition changes state (R3 to R6), one function at a time."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_partition_registry.domain import locking
from airflow_provider_partition_registry.domain.errors import (
    InvalidInputError,
    NotLockHolderError,
    PartitionLockedError,
    PartitionStateError,
)
from airflow_provider_partition_registry.domain.models import FormerState, Holder, PartitionState
from airflow_provider_partition_registry.domain.requests import LockRequest
from tests.unit.values import FORMER, HOUR, ME, NOW, OTHER, hours, partition

ALL = ["registered", "locked", "expired", "failed", "ready"]
LOCKED = ["locked", "expired"]
FORGOTTEN = {"holder": None}  # a person took the lock from its holder


@pytest.mark.parametrize("state", ALL)
def test_a_grant_gives_a_new_generation_and_forgets_what_was(state: str) -> None:
    before = partition(state)
    (change,) = locking.acquire(before, ME, now=NOW, lease=HOUR, exclusive=True)
    after = change.partition
    assert (after.state, after.generation, after.reason, after.published_at) == (
        "locked",
        before.generation + 1,
        None,
        None,
    )
    assert (after.lock.holder, after.lock.locked_at, after.lock.expires_at, after.lock.exclusive) == (
        ME,
        NOW,
        NOW + HOUR,
        True,
    )
    assert (after.changed_at, after.lock.generation) == (NOW, after.generation)
    assert (change.event, change.holder) == ("LOCK", ME)
    assert change.details == {"host": "worker-1", "exclusive": "true", "expires_at": "2026-03-01T13:00:00Z"}


@pytest.mark.parametrize(("generation", "granted"), [(0, 8), (1, 2), (9, 10)])
def test_a_partition_that_may_have_had_a_former_life_begins_after_it(generation: int, granted: int) -> None:
    before = replace(partition("registered"), generation=generation)
    (change,) = locking.decide(LockRequest(before.key), before, neighbours=(), now=NOW, former_generation=7)
    assert (change.partition.generation, change.partition.lock.generation) == (granted, granted)


@pytest.mark.parametrize("state", [each for each in ALL if each != "locked"])
def test_anyone_may_lock_what_is_not_locked(state: str) -> None:
    (change,) = locking.acquire(partition(state), OTHER, now=NOW)
    assert change.partition.lock.holder is OTHER
    assert change.details == ({"took_over_from": "me"} if state == "expired" else {})


def test_a_held_lock_is_refused() -> None:
    with pytest.raises(
        PartitionLockedError, match="is locked by me since 2026-03-01T11:00:00Z, without a lease"
    ) as caught:
        locking.acquire(partition("locked"), OTHER, now=NOW)
    assert caught.value.partition.lock.holder == ME


@pytest.mark.parametrize("state", [each for each in ALL if each not in LOCKED])
@pytest.mark.parametrize("exclusive", [True, False])
def test_only_locks_conflict(state: str, exclusive: bool) -> None:
    neighbour = partition(state, hours(1, 2), exclusive=True, id=2)
    assert len(locking.acquire(partition(), OTHER, now=NOW, exclusive=exclusive, neighbours=[neighbour])) == 1


@pytest.mark.parametrize(
    ("provider", "theirs_exclusive", "ours_exclusive", "conflict"),
    [
        ("p", False, False, True),
        ("q", False, False, False),
        ("q", True, False, True),
        ("q", False, True, True),
        ("q", True, True, True),
    ],
)
def test_overlapping_locks_conflict_both_ways(provider, theirs_exclusive, ours_exclusive, conflict) -> None:
    def acquire(holder: Holder, state: str = "locked", ours=hours(0, 4)):  # noqa: B008
        neighbour = partition(state, hours(1, 2), exclusive=theirs_exclusive, provider_name=provider, id=2)
        return locking.acquire(
            partition(interval=ours), holder, now=NOW, exclusive=ours_exclusive, neighbours=[neighbour]
        )

    assert len(acquire(ME)) == 1
    assert len(acquire(OTHER, ours=hours(2, 3))) == 1
    assert len(acquire(OTHER, "expired")) == (2 if conflict else 1)
    if conflict:
        with pytest.raises(PartitionLockedError, match="overlaps"):
            acquire(OTHER)


def test_expired_neighbours_fail_and_lose_their_lock() -> None:
    neighbours = [partition("expired", hours(n, n + 1), id=n + 2) for n in range(2)]
    grant, *losses = locking.acquire(partition(), OTHER, now=NOW, neighbours=neighbours)
    assert (grant.event, [loss.event for loss in losses]) == ("LOCK", ["FAIL", "FAIL"])
    assert {(loss.partition.state, loss.partition.lock, loss.holder) for loss in losses} == {
        ("failed", None, ME)
    }
    assert all("other took over" in loss.partition.reason == loss.details["reason"] for loss in losses)


def test_one_living_conflict_spares_the_expired_ones() -> None:
    neighbours = [partition("expired", hours(0, 1), id=2), partition("locked", hours(2, 3), id=3)]
    with pytest.raises(PartitionLockedError) as caught:
        locking.acquire(partition(), OTHER, now=NOW, neighbours=neighbours)
    assert caught.value.partition.id == 3


THEIRS = [(ME, None), (ME, 3), (OTHER, 3)]
NOT_THEIRS = [(OTHER, None), (ME, 2), (ME, 4), (ME, 0)]


def finish(verb: str, before, holder: Holder, generation: int | None):
    if verb == "publish":
        return locking.publish(before, holder, generation, now=NOW)
    if verb == "release":
        return locking.release(before, holder, generation)
    return locking.fail(before, holder, generation, "disk full", now=NOW)


@pytest.mark.parametrize("state", LOCKED)
@pytest.mark.parametrize(("holder", "generation"), THEIRS)
@pytest.mark.parametrize(
    ("verb", "event", "to"), [("publish", "UNLOCK", "ready"), ("fail", "FAIL", "failed")]
)
def test_the_holder_finishes(state, holder, generation, verb, event, to) -> None:
    before = partition(state)
    change = finish(verb, before, holder, generation)
    after = change.partition
    assert (change.event, change.holder, after.state, after.lock) == (event, ME, to, before.lock)
    assert (after.generation, after.changed_at) == (3, NOW)
    assert (after.published_at, after.reason) == ((NOW, None) if to == "ready" else (None, "disk full"))


@pytest.mark.parametrize(("holder", "generation"), THEIRS)
@pytest.mark.parametrize(("verb", "state"), [("publish", "ready"), ("fail", "failed")])
def test_finishing_again_changes_nothing(verb, state, holder, generation) -> None:
    assert finish(verb, partition(state), holder, generation) is None


@pytest.mark.parametrize("verb", ["publish", "fail", "release"])
@pytest.mark.parametrize("state", [each for each in ALL if each != "registered"])
@pytest.mark.parametrize(("holder", "generation"), NOT_THEIRS)
def test_nobody_else_finishes(verb, state, holder, generation) -> None:
    with pytest.raises(NotLockHolderError, match="lock again before writing"):
        finish(verb, partition(state), holder, generation)


@pytest.mark.parametrize(
    ("verb", "state"),
    [
        ("publish", "failed"),
        ("fail", "ready"),
        ("fail", "registered"),
        ("release", "ready"),
        ("release", "failed"),
        ("release", "registered"),
    ],
)
@pytest.mark.parametrize(("holder", "generation"), THEIRS)
def test_what_ended_otherwise_is_not_finished_again(verb, state, holder, generation) -> None:
    with pytest.raises(NotLockHolderError):
        finish(verb, partition(state, generation=3), holder, generation)


@pytest.mark.parametrize("verb", ["publish", "fail", "release"])
@pytest.mark.parametrize("state", ["registered", "failed", "ready"])
@pytest.mark.parametrize(("holder", "generation"), [*THEIRS, *NOT_THEIRS])
def test_a_lock_taken_away_is_dead(verb, state, holder, generation) -> None:
    with pytest.raises(NotLockHolderError):
        finish(verb, partition(state, generation=3, **FORGOTTEN), holder, generation)


@pytest.mark.parametrize("state", [each for each in ALL if each not in LOCKED])
def test_a_grant_remembers_what_the_partition_was(state: str) -> None:
    before = partition(state)
    (change,) = locking.acquire(before, ME, now=NOW)
    assert change.partition.former == FormerState(
        before.state, before.changed_at, before.reason, before.published_at
    )


@pytest.mark.parametrize("state", LOCKED)
@pytest.mark.parametrize("former", [*FORMER.values(), None], ids=str)
def test_taken_again_a_lock_remembers_what_was_before_its_first_grant(state: str, former) -> None:
    (change,) = locking.acquire(partition(state, former=former), ME, now=NOW)
    assert change.partition.former == former


def test_what_is_taken_over_may_be_half_written() -> None:
    (change,) = locking.acquire(partition("expired"), OTHER, now=NOW)
    former = change.partition.former
    assert (former.state, former.changed_at, former.published_at) == ("failed", NOW, None)
    assert all(word in former.reason for word in ("me", "half-written", "other"))


@pytest.mark.parametrize("state", LOCKED)
@pytest.mark.parametrize("former", FORMER)
@pytest.mark.parametrize(("holder", "generation"), THEIRS)
def test_a_release_gives_back_what_was(state: str, former: str, holder, generation) -> None:
    was = FORMER[former]
    change = locking.release(partition(state, former=was), holder, generation)
    after = change.partition
    assert FormerState(after.state, after.changed_at, after.reason, after.published_at) == was
    assert (after.generation, after.lock, after.former, after.released_by) == (3, None, None, "me")
    assert (change.event, change.holder) == ("RELEASE", ME)
    assert (
        change.details
        == {
            "registered": {"to": "registered"},
            "failed": {"to": "failed", "reason": "disk full"},
            "ready": {"to": "ready", "published_at": "2026-03-01T09:00:00Z"},
        }[former]
    )


RELEASED: dict[str, Any] = {"holder": None, "generation": 3, "released_by": "me"}


@pytest.mark.parametrize("state", FORMER)
@pytest.mark.parametrize(("holder", "generation"), THEIRS)
def test_releasing_again_changes_nothing(state: str, holder, generation) -> None:
    assert locking.release(partition(state, **RELEASED), holder, generation) is None


@pytest.mark.parametrize("state", FORMER)
@pytest.mark.parametrize(
    ("verb", "holder", "generation"),
    [("release", *each) for each in NOT_THEIRS]
    + [(verb, *each) for verb in ("publish", "fail") for each in [*THEIRS, *NOT_THEIRS]],
)
def test_what_was_released_is_not_finished_otherwise(state: str, verb: str, holder, generation) -> None:
    with pytest.raises(NotLockHolderError):
        finish(verb, partition(state, **RELEASED), holder, generation)


@pytest.mark.parametrize("state", LOCKED)
def test_a_lock_without_a_former_state_cannot_be_released(state: str) -> None:
    with pytest.raises(PartitionStateError, match=r"older version.*unlock.*fail") as caught:
        locking.release(partition(state, former=None), ME, 3)
    assert type(caught.value) is PartitionStateError


def test_a_released_lock_is_forgotten_with_the_next_change() -> None:
    released = partition("ready", **RELEASED)
    (locked,) = locking.acquire(released, ME, now=NOW)
    failed = locking.invalidate(released, "why", "ann", now=NOW)
    assert locked.partition.released_by is failed.partition.released_by is None


@pytest.mark.parametrize("generation", [None, 0])
def test_what_was_never_locked_is_published_directly(generation: int | None) -> None:
    change = locking.publish(partition(), ME, generation, now=NOW)
    assert (change.event, change.holder, change.partition.state, change.partition.generation) == (
        "UNLOCK",
        ME,
        "ready",
        0,
    )
    assert locking.publish(change.partition, ME, generation, now=NOW) is None
    with pytest.raises(NotLockHolderError):
        locking.publish(partition(), ME, 1, now=NOW)


@pytest.mark.parametrize("state", LOCKED)
def test_renewing_starts_from_now(state: str) -> None:
    change = locking.renew(partition(state), 3, HOUR, now=NOW)
    assert (change.event, change.partition.state, change.partition.lock.expires_at) == (
        "RENEW",
        "locked",
        NOW + HOUR,
    )
    assert change.partition.generation == 3
    assert change.partition.changed_at == NOW - HOUR


@pytest.mark.parametrize("back", [timedelta(microseconds=1), HOUR, 24 * HOUR])
def test_a_clock_that_steps_back_shortens_no_lease(back: timedelta) -> None:
    renewed = locking.renew(partition("locked"), 3, HOUR, now=NOW).partition
    change = locking.renew(renewed, 3, HOUR, now=NOW - back)
    assert change.partition.lock.expires_at == NOW + HOUR
    assert change.details == {"expires_at": "2026-03-01T13:00:00Z"}


@pytest.mark.parametrize(
    ("state", "generation"), [("locked", 2), ("locked", 4), ("ready", 3), ("failed", 3), ("registered", 0)]
)
def test_only_the_present_lock_is_renewed(state: str, generation: int) -> None:
    with pytest.raises(NotLockHolderError):
        locking.renew(partition(state), generation, HOUR, now=NOW)


@pytest.mark.parametrize("lease", [timedelta(0), -HOUR, timedelta.max, 3600, "1h"], ids=str)
def test_invalid_leases_are_refused(lease) -> None:
    with pytest.raises(InvalidInputError, match="lease"):
        locking.acquire(partition(), ME, now=NOW, lease=lease)
    with pytest.raises(InvalidInputError, match="lease"):
        locking.renew(partition("locked"), 3, lease, now=NOW)


@pytest.mark.parametrize("to", ["failed", "ready"])
@pytest.mark.parametrize("state", LOCKED)
def test_force_takes_the_lock_away(state: str, to: str) -> None:
    change = locking.force_release(partition(state), PartitionState(to), "he left", "ann", now=NOW)
    assert (change.event, change.holder, change.partition.state, change.partition.lock) == (
        "FORCE_RELEASE",
        ME,
        to,
        None,
    )
    assert change.partition.published_at == (NOW if to == "ready" else None)
    assert change.details == {"reason": "he left", "by": "ann", "to": to}


def test_invalidating_fails_what_was_published() -> None:
    change = locking.invalidate(partition("ready"), "wrong", "ann", now=NOW)
    assert (change.event, change.partition.state, change.partition.lock) == ("INVALIDATE", "failed", None)
    assert (change.partition.reason, change.partition.published_at) == ("wrong (ann)", None)


@pytest.mark.parametrize("state", [each for each in ALL if each != "registered"])
def test_withdrawing_leaves_it_registered(state: str) -> None:
    change = locking.withdraw(partition(state), "retired", "ann", now=NOW)
    assert (change.event, change.partition.state, change.partition.lock) == ("WITHDRAW", "registered", None)
    assert (change.partition.generation, change.partition.published_at) == (3, None)
    assert change.holder == (ME if state in LOCKED else None)


@pytest.mark.parametrize(
    ("verb", "states"),
    [
        ("force_release", ["registered", "failed", "ready"]),
        ("invalidate", ["registered", "locked", "expired", "failed"]),
        ("withdraw", ["registered"]),
    ],
)
def test_decisions_the_state_does_not_allow(verb: str, states: list[str]) -> None:
    to = (PartitionState.READY,) if verb == "force_release" else ()
    for state in states:
        with pytest.raises(PartitionStateError, match=state) as caught:
            getattr(locking, verb)(partition(state), *to, "why", "ann", now=NOW)
        assert type(caught.value) is PartitionStateError
