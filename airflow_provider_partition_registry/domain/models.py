"""The things the registry speaks of, as immutable values. The words are those of the glossary in the README."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeVar

from airflow_provider_partition_registry.domain.errors import InvalidInputError, UnknownSourceError
from airflow_provider_partition_registry.domain.intervals import Interval, check_interval, to_instant
from airflow_provider_partition_registry.domain.names import MAX_IDENTITY_LENGTH, check_name, check_text

T = TypeVar("T")

MAX_DETAILS = 50


class PartitionState(StrEnum):
    """Where a partition stands. ``EXPIRED`` is never stored: it is ``LOCKED`` with a lease that is over (R5)."""

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
    """What a line of the history says (R9)."""

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
"""The events after which what somebody read before may no longer be what is there (R7)."""


@dataclass(frozen=True, slots=True)
class Source:
    """A place where data lives."""

    name: str
    owner: str
    registered_at: datetime
    id: int


@dataclass(frozen=True, slots=True)
class Provider:
    """Who supplies data; ``source_names`` are the sources it holds grants on."""

    name: str
    registered_at: datetime
    id: int
    source_names: tuple[str, ...]


class PrincipalKind(StrEnum):
    """What an access token may speak for."""

    SOURCE = "source"
    PROVIDER = "provider"


@dataclass(frozen=True, slots=True)
class Principal:
    """Whom an access token speaks for: a source or a provider (R10).

    :raises InvalidInputError: the kind is neither, or the name is none.
    """

    kind: PrincipalKind
    name: str

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "kind", PrincipalKind(self.kind))
        except ValueError:
            raise InvalidInputError(
                f"An access token speaks for a source or a provider, not for {self.kind!r}."
            ) from None
        check_name(f"{self.kind.value} name", self.name)

    def __str__(self) -> str:
        return f"{self.kind.value} {self.name!r}"


def check_principal(value: Principal) -> Principal:
    """Return ``value`` if it is a principal.

    :raises InvalidInputError: it is anything else.
    """
    if not isinstance(value, Principal):
        raise InvalidInputError(f"A Principal is wanted here, not {type(value).__name__}.")
    return value


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What is known of an access token: everything but its secret.

    :param id: names the token in lists and in the history; it opens nothing.
    :param expires_at: from when on it is not valid any more, or None.
    :param revoked_at: when somebody revoked it, or None.
    """

    id: str
    principal: Principal
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def is_valid_at(self, now: datetime) -> bool:
        """Whether it was neither revoked nor has expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A new access token, and the one answer that carries its secret (R10)."""

    token: AccessToken
    access_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SourceRegistration:
    """The one answer that carries a source's access token (R10)."""

    source: Source
    access_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ProviderRegistration:
    """The one answer that carries a provider's access token (R10).

    :param access_token: None if the provider was there already and was granted one more source.
    """

    provider: Provider
    access_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class PartitionKey:
    """Which partition: one interval of one source, supplied by one provider.

    :raises InvalidNameError: a name is none.
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
        raise InvalidInputError(f"A PartitionKey is wanted here, not {type(value).__name__}.")
    return value


@dataclass(frozen=True, slots=True)
class Holder:
    """Who took a lock.

    :param identity: stable through retries of the same work; equal identities are the same holder (R3).
    :param details: whatever helps a person: host, try number, log URL. At most 50.
    :raises InvalidInputError: the identity is no name, or the details are not a small mapping of text to text.
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
    """What a partition was before it was locked, and is again if the lock is released (R4).

    :param state: ``registered``, ``failed`` or ``ready``.
    :param changed_at: since when it was in this state.
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

    :param generation: that of the newest grant, 0 if there was none yet.
    :param lock: the present lock; of a ready or failed partition the one it was finished under; None when nobody
        locked it since it was registered, withdrawn, released, or taken from its holder by force.
    :param reason: why it failed or was withdrawn.
    :param published_at: when the data it holds was published; None unless ``ready``.
    :param changed_at: since when it is in this state; a time in which it was locked and released counts as well.
    :param former: what a release would give back; None unless locked, and for locks taken before the registry kept
        note of it.
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
    """One line of the append-only history (R9). Events of all sources share one numbering, ``position``.

    :param source_name: None for what concerns a provider alone, such as a new token of its own.
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
class Question:
    """May ``interval`` of the source be read?

    :param published_after: ask also that every instant was published at or after this one (R8), and not later than
        now: a publishing time in the future proves nothing.
    :raises InvalidInputError: the name is none, or the interval is not an :class:`Interval`.
    """

    source_name: str
    interval: Interval
    published_after: datetime | None = None

    def __post_init__(self) -> None:
        check_name("source name", self.source_name)
        check_interval(self.interval)
        if self.published_after is not None:
            object.__setattr__(self, "published_after", to_instant(self.published_after))

    def __str__(self) -> str:
        return f"{self.interval} of source {self.source_name!r}"


def check_questions(value: Sequence[Question]) -> Sequence[Question]:
    """Return ``value`` if it is a sequence of questions.

    :raises InvalidInputError: it is anything else.
    """
    if not isinstance(value, Sequence) or not all(isinstance(each, Question) for each in value):
        raise InvalidInputError("Give a sequence of Questions.")
    return value


@dataclass(frozen=True, slots=True)
class Readiness:
    """The answer to a question (R1), which explains itself (R2).

    :param gaps: where nobody has published anything, merged and in order.
    :param blockers: every locked, expired or failed partition that overlaps the question.
    :param stale: where nothing published is known to be as new as ``published_after`` (R8).
    :param as_of: position in the source's history that the answer belongs to (R7).

    In a condition it is as true as the data is ready.
    """

    question: Question
    is_ready: bool
    as_of: int
    gaps: tuple[Interval, ...] = ()
    blockers: tuple[Partition, ...] = ()
    stale: tuple[Interval, ...] = ()

    def __bool__(self) -> bool:
        return self.is_ready


Answer = Readiness | UnknownSourceError
"""To one of several questions."""


@dataclass(frozen=True, slots=True)
class LockCounts:
    """How many locks there are now.

    :param held: whose lease, if they have one, still runs.
    :param expired: whose lease is over and that nobody has taken over or finished since.
    """

    held: int
    expired: int


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of many. ``next`` is what to pass as ``after`` for those that follow, None on the last page."""

    items: tuple[T, ...]
    next: str | int | None = None
