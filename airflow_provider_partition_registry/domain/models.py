"""Partitions, their locks and their history, as immutable values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeVar

from airflow_provider_partition_registry.domain.intervals import Interval, check_interval
from airflow_provider_partition_registry.domain.invalid_input import InvalidInputError
from airflow_provider_partition_registry.domain.names import MAX_IDENTITY_LENGTH, check_name, check_text

T = TypeVar("T")

MAX_DETAILS = 50


class PartitionState(StrEnum):
    """Where a partition stands. ``EXPIRED`` is never stored: it means ``LOCKED`` with a lease that is over (R5)."""

    REGISTERED = "registered"
    LOCKED = "locked"
    EXPIRED = "expired"
    FAILED = "failed"
    READY = "ready"


BLOCKING_STATES = frozenset({PartitionState.LOCKED, PartitionState.EXPIRED, PartitionState.FAILED})
"""The states that keep every reader of an overlapping interval waiting (R1)."""

LOCKED_STATES = frozenset({PartitionState.LOCKED, PartitionState.EXPIRED})
"""The states in which a partition has a present lock holder."""


class EventType(StrEnum):
    """What happened, in a line of the history (R9)."""

    SOURCE_REGISTERED = "SOURCE_REGISTERED"
    PROVIDER_REGISTERED = "PROVIDER_REGISTERED"
    GRANTED = "GRANTED"
    GRANT_REVOKED = "GRANT_REVOKED"
    TOKEN_ROTATED = "TOKEN_ROTATED"  # noqa: S105 - no password
    TOKEN_REVOKED = "TOKEN_REVOKED"  # noqa: S105 - no password
    PARTITION_REGISTERED = "PARTITION_REGISTERED"
    LOCK = "LOCK"
    RENEW = "RENEW"
    UNLOCK = "UNLOCK"
    FAIL = "FAIL"
    RELEASE = "RELEASE"
    FORCE_RELEASE = "FORCE_RELEASE"
    INVALIDATE = "INVALIDATE"
    WITHDRAW = "WITHDRAW"


REWRITING_EVENTS = frozenset(
    {
        EventType.LOCK,
        EventType.UNLOCK,
        EventType.FAIL,
        EventType.RELEASE,
        EventType.FORCE_RELEASE,
        EventType.INVALIDATE,
        EventType.WITHDRAW,
    }
)
"""The events after which data that somebody has read may have changed (R7)."""


WAKING_EVENTS = REWRITING_EVENTS - {EventType.LOCK}
"""The events of which those who wait are notified. Registering, locking and renewing cannot end anybody's wait;
notifications of them would only slow everybody down."""


@dataclass(frozen=True, slots=True)
class PartitionKey:
    """Which partition: one interval of one source, supplied by one provider.

    :raises InvalidNameError: a name is not valid.
    :raises InvalidInputError: the interval is not an :class:`Interval`.
    """

    source_name: str
    provider_name: str
    interval: Interval

    def __post_init__(self) -> None:
        check_name("source name", self.source_name)
        check_name("provider name", self.provider_name)
        check_interval(self.interval)

    def __str__(self) -> str:
        return f"partition {self.interval} of source {self.source_name!r} (provider {self.provider_name!r})"


def check_key(value: PartitionKey) -> PartitionKey:
    """Return ``value`` if it is a key.

    :raises InvalidInputError: it is anything else.
    """
    if not isinstance(value, PartitionKey):
        raise InvalidInputError(f"Expected a PartitionKey, not {type(value).__name__}.")
    return value


@dataclass(frozen=True, slots=True)
class Holder:
    """Who took a lock.

    :param identity: the same for every retry of the same work; equal identities are the same holder (R3).
    :param details: whatever helps a person: host, try number, log URL. At most 50.
    :raises InvalidInputError: the identity is not a valid name, or the details are no small mapping of text to text.
    """

    identity: str
    details: Mapping[str, str] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        check_name("holder identity", self.identity, MAX_IDENTITY_LENGTH)
        if not isinstance(self.details, Mapping) or len(self.details) > MAX_DETAILS:
            raise InvalidInputError(f"A holder's details must be a mapping of at most {MAX_DETAILS} entries.")
        for key, value in self.details.items():
            check_name("key of a holder's details", key)
            check_text(f"holder detail {key!r}", value)
        # The caller's mapping may change after it was checked.
        object.__setattr__(self, "details", dict(self.details))

    def __str__(self) -> str:
        return self.identity


@dataclass(frozen=True, slots=True)
class Lock:
    """One granted lock.

    :param generation: the fencing token (R3): a later grant has a greater one.
    :param expires_at: end of the lease, or None for a lock without one (R5).
    """

    holder: Holder
    generation: int
    locked_at: datetime
    expires_at: datetime | None = None
    exclusive: bool = False


@dataclass(frozen=True, slots=True)
class FormerState:
    """What a partition was before it was locked, and becomes again if the lock is released (R4).

    :param state: ``registered``, ``failed`` or ``ready``.
    :param changed_at: since when it had been in this state.
    :param reason: why it had failed or was withdrawn.
    :param published_at: when the data it holds was published; None unless ``ready``.
    """

    state: PartitionState
    changed_at: datetime
    reason: str | None = None
    published_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Partition:
    """One interval of one source, supplied by one provider, as it stood at the moment of the call.

    :param generation: that of the newest lock, 0 if it was never locked.
    :param lock: the present lock; for a ready or failed partition, the lock under which it was finished; None if nobody
        has locked it since it was registered, withdrawn, released, or taken from its holder by force.
    :param reason: why it failed or was withdrawn.
    :param published_at: when the data it holds was published; None unless ``ready``.
    :param changed_at: since when it is in this state; the state counts as unbroken by a lock that was released.
    :param former: what a release would restore; None unless locked, and for locks that a version took which did not
        record it yet.
    :param released_by: identity of the holder who released the newest lock, if that is how it ended.
    """

    source_name: str
    provider_name: str
    interval: Interval
    state: PartitionState
    generation: int
    registered_at: datetime
    changed_at: datetime
    lock: Lock | None = None
    reason: str | None = None
    published_at: datetime | None = None
    former: FormerState | None = None
    released_by: str | None = None
    id: int = 0

    @property
    def key(self) -> PartitionKey:
        """Which partition it is."""
        return PartitionKey(self.source_name, self.provider_name, self.interval)

    @property
    def start(self) -> datetime:
        """First instant of the interval."""
        return self.interval.start

    @property
    def end(self) -> datetime:
        """First instant after the interval."""
        return self.interval.end


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the append-only history (R9). ``position`` numbers the events of all sources together.

    :param source_name: None for an event that concerns only a provider, such as a new token of its own.
    """

    position: int
    type: EventType
    at: datetime
    source_name: str | None
    provider_name: str | None = None
    interval: Interval | None = None
    holder: str | None = None
    generation: int | None = None
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GrainEvent:
    """A whole grain of a source (a day, an hour, ...) became ready, by one publication (R9).

    :param interval: the grain.
    :param version: the position of the event by which it became ready. A grain that is written again becomes ready
        again, with a greater version.
    :param at: when that was (UTC).
    :param cursor: to go on after this one.
    """

    source_name: str
    interval: Interval
    version: int
    at: datetime
    cursor: str


@dataclass(frozen=True, slots=True)
class LockCounts:
    """How many locks there are now.

    :param held: locks without a lease, or whose lease still runs.
    :param expired: locks whose lease is over and that nobody has taken over or finished since.
    """

    held: int
    expired: int


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list. Pass ``next`` as ``after`` to get the following page; it is None on the last page."""

    items: tuple[T, ...]
    next: str | int | None = None


@dataclass(frozen=True, slots=True)
class HistoryPage(Page[Event]):
    """One page of a history that is read backwards.

    :param pruned_before: set on pages that reach into what was pruned: of what happened before this instant only events
        are left that tell what is the case now. None if the page is whole.
    """

    items: tuple[Event, ...]
    pruned_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class GrainPage(Page[GrainEvent]):
    """One page of the grains that became ready.

    :param reached: a cursor: up to here all grains have been told. Whoever follows goes on from there, also if nothing
        was told for a long time: positions that nobody remembers may be pruned.
    """

    items: tuple[GrainEvent, ...]
    reached: str = "0"
