"""What callers of the versioned API send. The domain checks names, intervals and texts, and words the errors."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from airflow_provider_partition_registry.domain.errors import InvalidInputError
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import Holder, PartitionState, Question

Instant = Annotated[
    str, Field(description="ISO 8601; UTC unless it says otherwise.", examples=["2026-11-01T00:00:00Z"])
]
SourceName = Annotated[str, Field(description="Name of a source.", examples=["sales"])]
ProviderName = Annotated[str, Field(description="Name of a provider.", examples=["nightly-load"])]
Generation = Annotated[int, Field(description="The fencing token that locking answered (R3).", examples=[1])]
Seconds = Annotated[float, Field(description="Seconds.", examples=[900])]


class Body(BaseModel):
    """Anything sent; what it does not know it refuses, so that no misspelt option is ignored."""

    model_config = ConfigDict(extra="forbid")


class NewSource(Body):
    """A source to register."""

    source_name: SourceName
    owner: Annotated[
        str, Field(description="Who answers for the source.", examples=["data-team@example.com"])
    ]


class NewProvider(Body):
    """A provider to register; the bearer token is that of the source it shall write to."""

    provider_name: ProviderName


class HolderBody(Body):
    """Who takes a lock."""

    identity: Annotated[
        str, Field(description="Stable through retries of the same work.", examples=["host-1/nightly"])
    ]
    details: Annotated[dict[str, str], Field(description="What helps people: host, log URL.")] = {}


HolderOrIdentity = Annotated[
    HolderBody | str | None, Field(description="Who writes; without one the provider itself does.")
]


class Address(Body):
    """One partition."""

    source_name: SourceName
    provider_name: ProviderName
    start: Instant
    end: Instant

    def place(self) -> tuple[str, str, Interval]:
        """As the store's methods take it.

        :raises InvalidIntervalError: it is no interval.
        """
        return self.source_name, self.provider_name, Interval(self.start, self.end)


class LockBody(Address):
    """A lock to take."""

    holder: HolderOrIdentity = None
    lease_seconds: Seconds | None = None
    exclusive: Annotated[bool, Field(description="Conflict with locks of any provider.")] = False
    register_partition: Annotated[
        bool, Field(alias="register", description="Register the partition first if need be.")
    ] = False


class RenewBody(Address):
    """A lease to prolong."""

    generation: Generation
    lease_seconds: Seconds


class UnlockBody(Address):
    """A write that went well."""

    holder: HolderOrIdentity = None
    generation: Generation | None = None


class FailBody(UnlockBody):
    """A write that went wrong."""

    reason: Annotated[str, Field(description="What went wrong.", examples=["disk full"])]


class DecisionBody(Address):
    """What a person decides over others."""

    reason: Annotated[str, Field(description="Why; kept in the history.")]
    by: Annotated[str, Field(description="Who decides it.", examples=["ada@example.com"])]


class ReleaseBody(DecisionBody):
    """A lock to take from its holder."""

    to: Annotated[PartitionState, Field(description="failed, or explicitly ready.")] = PartitionState.FAILED


class QuestionBody(Body):
    """May ``[start, end)`` of a source be read?"""

    source_name: SourceName
    start: Instant
    end: Instant
    published_after: Instant | None = None

    def question(self) -> Question:
        """As the store takes it.

        :raises InvalidInputError: it is none.
        """
        return Question(self.source_name, Interval(self.start, self.end), self.published_after)  # type: ignore[arg-type]


class QuestionsBody(Body):
    """Many questions at once."""

    questions: Annotated[list[QuestionBody], Field(max_length=10_000)]
    explain: Annotated[bool, Field(description="Say also why what is not ready is not; costs more.")] = True


def to_holder(given: HolderBody | str | None) -> Holder | str | None:
    """As the store takes it.

    :raises InvalidInputError: it is none.
    """
    return Holder(given.identity, given.details) if isinstance(given, HolderBody) else given


def to_duration(seconds: float) -> timedelta:
    """As the store takes it.

    :raises InvalidInputError: it is no length of time.
    """
    try:
        return timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        raise InvalidInputError(f"{seconds!r} seconds are no length of time.") from None


def to_lease(seconds: float | None) -> timedelta | None:
    """As the store takes it.

    :raises InvalidInputError: it is no length of time.
    """
    return None if seconds is None else to_duration(seconds)
