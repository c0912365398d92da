"""How a partition changes state: rules R3 to R6 as functions over values.

Each function takes a partition as it stands at ``now`` and returns what changes, or raises. Repeating a call that has
already succeeded returns no change. Nothing here reads a clock or a store: an expired lock arrives with the state
``EXPIRED``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from airflow_provider_partition_registry.domain.became_ready import WAS_READY
from airflow_provider_partition_registry.domain.errors import (
    NotLockHolderError,
    PartitionLockedError,
    PartitionStateError,
)
from airflow_provider_partition_registry.domain.intervals import format_instant, instant_after
from airflow_provider_partition_registry.domain.models import (
    LOCKED_STATES,
    EventType,
    FormerState,
    Holder,
    Lock,
    Partition,
    PartitionKey,
    PartitionState,
)
from airflow_provider_partition_registry.domain.requests import (
    ChangeRequest,
    Decision,
    DecisionRequest,
    Ending,
    FinishRequest,
    LockRequest,
    RenewRequest,
    acting,
)
from airflow_provider_partition_registry.domain.wording import (
    locked_by_another,
    not_theirs,
    standing,
    unknown_before,
)

LOCK_DETAILS = ("exclusive", "expires_at", "took_over_from", WAS_READY)
"""Keys that the registry adds to the details of a lock's event; the holder's own details cannot set them."""

KEPT_AS_IT_IS = 9 / 10
"""The part of a lease that must be left for a holder that keeps its lock not to renew it."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change of state: the partition as it stands afterwards, and the one event that records it (R9).

    ``holder`` and ``generation`` are those that the event names.
    """

    partition: Partition
    event: EventType
    holder: Holder | None = None
    details: Mapping[str, str] = field(default_factory=dict)


def decide(
    request: ChangeRequest,
    partition: Partition,
    *,
    neighbours: Iterable[Partition],
    now: datetime,
    former_generation: int = 0,
) -> list[Change]:
    """Decide what a request changes.

    :param neighbours: the source's other locked partitions, of any provider, that overlap this one.
    :param former_generation: see :func:`acquire`.
    :return: no changes if this very request was carried out before.
    :raises PartitionStateError: the partition's state does not allow the request.
    """
    if isinstance(request, LockRequest):
        if request.keep and _is_held_by(acting(request), partition):
            return _keep(partition, request.lease, now)
        return acquire(
            partition,
            acting(request),
            now=now,
            lease=request.lease,
            exclusive=request.exclusive,
            neighbours=neighbours,
            former_generation=former_generation,
        )
    if isinstance(request, RenewRequest):
        return [renew(partition, request.generation, request.lease, now=now)]
    if isinstance(request, FinishRequest):
        finished = _finish(request, partition, now)
        return [] if finished is None else [finished]
    return [_overrule(request, partition, now)]


def acquire(
    partition: Partition,
    holder: Holder,
    *,
    now: datetime,
    lease: timedelta | None = None,
    exclusive: bool = False,
    neighbours: Iterable[Partition] = (),
    former_generation: int = 0,
) -> list[Change]:
    """Grant the lock (R3).

    :param neighbours: the source's other locked partitions, of any provider, that overlap this one.
    :param former_generation: the greatest generation of the source's partitions that were removed. This may be one of
        them, registered anew: its first generation is greater, so that those of its former life stay dead.
    :return: the grant first; then a failure for each expired neighbour whose lock the grant takes over: its writer
        must not publish over the new writer's data.
    :raises PartitionLockedError: somebody else holds this partition, or one that conflicts with it.
    """
    conflicting = conflicts((partition, *neighbours), partition.key, holder, exclusive)
    for other in conflicting:
        if other.state is PartitionState.LOCKED:
            raise PartitionLockedError(locked_by_another(partition, other, _lock_of(other)), other)

    expires_at = None if lease is None else instant_after(now, lease, "lease")
    generation = (partition.generation or former_generation) + 1
    lock = Lock(holder, generation, now, expires_at, exclusive)
    details = {key: value for key, value in holder.details.items() if key not in LOCK_DETAILS}
    if exclusive:
        details["exclusive"] = "true"
    if lock.expires_at:
        details["expires_at"] = format_instant(lock.expires_at)
    if partition in conflicting:
        details["took_over_from"] = _lock_of(partition).holder.identity
    locked = replace(
        partition,
        state=PartitionState.LOCKED,
        generation=lock.generation,
        lock=lock,
        reason=None,
        published_at=None,
        changed_at=now,
        former=_former_state(partition, holder, now),
        released_by=None,
    )
    taken_over = [other for other in conflicting if other is not partition]
    return [
        Change(locked, EventType.LOCK, holder, details),
        *(_lose(other, lock, now) for other in taken_over),
    ]


def _keep(partition: Partition, lease: timedelta | None, now: datetime) -> list[Change]:
    """Renew the lease of a lock that its holder keeps, unless nearly all of it is left.

    All parts of mapped work that begin together keep all partitions of the lock, as those of parts that wait for a free
    worker must not expire. So each partition is renewed by one of them, and at most ten times per lease.
    """
    expires_at = _lock_of(partition).expires_at
    if lease is None or (expires_at is not None and expires_at - now >= lease * KEPT_AS_IT_IS):
        return []
    return [renew(partition, partition.generation, lease, now=now)]


def _is_held_by(holder: Holder, partition: Partition) -> bool:
    return partition.state in LOCKED_STATES and _lock_of(partition).holder == holder


def conflicts(
    partitions: Iterable[Partition], key: PartitionKey, holder: Holder, exclusive: bool
) -> list[Partition]:
    """The ones among a source's ``partitions`` whose locks conflict with a lock on ``key`` by ``holder`` (R3).

    Exclusive locks work both ways: one that is held keeps out every other lock, exclusive or not.
    """
    return [
        other
        for other in partitions
        if other.state in LOCKED_STATES
        and _lock_of(other).holder != holder
        and other.interval.overlaps(key.interval)
        and (other.provider_name == key.provider_name or exclusive or _lock_of(other).exclusive)
    ]


def publish(partition: Partition, holder: Holder, generation: int | None, *, now: datetime) -> Change | None:
    """Unlock: the partition becomes ready (R4).

    :return: the change, or None when this very call was finished before.
    :raises NotLockHolderError: the lock is not the caller's.
    """
    if partition.state in LOCKED_STATES and _is_theirs(partition, holder, generation):
        ready = _finished(partition, PartitionState.READY, None, now)
        return Change(ready, EventType.UNLOCK, _lock_of(partition).holder)
    if partition.state is PartitionState.READY and _finished_by(partition, holder, generation):
        return None
    # A withdrawn partition has a reason: whoever published it before must lock it to publish it again (R6).
    is_new = partition.reason is None and _was_never_locked(partition, generation)
    if partition.state is PartitionState.REGISTERED and is_new:
        return Change(_finished(partition, PartitionState.READY, None, now), EventType.UNLOCK, holder)
    raise NotLockHolderError(not_theirs("publish", partition, holder, generation), partition)


def fail(
    partition: Partition, holder: Holder, generation: int | None, reason: str, *, now: datetime
) -> Change | None:
    """End the write without publishing: the partition becomes failed (R4).

    :return: the change, or None when this very call was finished before.
    :raises NotLockHolderError: the lock is not the caller's.
    """
    if partition.state in LOCKED_STATES and _is_theirs(partition, holder, generation):
        failed = _finished(partition, PartitionState.FAILED, reason, now)
        return Change(failed, EventType.FAIL, _lock_of(partition).holder, {"reason": reason})
    if partition.state is PartitionState.FAILED and _finished_by(partition, holder, generation):
        return None
    raise NotLockHolderError(not_theirs("fail", partition, holder, generation), partition)


def release(partition: Partition, holder: Holder, generation: int | None) -> Change | None:
    """Give the lock back: nothing was written, so the partition is again what it was before (R4).

    :return: the change, or None when this very call was finished before.
    :raises NotLockHolderError: the lock is not the caller's.
    :raises PartitionStateError: it is not known what the partition was before.
    """
    if partition.state in LOCKED_STATES and _is_theirs(partition, holder, generation):
        former = partition.former
        if former is None:
            raise PartitionStateError(unknown_before(partition), partition)
        loser = _lock_of(partition).holder
        released = replace(
            partition,
            state=former.state,
            changed_at=former.changed_at,
            reason=former.reason,
            published_at=former.published_at,
            lock=None,
            former=None,
            released_by=loser.identity,
        )
        return Change(released, EventType.RELEASE, loser, _given_back(former))
    if _was_released_by(partition, holder, generation):
        return None
    raise NotLockHolderError(not_theirs("release", partition, holder, generation), partition)


def renew(partition: Partition, generation: int, lease: timedelta, *, now: datetime) -> Change:
    """Let the lease run for ``lease`` from now on; it never ends sooner than it would have (R5).

    :raises NotLockHolderError: the generation is not that of the present lock.
    """
    if partition.state not in LOCKED_STATES or generation != partition.generation:
        raise NotLockHolderError(not_theirs("renew the lease", partition, None, generation), partition)
    expires_at = instant_after(now, lease, "lease")
    before = _lock_of(partition)
    if before.expires_at is not None:
        expires_at = max(expires_at, before.expires_at)  # The clock may have stepped back.
    lock = replace(before, expires_at=expires_at)
    renewed = replace(partition, state=PartitionState.LOCKED, lock=lock)
    return Change(renewed, EventType.RENEW, lock.holder, {"expires_at": format_instant(expires_at)})


def force_release(partition: Partition, to: PartitionState, reason: str, by: str, *, now: datetime) -> Change:
    """Take the lock from its holder (R6).

    :param to: ``FAILED`` or ``READY``.
    :raises PartitionStateError: the partition is not locked.
    """
    if partition.state not in LOCKED_STATES:
        raise PartitionStateError(f"There is no lock to release: {standing(partition)}.", partition)
    released = replace(_finished(partition, to, _by(reason, by), now), lock=None)
    return Change(
        released, EventType.FORCE_RELEASE, _lock_of(partition).holder, _who(reason, by, to=to.value)
    )


def invalidate(partition: Partition, reason: str, by: str, *, now: datetime) -> Change:
    """Declare published data bad: the partition becomes failed (R6).

    :raises PartitionStateError: the partition is not ready.
    """
    if partition.state is not PartitionState.READY:
        raise PartitionStateError(
            f"Only published data can be invalidated: {standing(partition)}.", partition
        )
    failed = replace(_finished(partition, PartitionState.FAILED, _by(reason, by), now), lock=None)
    return Change(failed, EventType.INVALIDATE, None, _who(reason, by))


def withdraw(partition: Partition, reason: str, by: str, *, now: datetime) -> Change:
    """Take the partition back to registered, where it covers and blocks nothing (R6).

    :raises PartitionStateError: it is only registered, so there is nothing to withdraw.
    """
    if partition.state is PartitionState.REGISTERED:
        raise PartitionStateError(f"There is nothing to withdraw: {standing(partition)}.", partition)
    holder = _lock_of(partition).holder if partition.state in LOCKED_STATES else None
    withdrawn = replace(_finished(partition, PartitionState.REGISTERED, _by(reason, by), now), lock=None)
    return Change(withdrawn, EventType.WITHDRAW, holder, _who(reason, by))


def _finish(request: FinishRequest, partition: Partition, now: datetime) -> Change | None:
    holder, generation = acting(request), request.generation
    if request.ending is Ending.UNLOCK:
        return publish(partition, holder, generation, now=now)
    if request.ending is Ending.RELEASE:
        return release(partition, holder, generation)
    return fail(partition, holder, generation, request.reason or "", now=now)


def _overrule(request: DecisionRequest, partition: Partition, now: datetime) -> Change:
    reason, by = request.reason, request.by
    if request.decision is Decision.FORCE_RELEASE:
        return force_release(partition, request.to, reason, by, now=now)
    overrule = invalidate if request.decision is Decision.INVALIDATE else withdraw
    return overrule(partition, reason, by, now=now)


def _former_state(partition: Partition, holder: Holder, now: datetime) -> FormerState | None:
    """What the partition becomes again if ``holder``, who is about to be granted the lock, releases it."""
    if partition.state not in LOCKED_STATES:
        return FormerState(partition.state, partition.changed_at, partition.reason, partition.published_at)
    loser = _lock_of(partition).holder
    if loser == holder:
        return partition.former  # When a holder locks again, what was there before its first lock counts.
    reason = (
        f"The lease of {loser} ran out before it had finished, so its data may be half-written; "
        f"{holder} took over."
    )
    return FormerState(PartitionState.FAILED, now, reason)


def _given_back(former: FormerState) -> dict[str, str]:
    details = {"to": former.state.value}
    if former.reason is not None:
        details["reason"] = former.reason
    if former.published_at is not None:
        details["published_at"] = format_instant(former.published_at)
    return details


def _lose(partition: Partition, to: Lock, now: datetime) -> Change:
    reason = f"Its lease ran out and {to.holder} took over with an overlapping lock."
    failed = replace(_finished(partition, PartitionState.FAILED, reason, now), lock=None)
    return Change(failed, EventType.FAIL, _lock_of(partition).holder, {"reason": reason})


def _finished(partition: Partition, state: PartitionState, reason: str | None, now: datetime) -> Partition:
    published_at = now if state is PartitionState.READY else None
    return replace(
        partition,
        state=state,
        reason=reason,
        published_at=published_at,
        changed_at=now,
        former=None,
        released_by=None,
    )


def _is_theirs(partition: Partition, holder: Holder, generation: int | None) -> bool:
    if generation is not None:
        return generation == partition.generation
    return _lock_of(partition).holder == holder


def _finished_by(partition: Partition, holder: Holder, generation: int | None) -> bool:
    """Whether the caller brought the partition to its present state."""
    if partition.lock is None:
        return partition.state is PartitionState.READY and _was_never_locked(partition, generation)
    return _is_theirs(partition, holder, generation)


def _was_released_by(partition: Partition, holder: Holder, generation: int | None) -> bool:
    if partition.released_by is None:
        return False
    return (
        partition.released_by == holder.identity if generation is None else partition.generation == generation
    )


def _was_never_locked(partition: Partition, generation: int | None) -> bool:
    return partition.generation == 0 and not generation


def _lock_of(partition: Partition) -> Lock:
    if partition.lock is None:  # pragma: no cover - the store never builds one
        raise AssertionError(f"{partition} is locked by nobody")
    return partition.lock


def _who(reason: str, by: str, **more: str) -> dict[str, str]:
    return {"reason": reason, "by": by, **more}


def _by(reason: str, by: str) -> str:
    return f"{reason} ({by})"
