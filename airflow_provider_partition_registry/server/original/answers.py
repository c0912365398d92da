"""Answers of the original's routes, in the original's form."""

from __future__ import annotations

from datetime import datetime
from typing import Generic, Self, TypeVar

from pydantic import BaseModel, Field

from airflow_provider_partition_registry.domain.explanation import explain
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import EventType, Partition
from airflow_provider_partition_registry.domain.principals import Provider, Source
from airflow_provider_partition_registry.domain.questions import Readiness

T = TypeVar("T")


class HandedOut(BaseModel):
    """An access token, in the only answer that contains it (R10)."""

    token: str


class SourceObject(BaseModel):
    """A source."""

    source_id: int
    name: str
    owner: str
    access_token: HandedOut | None = None
    registered_at: datetime

    @classmethod
    def of(cls, source: Source, access_token: str | None = None) -> Self:
        """Convert to the original's form."""
        return cls(
            source_id=source.id,
            name=source.name,
            owner=source.owner,
            access_token=_handed_out(access_token),
            registered_at=source.registered_at,
        )


class ProviderObject(BaseModel):
    """A provider."""

    provider_id: int
    name: str
    access_token: HandedOut | None = None
    registered_at: datetime

    @classmethod
    def of(cls, provider: Provider, access_token: str | None = None) -> Self:
        """Convert to the original's form."""
        return cls(
            provider_id=provider.id,
            name=provider.name,
            access_token=_handed_out(access_token),
            registered_at=provider.registered_at,
        )


class PartitionObject(BaseModel):
    """A partition."""

    partition_id: int
    start: datetime
    end: datetime
    source: SourceObject
    provider: ProviderObject
    registered_at: datetime

    @classmethod
    def of(cls, partition: Partition, source: Source, provider: Provider) -> Self:
        """Convert to the original's form."""
        return cls(
            partition_id=partition.id,
            start=partition.start,
            end=partition.end,
            source=SourceObject.of(source),
            provider=ProviderObject.of(provider),
            registered_at=partition.registered_at,
        )


class EventObject(BaseModel):
    """What happened to a partition; the last three fields are ours."""

    partition: PartitionObject
    event_type: EventType
    registered_at: datetime
    generation: int
    holder: str | None
    expires_at: datetime | None

    @classmethod
    def of(cls, event_type: EventType, partition: Partition, source: Source, provider: Provider) -> Self:
        """Convert to the original's form."""
        lock = partition.lock
        return cls(
            partition=PartitionObject.of(partition, source, provider),
            event_type=event_type,
            registered_at=partition.changed_at,
            generation=partition.generation,
            holder=lock.holder.identity if lock else None,
            expires_at=lock.expires_at if lock else None,
        )


class Registered(BaseModel, Generic[T]):
    """A success."""

    status_code: int = 200
    registered_object: T


class ReadinessAnswer(BaseModel):
    """Whether the interval may be read, and why not; the last three fields are ours (R2, R7)."""

    status_code: int = 200
    is_ready: bool
    message: str | None = Field(description="Why not, in a sentence.")
    gaps: tuple[Interval, ...]
    blockers: tuple[Partition, ...]
    as_of: int

    @classmethod
    def of(cls, readiness: Readiness) -> Self:
        """Convert to the original's form, with the reasons."""
        return cls(
            is_ready=readiness.is_ready,
            message=None if readiness.is_ready else " ".join(explain(readiness).split()),
            gaps=readiness.gaps,
            blockers=readiness.blockers,
            as_of=readiness.as_of,
        )


def _handed_out(access_token: str | None) -> HandedOut | None:
    return None if access_token is None else HandedOut(token=access_token)
